"""The command `carvana`; `python -m carvana_course` is the same. A command imports what it needs when it is called."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from carvana_course import data_commands
from carvana_course.options import Files, Name, Pairs, Shard, join_pairs, params_of_options, parse_pair, parse_shard
from carvana_lib import CarvanaError, CheckpointError, DataError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Car segmentation on Carvana. 'carvana COMMAND --help' tells more about each command.",
)
NUMBERS = "{:.4f}".format


@app.command("run", rich_help_panel="Run")
def run_command(
    files: Files = (),
    pairs: Pairs = (),
    name: Name = "",
    start: Annotated[str, typer.Option("--from", metavar="NN", help="Begin with this notebook.")] = "",
    only: Annotated[list[str], typer.Option(metavar="NN", help="Run just this notebook; may be repeated.")] = (),
):
    """Execute the notebooks in order and write runs/NAME/report.html."""
    from carvana_course.headless import notebooks, report
    from carvana_lib.runs import Run

    params = params_of_options(files, pairs, name)
    table = notebooks.run_notebooks(params, start, only)
    target = Run(params.run_name)
    scores = table.to_string(index=False, float_format=NUMBERS) if len(table) else "no metrics yet: run 05"
    typer.echo("\n" + scores)
    typer.echo("\n" + report.time_shares(report.time_table(target)))
    typer.echo(f"report: {target.report}")


@app.command("batch", rich_help_panel="Run")
def batch_command(
    files: Annotated[list[Path], typer.Argument(help="Parameter files; 'grid:' or 'folds:' turns one into many sets.")],
    jobs: Annotated[int, typer.Option(min=1, help="How many to run at a time, each in its own process.")] = 1,
    shard: Shard = "1/1",
    compare: Annotated[bool, typer.Option("--compare", help="Run nothing; compare what has finished.")] = False,
):
    """Run many parameter sets, skipping finished ones; compare all."""
    from carvana_course.headless import batches
    from carvana_lib.runs import runs_folder

    part = parse_shard(shard)
    failures = []
    if compare:
        table = batches.compare_runs(files)
    else:
        table, failures = batches.run_batch(files, part, jobs)
    typer.echo("\n" + batches.comparison_as_text(table, files))
    typer.echo(f"\ncomparison: {runs_folder() / 'comparison.html'} and .csv")
    for failure in failures:
        typer.echo(f"failed: {failure}", err=True)
    if failures:
        raise typer.Exit(1)


@app.command("train", rich_help_panel="Run")
def train_command(files: Files = (), pairs: Pairs = (), name: Name = ""):
    """Train one net, in num_processes processes or in a launcher's."""
    from carvana_course.scaling import processes
    from carvana_course.show import plots

    history = processes.train_run(params_of_options(files, pairs, name), plots.watch)
    if history is not None:
        speed = (history["images"] / history["seconds"]).median()
        typer.echo(f"best val mIoU {history['val_miou'].max():.4f}; {speed:.1f} images/s in the median epoch")


@app.command("search", rich_help_panel="Run")
def search_command(files: Files = (), pairs: Pairs = (), name: Name = ""):
    """Search learning rate and loss.

    Everyone who shares the database that the environment variable CARVANA_STORAGE names searches together.
    """
    from carvana_course.scaling.search import search
    from carvana_lib.data import open_data

    params = params_of_options(files, pairs, name)
    table = search(open_data(params), params, lambda table: typer.echo(f"{len(table)} trials finished"))
    typer.echo(table.to_string(index=False))


app.command("download", rich_help_panel="Data")(data_commands.download_command)
app.command("look", rich_help_panel="Data")(data_commands.look_command)
app.command("adopt", rich_help_panel="Data")(data_commands.adopt_command)


@app.command("predict", rich_help_panel="Predict")
def predict_command(
    images: Annotated[Path, typer.Option(help="Photos of any size and format: a folder, or one file.")],
    out: Annotated[Path, typer.Option(help="Folder for masks/ and so on; finished photos are skipped.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="A net, runs/NAME/checkpoints/best; else the course's small one.")
    ] = None,
    cutout: Annotated[bool, typer.Option("--cutout", help="Write cars without background, cutouts/*.png.")] = False,
    probability: Annotated[bool, typer.Option("--probability", help="Write probabilities/*.png.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Write photos with their mask, overlays/*.jpg.")] = False,
    way: Annotated[str, typer.Option(help="whole, larger or tiles; see notebook 06.")] = "whole",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image; takes twice as long.")] = False,
    shard: Shard = "1/1",
    batch_size: Annotated[int | None, typer.Option(min=1, help="Photos per step; else what suits the device.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    submission: Annotated[Path | None, typer.Option(help="Write Kaggle's CSV too; gzip if it ends in .gz.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Predict all again, also with other settings.")] = False,
):
    """Predict the masks of a folder of photos.

    'accelerate launch -m carvana_course predict ...' uses every GPU.

    Once all parts of --shard are done, the same command without it finds every mask and can write the --submission.
    """
    part = parse_shard(shard)
    if submission and part[1] > 1:
        raise typer.BadParameter("--submission needs all masks: run once more without --shard after the last part")
    from carvana_course.deployment.folders import predict_folder
    from carvana_course.deployment.submission import write_submission
    from carvana_course.net import ORIGIN, SMALL_NET

    if checkpoint is None:
        checkpoint = SMALL_NET
        if os.environ.get("RANK", "0") == "0":  # of a launcher's processes one speaks
            typer.echo(f"net: {ORIGIN}")
    kinds = {"cutout": cutout, "probability": probability, "overlay": overlay}
    ways = {"way": way, "flip": flip, "batch_size": batch_size, "device": device, "force": force}
    result = predict_folder(checkpoint, images, out, shard=part, **kinds, **ways)
    if not result.is_main:  # it ends well even where photos failed: a launcher kills the others as soon as one does not
        return
    typer.echo(f"{result} -> {out}")
    for name, reason in result.skipped[:10]:
        typer.echo(f"skipped: {name}: {reason}")
    for name, reason in result.failures:
        typer.echo(f"failed: {name}: {reason}", err=True)
    if result.failures and submission:
        typer.echo(f"{submission} is not written: {len(result.failures)} photos have no mask", err=True)
    if result.failures:
        raise typer.Exit(1)
    if submission:
        typer.echo(f"{write_submission(result.names, result.masks, submission)} rows -> {submission}")


@app.command("grade", rich_help_panel="Teach")
def grade_command(
    submissions: Annotated[Path, typer.Argument(help="Folder of notebooks with answers, a folder per student.")],
    out: Annotated[Path, typer.Option(help="Table of grades; what it holds already is skipped.")] = Path("grades.csv"),
    minutes: Annotated[float, typer.Option(min=0.1, help="Time limit for one notebook.")] = 10,
    gigabytes: Annotated[float, typer.Option(min=1, help="Memory limit for each process of a notebook; on Linux.")] = 6,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks to run at once.")] = 1,
):
    """Judge submissions, which run with your rights: see TEACHING.md."""
    from carvana_course.upkeep import grading

    table = grading.grade(submissions, out, minutes, gigabytes, jobs)
    typer.echo(f"\n{table['verdict'].value_counts().to_string()}\n\ngrades: {out}")


@app.command("site", rich_help_panel="Teach")
def site_command():
    """Write the course as web pages that need no network: site/."""
    from carvana_course.upkeep.site import SITE, build

    typer.echo(f"{len(build())} pages: {SITE / 'index.html'}")


@app.command("experiment", rich_help_panel="Evidence")
def experiment_command(
    files: Annotated[list[Path], typer.Argument(help="Experiment files, such as those in results/params/.")],
    pairs: Pairs = (),
):
    """Train and score experiments; their numbers go to results/.

    Experiments whose JSON is there are skipped. -p says where the others run: data_dir (of the photos), device,
    num_workers, num_processes.
    """
    from carvana_course.evidence import experiments, results_page
    from carvana_course.evidence.results import results_table

    asked = [experiments.read_experiment(file) for file in files]
    overrides = dict(parse_pair(pair) for pair in pairs)
    made = []
    skipped = False
    for experiment in asked:
        for seed in experiment.seeds:
            try:
                made.append(experiments.run_experiment(experiment, seed, **overrides))
                results_page.write_page()
            except (CheckpointError, DataError) as error:  # what the next needs may be there
                skipped = True
                typer.echo(f"skipped: {experiment.name}, seed {seed}: {error}", err=True)
    if made:
        typer.echo(results_table(made).to_string(index=False, float_format=NUMBERS))
    if skipped:
        raise typer.Exit(1)


@app.command("doctor", rich_help_panel="Upkeep")
def doctor_command(clean: Annotated[bool, typer.Option("--clean", help="Remove what killed runs left.")] = False):
    """Say whether this machine is ready, and what to do if not."""
    from carvana_course.upkeep import doctor

    ready = True
    for finding in doctor.look(clean):
        typer.echo(finding)
        if finding.remedy:
            ready = False
    if not ready:
        raise typer.Exit(1)


@app.command("refresh", rich_help_panel="Upkeep")
def refresh_command():
    """Execute the committed notebooks in place, for authors."""
    from carvana_course.headless import notebooks

    notebooks.refresh_notebooks()


def main() -> None:
    """Run a command. An error meant for people is printed as its one sentence, and the exit status is 1.

    A letter that the terminal's code page lacks is printed as its number, so that no name of a file ends a command.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a notebook or a test stands in for it
            stream.reconfigure(errors="backslashreplace")
    try:
        app(join_pairs(sys.argv[1:]), prog_name="carvana")
    except CarvanaError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("carvana_"):
            raise
        sys.exit(f"error: this needs the package {error.name}; run 'pip install -r requirements.txt'")
