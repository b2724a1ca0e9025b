"""The command line: python -m carvana_course run | batch | train | search | predict | download and others."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from carvana_lib import CarvanaError, CheckpointError, DataError, ParameterError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Car segmentation on Carvana: run the notebooks headless, compare runs, fetch the real data.",
)
Files = Annotated[list[Path], typer.Option("-f", "--file", help="YAML file of parameters; later ones win.")]
Pairs = Annotated[list[str], typer.Option("-p", "--parameter", metavar="NAME VALUE", help="One parameter.")]
Name = Annotated[str, typer.Option(help="Results go to runs/NAME/ (the parameter run_name).")]


@app.command()
def run(
    files: Files = [],  # noqa: B006
    pairs: Pairs = [],  # noqa: B006
    name: Name = "",
    start: Annotated[str, typer.Option("--from", metavar="NN", help="Begin with this notebook.")] = "",
    only: Annotated[list[str], typer.Option(metavar="NN", help="Run just this notebook; may be repeated.")] = [],  # noqa: B006
):
    """Execute the notebooks in order and write runs/NAME/report.html."""
    from carvana_course.headless import notebooks, report

    params = load_params(files, pairs, name)
    target = notebooks.run_notebooks(params, start, only)
    table = report.summarise_runs([params])
    typer.echo(
        "\n" + table.to_string(index=False, float_format="{:.4f}".format) if len(table) else "\nno metrics yet: run 05"
    )
    typer.echo(f"\n{report.time_shares(report.time_table(target))}\nreport: {target.report}")


@app.command()
def batch(
    files: Annotated[list[Path], typer.Argument(help="Parameter files; 'grid:' in one makes it many sets.")],
    jobs: Annotated[int, typer.Option(min=1, help="So many at a time, each in a process of its own.")] = 1,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only the Ith of N parts, as in 1/4 to 4/4.")] = "1/1",
    compare: Annotated[bool, typer.Option("--compare", help="Run nothing; compare what has finished.")] = False,
):
    """Run many parameter sets, each in its own runs/<name>/, and compare them. Finished ones are not run again."""
    from carvana_course.headless import batches
    from carvana_lib.runs import runs_folder

    part = parse_shard(shard)
    table, failures = (batches.compare_runs(files), []) if compare else batches.run_batch(files, part, jobs)
    typer.echo("\n" + table.to_string(index=False, float_format="{:.4f}".format))
    typer.echo(f"\ncomparison: {runs_folder() / 'comparison.html'} and .csv")
    for failure in failures:
        typer.echo(f"failed: {failure}", err=True)
    raise typer.Exit(1 if failures else 0)


@app.command()
def train(files: Files = [], pairs: Pairs = [], name: Name = ""):  # noqa: B006
    """Train one net without notebooks: in num_processes processes, or in those of torchrun or accelerate launch."""
    from carvana_course.scaling import processes
    from carvana_course.show import plots
    from carvana_lib import training
    from carvana_lib.data import open_data
    from carvana_lib.tuning import with_best

    params = load_params(files, pairs, name)
    with processes.together():
        with processes.one_first(params):
            data = open_data(params)
        processes.check_pictures(data)
        params = processes.from_main(lambda: with_best(params, data))
        _, history = training.train(data, params, on_epoch=plots.watch)
    if processes.is_main():
        speed = (history["images"] / history["seconds"]).median()
        typer.echo(f"best val mIoU {history['val_miou'].max():.4f}; {speed:.1f} images/s in the median epoch")


@app.command()
def search(files: Files = [], pairs: Pairs = [], name: Name = ""):  # noqa: B006
    """Search learning rate and loss, together with all who share the database that CARVANA_STORAGE names."""
    from carvana_lib import tuning
    from carvana_lib.data import open_data

    params = load_params(files, pairs, name)
    table = tuning.search(open_data(params), params, lambda table: typer.echo(f"{len(table)} trials finished"))
    typer.echo(table.to_string(index=False))


@app.command()
def experiment(
    files: Annotated[list[Path], typer.Argument(help="Experiment files, as those in results/params/.")],
    pairs: Pairs = [],  # noqa: B006
):
    """Train and score experiments without notebooks; numbers go to results/. What has its JSON is not run again.

    -p says where: data_dir (of the photos), device, num_workers, num_processes.
    """
    from carvana_course.evidence import experiments, results_page
    from carvana_course.evidence.results import results_table

    asked, overrides = [experiments.read_experiment(file) for file in files], dict(map(parse_pair, pairs))
    made, skipped = [], False
    for experiment, seed in [(one, seed) for one in asked for seed in one.seeds]:
        try:
            made.append(experiments.run_experiment(experiment, seed, **overrides))
            results_page.write_page()
        except (CheckpointError, DataError) as error:  # weights or pictures are not there; those of others may be
            skipped = True
            typer.echo(f"skipped: {experiment.name}, seed {seed}: {error}", err=True)
    if made:
        typer.echo(results_table(made).to_string(index=False, float_format="{:.4f}".format))
    raise typer.Exit(code=skipped)


@app.command()
def predict(
    checkpoint: Annotated[Path, typer.Option(help="A trained net: runs/NAME/checkpoints/best.")],
    images: Annotated[Path, typer.Option(help="Folder of photos, of any size and format.")],
    out: Annotated[Path, typer.Option(help="Folder for masks/ and so on; what is there already is not done again.")],
    cutout: Annotated[bool, typer.Option("--cutout", help="Write cars without background, cutouts/*.png.")] = False,
    probability: Annotated[bool, typer.Option("--probability", help="Write probabilities/*.png.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Write photos with their mask, overlays/*.jpg.")] = False,
    way: Annotated[str, typer.Option(help="whole, larger or tiles; see notebook 06.")] = "whole",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image; takes twice as long.")] = False,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Only the Ith of N parts, as in 1/4 to 4/4.")] = "1/1",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Photos a step; if not given, what suits the device.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    submission: Annotated[Path | None, typer.Option(help="Write Kaggle's CSV too; gzip if it ends in .gz.")] = None,
):
    """Predict the masks of a folder of photos. 'accelerate launch -m carvana_course predict ...' uses every GPU.

    After the parts of --shard, the same command without it finds all masks there, and can write the --submission.
    """
    part = parse_shard(shard)
    if submission and part[1] > 1:
        raise typer.BadParameter("--submission needs all masks: run once more without --shard after the last part")
    from carvana_course.deployment import folders

    kinds = {"cutout": cutout, "probability": probability, "overlay": overlay}
    ways = {"way": way, "flip": flip, "batch_size": batch_size, "device": device}
    result = folders.predict_folder(checkpoint, images, out, shard=part, **kinds, **ways)
    if result.is_main:
        typer.echo(f"{result} -> {out}")
        for name, reason in result.failures:
            typer.echo(f"failed: {name}: {reason}", err=True)
        if result.failures:  # of several processes one ends in failure: a launcher kills the others as soon as one does
            if submission:
                typer.echo(f"{submission} is not written: {len(result.failures)} photos have no mask", err=True)
            raise typer.Exit(1)
        if submission:
            from carvana_course.deployment.submission import write_submission

            typer.echo(f"{write_submission(result.names, result.masks, submission)} rows -> {submission}")


@app.command()
def download(
    target: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("data/carvana"),
    from_zip: Annotated[
        bool, typer.Option("--from-zip", help="Unpack ZIPS fetched by hand; no account is used.")
    ] = False,
    zips: Annotated[list[Path], typer.Argument(help="train.zip train_masks.zip metadata.csv.zip")] = [],  # noqa: B006
):
    """Fetch the real pictures from Kaggle, or unpack zips fetched by hand, then count and check them."""
    from carvana_course.upkeep import download as source

    if from_zip != bool(zips):
        raise typer.BadParameter("give --from-zip together with the zip files")
    source.unpack(zips, target) if from_zip else source.download(target)
    for what, count in source.verify(target).items():
        typer.echo(f"{what}: {count}")
    typer.echo(
        f"use it with: python -m carvana_course run -f notebooks/params/protocol.yaml -p data_dir {target.resolve()}"
    )


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="Folder of notebooks with answers, a folder for each student.")],
    out: Annotated[Path, typer.Option(help="Table of verdicts; what it holds already is not run again.")] = Path(
        "grades.csv"
    ),
    minutes: Annotated[float, typer.Option(min=0.1, help="Limit for one notebook.")] = 10,
    gigabytes: Annotated[float, typer.Option(min=1, help="Limit for each process of a notebook; on Linux.")] = 6,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks at once.")] = 1,
):
    """Run submitted notebooks within limits and judge their exercises. They run with your rights: see TEACHING.md."""
    from carvana_course.upkeep import grading

    table = grading.grade(submissions, out, minutes, gigabytes, jobs)
    typer.echo(f"\n{table['verdict'].value_counts().to_string()}\n\ngrades: {out}")


@app.command()
def site():
    """Write the course as static pages to site/, which need no network to read: site/index.html."""
    from carvana_course.upkeep.site import SITE, build

    typer.echo(f"{len(build())} pages: {SITE / 'index.html'}")


@app.command()
def doctor(clean: Annotated[bool, typer.Option("--clean", help="Remove temporary files of killed runs.")] = False):
    """Look whether this machine is ready for the course: one line for each thing, with a remedy where it is not."""
    from carvana_course.upkeep import doctor

    problems = 0
    for finding in doctor.look(clean):
        typer.echo(finding)
        problems += bool(finding.remedy)
    raise typer.Exit(1 if problems else 0)


@app.command(hidden=True)
def refresh():
    """Execute the committed notebooks in place (for authors)."""
    from carvana_course.headless import notebooks

    notebooks.refresh_notebooks()


def load_params(files: list[Path], pairs: list[str], name: str):
    """The parameters of -f, -p and --name, each overriding those before it."""
    from carvana_lib.config import Params

    return Params.load(*files, **dict(map(parse_pair, pairs)) | ({"run_name": name} if name else {}))


def parse_shard(shard: str) -> tuple[int, int]:
    """'2/4', the second of four parts -> (1, 4), counted from 0."""
    part, slash, parts = shard.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise typer.BadParameter(f"--shard takes a part and their number, 1/4 to 4/4, not '{shard}'")
    return int(part) - 1, int(parts)


def parse_pair(pair: str) -> tuple[str, object]:
    """'epochs=2' -> ('epochs', 2); values are read as YAML, and None as nothing."""
    import yaml

    name, equals, value = pair.partition("=")
    if not equals or not value:
        raise ParameterError(f"-p takes a name and a value, as in '-p epochs 2', but '{name}' came without a value")
    try:
        return name, None if value == "None" else yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value  # a path such as @data: text that YAML would read as syntax


def join_pairs(words: list[str]) -> list[str]:
    """'-p NAME VALUE', as papermill writes it, -> '-p NAME=VALUE', which Typer can read."""
    joined, words = [], iter(words)
    for word in words:
        joined.append(word)
        if word in ("-p", "--parameter"):
            name = next(words, "")
            joined.append(name if "=" in name else f"{name}={next(words, '')}")
    return joined


def main() -> None:
    """Run a command; an error meant for people is printed as its one sentence, and the exit status is 1."""
    try:
        app(join_pairs(sys.argv[1:]), prog_name="python -m carvana_course")
    except CarvanaError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
