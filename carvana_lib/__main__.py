"""The command line: python -m carvana_lib run | batch | predict | download."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Car segmentation on Carvana: run the notebooks headless, compare runs, fetch the real data.",
)


@app.command()
def run(
    files: Annotated[list[Path], typer.Option("-f", "--file", help="YAML file of parameters; later ones win.")] = [],  # noqa: B006
    pairs: Annotated[list[str], typer.Option("-p", "--parameter", metavar="NAME VALUE", help="One parameter.")] = [],  # noqa: B006
    name: Annotated[str, typer.Option(help="Results go to runs/NAME/ (the parameter run_name).")] = "",
    start: Annotated[str, typer.Option("--from", metavar="NN", help="Begin with this notebook.")] = "",
    only: Annotated[list[str], typer.Option(metavar="NN", help="Run just this notebook; may be repeated.")] = [],  # noqa: B006
):
    """Execute the notebooks in order and write runs/NAME/report.html."""
    from carvana_lib import pipeline, report
    from carvana_lib.config import Params

    overrides = dict(map(parse_pair, pairs)) | ({"run_name": name} if name else {})
    params = Params.load(*files, **overrides)
    target = pipeline.run(params, start, only)
    table = report.summary([params])
    typer.echo(
        "\n" + table.to_string(index=False, float_format="{:.4f}".format) if len(table) else "\nno metrics yet: run 05"
    )
    typer.echo(f"\n{report.time_shares(report.time_table(target))}\nreport: {target.report}")


@app.command()
def batch(files: Annotated[list[Path], typer.Argument(help="Parameter files; 'grid:' in one makes it many sets.")]):
    """Run many parameter sets, each in its own runs/<name>/, and compare them. Finished ones are not run again."""
    from carvana_lib import pipeline
    from carvana_lib.runs import runs_folder

    table, failures = pipeline.batch(files)
    typer.echo("\n" + table.to_string(index=False, float_format="{:.4f}".format))
    typer.echo(f"\ncomparison: {runs_folder() / 'comparison.html'} and .csv")
    for failure in failures:
        typer.echo(f"failed: {failure}", err=True)
    raise typer.Exit(1 if failures else 0)


@app.command()
def experiment(
    files: Annotated[list[Path], typer.Argument(help="Experiment files, as those in results/params/.")],
    pairs: Annotated[list[str], typer.Option("-p", "--parameter", metavar="NAME VALUE", help="One parameter.")] = [],  # noqa: B006
):
    """Train and score experiments without notebooks; numbers go to results/. What has its JSON is not run again."""
    from carvana_lib import experiments

    found, overrides = [experiments.read_experiment(file) for file in files], dict(map(parse_pair, pairs))
    results = [experiments.run(one, seed, **overrides) for one in found for seed in one.seeds]
    typer.echo(experiments.table(results).to_string(index=False, float_format="{:.4f}".format))


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
    """Predict the masks of a folder of photos. 'accelerate launch -m carvana_lib predict ...' uses every GPU.

    After the parts of --shard, the same command without it finds all masks there, and can write the --submission.
    """
    part = parse_shard(shard)
    if submission and part[1] > 1:
        raise typer.BadParameter("--submission needs all masks: run once more without --shard after the last part")
    from carvana_lib import bulk

    kinds = {"cutout": cutout, "probability": probability, "overlay": overlay}
    ways = {"way": way, "flip": flip, "batch_size": batch_size, "device": device}
    result = bulk.predict_folder(checkpoint, images, out, shard=part, **kinds, **ways)
    if result.is_main:
        typer.echo(f"{result} -> {out}")
        for name, reason in result.failures:
            typer.echo(f"failed: {name}: {reason}", err=True)
        if result.failures and submission:
            typer.echo(f"{submission} is not written: {len(result.failures)} photos have no mask", err=True)
    if result.failures:
        raise typer.Exit(1)
    if result.is_main and submission:
        from carvana_lib.submission import write_folder

        typer.echo(f"{write_folder(result.masks, submission)} rows -> {submission}")


@app.command()
def download(
    target: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("data/carvana"),
    from_zip: Annotated[
        bool, typer.Option("--from-zip", help="Unpack ZIPS fetched by hand; no account is used.")
    ] = False,
    zips: Annotated[list[Path], typer.Argument(help="train.zip train_masks.zip metadata.csv.zip")] = [],  # noqa: B006
):
    """Fetch the real pictures from Kaggle, or unpack zips fetched by hand, then count and check them."""
    from carvana_lib import download as source

    if from_zip != bool(zips):
        raise typer.BadParameter("give --from-zip together with the zip files")
    source.unpack(zips, target) if from_zip else source.download(target)
    for what, count in source.verify(target).items():
        typer.echo(f"{what}: {count}")
    typer.echo(
        f"use it with: python -m carvana_lib run -f notebooks/params/protocol.yaml -p data_dir {target.resolve()}"
    )


@app.command(hidden=True)
def refresh():
    """Execute the committed notebooks in place (for authors)."""
    from carvana_lib import pipeline

    pipeline.refresh()


def parse_shard(shard: str) -> tuple[int, int]:
    """'2/4', the second of four parts -> (1, 4), counted from 0."""
    part, slash, parts = shard.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise typer.BadParameter(f"--shard takes a part and their number, 1/4 to 4/4, not '{shard}'")
    return int(part) - 1, int(parts)


def parse_pair(pair: str) -> tuple[str, object]:
    """'epochs=2' -> ('epochs', 2); values are read as YAML, and None as nothing."""
    import yaml

    from carvana_lib.config import ParameterError

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
        app(join_pairs(sys.argv[1:]), prog_name="python -m carvana_lib")
    except (ValueError, RuntimeError) as error:
        if type(error).__module__.split(".")[0] != "carvana_lib":
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
