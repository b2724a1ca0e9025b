"""The command line: python -m carvana_lib run | batch | download."""

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
    from carvana_lib import pipeline
    from carvana_lib.config import Params

    overrides = dict(map(parse_pair, pairs)) | ({"run_name": name} if name else {})
    params = Params.load(*files, **overrides)
    target = pipeline.run(params, start, only)
    table = pipeline.summary([params])
    typer.echo(
        "\n" + table.to_string(index=False, float_format="{:.4f}".format) if len(table) else "\nno metrics yet: run 05"
    )
    typer.echo(f"\nreport: {target.report}")


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
