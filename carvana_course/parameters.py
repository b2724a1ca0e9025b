"""Parameters from YAML files, the command line and a notebook's cells: all become one `Params`."""

import ast
import itertools
import json
import re
import typing
from contextlib import suppress
from pathlib import Path

import yaml

from carvana_lib import ParameterError
from carvana_lib.config import HINTS, Params, unknown_parameter

OTHER_NAMES = {  # parameter -> what else it is called, here and there
    "data_dir": "data dataset data_path path root folder",
    "run_name": "name run experiment exp_name",
    "seed": "random_state",
    "image_size": "size img_size imgsz resolution input_size",
    "resize": "letterbox pad keep_ratio keep_aspect_ratio aspect_ratio",
    "base_channels": "channels filters width",
    "encoder": "backbone encoder_name pretrained model net arch architecture",
    "batch_size": "batch bs",
    "epochs": "n_epochs num_epochs max_epochs iterations",
    "patience": "early_stopping early_stopping_patience",
    "learning_rate": "lr eta rate",
    "weight_decay": "wd l2 decay",
    "grad_clip": "clip max_norm max_grad_norm",
    "loss": "criterion loss_fn loss_function",
    "scheduler": "lr_scheduler lr_schedule schedule sched",
    "augment": "aug augmentation augmentations transforms",
    "flip": "tta",
    "val_fraction": "val val_size val_split valid_pct validation_split",
    "test_fraction": "test test_size test_split",
    "folds": "k_folds n_folds n_splits kfold cv",
    "train_cars": "cars n_cars",
    "subset": "limit max_images n_images samples",
    "start_from": "weights checkpoint init ckpt",
    "precision": "amp fp16 bf16 half mixed_precision dtype",
    "device": "gpu cuda accelerator",
    "num_workers": "workers n_workers",
    "num_processes": "gpus n_gpus processes nproc_per_node world_size",
    "tracker": "log_with logger report_to",
}
FIXED = {  # what cannot be chosen -> how it is
    "grid": "a file with a grid is for 'carvana batch'",
    "optimizer optimiser optim opt": "it is always AdamW, with learning_rate and weight_decay",
    "classes n_classes num_classes": "there are always two, car and background",
    "threshold thresh": "a pixel is always car from a probability of 0.5; notebook 05 shows other thresholds",
}
HINTS.update({other: f"did you mean '{name}'?" for name, others in OTHER_NAMES.items() for other in others.split()})
HINTS.update({name: fact for names, fact in FIXED.items() for name in names.split()})
NONES = ("None", "null")  # as Python and YAML write it
TEXT_TAG = "tag:yaml.org,2002:str"
INT_TAG = "tag:yaml.org,2002:int"
FLOAT_TAG = "tag:yaml.org,2002:float"
NULL_TAG = "tag:yaml.org,2002:null"


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
    values = {name: namespace[name] for name in names or Params.model_fields if name in namespace}
    return Params(**{name: from_text(name, v) if isinstance(v, str) else v for name, v in values.items()})


def is_parameters(source: str) -> bool:
    """True for the source of a parameters cell."""
    return source.startswith("# Parameters")


def assigned_names(source: str) -> list[str]:
    """Names that the top level of a piece of Python assigns."""
    statements = (s for s in ast.parse(source).body if isinstance(s, ast.Assign))
    return [target.id for s in statements for target in s.targets if isinstance(target, ast.Name)]


def kinds(name: str) -> tuple:
    """What a parameter may be, as in (float, NoneType); of a name that is no parameter, text."""
    if name not in Params.model_fields:
        return (str,)
    annotation = Params.model_fields[name].annotation
    return typing.get_args(annotation) or (annotation,)


def from_text(name: str, text: str) -> str | list | None:
    """None or a list where the text says so and the parameter may be; else the text, of which `Params` makes a value.

    So a run may be called 2024-01-05 or no, and a folder 'photos #2': nothing guesses what a text looks like.
    """
    if text in NONES and type(None) in kinds(name):
        return None
    if text.startswith("[") and list[int] in kinds(name):
        with suppress(ValueError):
            return json.loads(text)
    return text


def read_yaml(file) -> dict:
    """A YAML file that holds a mapping. Raises ParameterError naming it where it does not."""
    try:
        values = parse_yaml(Path(file).read_text(encoding="utf8"))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "it is no text in UTF-8")
        raise ParameterError(f"parameter file '{file}' cannot be read: {reason}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # for month 13; for brackets in brackets
        mark = getattr(error, "problem_mark", None)
        reason = f"line {mark.line + 1}: {error.problem}" if mark else " ".join(str(error).split())
        raise ParameterError(f"parameter file '{file}' is not valid YAML: {reason}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ParameterError(f"parameter file '{file}' must hold lines of the form 'name: value'")
    return values


def parse_yaml(text: str):
    """What a YAML text holds. The value of a parameter that is text stays as it is written: YAML would make a date of
    2024-01-05 and False of no. Raises YAMLError, and ValueError for such as month 13.
    """
    loader = yaml.SafeLoader(text)
    loader.yaml_constructors = loader.yaml_constructors | {INT_TAG: lambda _, node: int(node.value)}  # 010 is ten
    root = loader.get_single_node()
    if root is None:
        return {}
    settle(root)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for key, value in pairs:
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            continue
        if from_text(key.value, value.value) is None:
            value.tag = NULL_TAG
        elif str in kinds(key.value) and value.tag != NULL_TAG:
            value.tag = TEXT_TAG
    return loader.construct_document(root)


def settle(node: yaml.Node) -> None:
    """Make text of YAML's other notations of numbers (0x10 for 16, 1:30 for 90), in all that the node holds, so that a
    parameter refuses them. Raises YAMLError for a name that is there twice: the second would count, unseen.
    """
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            settle(value)
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"'{key.value}' is there a second time; keep one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            settle(item)
    elif node.tag in (INT_TAG, FLOAT_TAG) and re.search("[:xb]", node.value):
        node.tag = TEXT_TAG
