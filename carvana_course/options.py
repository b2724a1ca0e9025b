"""Options that several commands share, and what their words mean."""

from pathlib import Path
from typing import Annotated

import typer

from carvana_lib import ParameterError

Files = Annotated[list[Path], typer.Option("-f", "--file", help="YAML file of parameters; later ones win.")]
Pairs = Annotated[list[str], typer.Option("-p", "--parameter", metavar="NAME VALUE", help="One parameter.")]
Name = Annotated[str, typer.Option(help="Results go to runs/NAME/ (the parameter run_name).")]
Shard = Annotated[str, typer.Option(metavar="I/N", help="Only the Ith of N parts, as in 1/4 to 4/4.")]


def params_of_options(files: list[Path], pairs: list[str], name: str):
    """The parameters of -f, -p and --name, each overriding those before it."""
    from carvana_course.parameters import load_params

    overrides = dict(parse_pair(pair) for pair in pairs)
    if name:
        overrides["run_name"] = name
    return load_params(*files, **overrides)


def parse_shard(shard: str) -> tuple[int, int]:
    """'2/4', the second of four parts -> (1, 4), counted from 0."""
    part, slash, parts = shard.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise typer.BadParameter(f"--shard takes a part and their number, 1/4 to 4/4, not '{shard}'")
    return int(part) - 1, int(parts)


def parse_pair(pair: str) -> tuple[str, str | list | None]:
    """'epochs=2' -> ('epochs', '2'): text, of which `Params` makes a number, None as nothing, and [192, 128] a list."""
    from carvana_course.parameters import from_text

    name, equals, value = pair.partition("=")
    if not equals or not value:
        raise ParameterError(f"-p takes a name and a value, as in '-p epochs 2', but '{name}' came without a value")
    return name, from_text(name, value)


def join_pairs(words: list[str]) -> list[str]:
    """'-p NAME VALUE', as papermill writes it, -> '-p NAME=VALUE', which Typer can read."""
    joined = []
    words = iter(words)
    for word in words:
        joined.append(word)
        if word in ("-p", "--parameter"):
            pair = next(words, "")
            if "=" not in pair:
                pair = f"{pair}={next(words, '')}"
            joined.append(pair)
    return joined
