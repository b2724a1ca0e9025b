"""Parameters from YAML files, the command line and a notebook's cells: all become one `Params`."""

import ast
import itertools
from pathlib import Path

import yaml

from carvana_lib import ParameterError
from carvana_lib.config import Params, unknown_parameter


def load_params(*files, **overrides) -> Params:
    """Defaults, overlaid by YAML files in their order, overlaid by keyword overrides.

    Raises ParameterError for an unreadable file and for any unknown or ill-typed parameter.
    """
    values = {}
    for file in files:
        values |= read_yaml(file)
    return Params(**values | overrides)


def notebook_params(namespace: dict) -> Params:
    """What a notebook's parameters cell, and papermill's injected one, assigned: call it in the cell after them.

    Both begin with the comment "# Parameters". What the latest of them assign counts, and nothing else of the notebook;
    a misspelt name in them is refused rather than ignored. Call it as `notebook_params(globals())`. Raises
    ParameterError.
    """
    executed = namespace.get("In", [])[:-1]  # the last one is the cell that calls
    later = itertools.dropwhile(lambda source: not is_parameters(source), reversed(executed))
    names = [name for source in itertools.takewhile(is_parameters, later) for name in assigned_names(source)]
    for name in names:
        if name not in Params.model_fields:
            raise ParameterError(unknown_parameter(name))
    return Params(**{name: namespace[name] for name in names or Params.model_fields if name in namespace})


def is_parameters(source: str) -> bool:
    """True for the source of a parameters cell."""
    return source.startswith("# Parameters")


def assigned_names(source: str) -> list[str]:
    """Names that the top level of a piece of Python assigns."""
    statements = (s for s in ast.parse(source).body if isinstance(s, ast.Assign))
    return [target.id for s in statements for target in s.targets if isinstance(target, ast.Name)]


def read_yaml(file) -> dict:
    """A YAML file that holds a mapping. Raises ParameterError naming it where it does not."""
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf8")) or {}
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "it is no text in UTF-8")
        raise ParameterError(f"parameter file '{file}' cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = f"line {mark.line + 1}: {error.problem}" if mark else " ".join(str(error).split())
        raise ParameterError(f"parameter file '{file}' is not valid YAML: {reason}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParameterError(f"parameter file '{file}' must hold lines of the form 'name: value'")
    return values
