"""What a training leaves on disk: checkpoints of tensors and plain types, and how they are read back."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from carvana_course.scaling.processes import from_main
from carvana_lib import CheckpointError
from carvana_lib.config import Params
from carvana_lib.device import describe_device
from carvana_lib.model import UNet
from carvana_lib.runs import Run, atomic, environment

SHAPES_TRAINING = (
    "seed",
    "image_size",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "grad_clip",
    "loss",
    "scheduler",
    "ema",
    "augment",
    "split_by",
    "train_cars",
    "start_from",
    "val_fraction",
    "test_fraction",
    "subset",
    "precision",
)


@dataclass
class Checkpoints:
    """The two files of a training; without a folder nothing is written."""

    last: Path | None = None
    best: Path | None = None


def save(checkpoints: Checkpoints, scored: UNet, parts: dict, history: list[dict], params, fingerprint: str) -> None:
    """Write `last`, and `best` if the newest epoch has the highest validation mIoU. Tensors and plain types only.

    `scored` is the net that was validated; `parts` all that training needs to go on: net, optimizer, scheduler and,
    where weights are averaged, their average.
    """
    if checkpoints.last is None:
        return
    state = {
        "architecture": {"base_channels": scored.base_channels, "skips": scored.skips},
        "model": scored.state_dict(),
        "params": params.model_dump(),
        "fingerprint": fingerprint,
        "history": history,
        "made_with": {"device": describe_device(params)} | environment(),
    }
    training = {name: part.state_dict() for name, part in parts.items() if part is not None}
    if history[-1]["val_miou"] >= max(row["val_miou"] for row in history):
        write(state, checkpoints.best)
    write(state | {"training": training, "rng": torch.get_rng_state()}, checkpoints.last)


def write(state: dict, path: Path) -> None:
    """Write a checkpoint. Raises RunError with the system's reason where that fails; torch would hide it."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint to the CPU without running any code in it. Raises CheckpointError for anything else."""
    if not Path(path).exists():
        raise CheckpointError(f"{path} does not exist; run notebook 04 with this run_name first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing = {"architecture", "model", "params", "fingerprint", "history"} - set(state)
        if missing:
            raise ValueError(f"lacks {missing}")
        return state
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror or error}); name the file of a net, as runs/quick/checkpoints/best"
        ) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{path} is not a checkpoint of this course, or is damaged; train again with "
            "resume=False, or name another run_name"
        ) from None


def load_model(path: Path) -> UNet:
    """The U-Net of a checkpoint, in evaluation mode, on the CPU. Raises CheckpointError."""
    state = load_checkpoint(path)
    model = UNet(**state["architecture"])
    try:
        model.load_state_dict(state["model"])
    except RuntimeError:
        raise CheckpointError(
            f"the weights in {path} do not fit its own architecture {state['architecture']}; "
            "the file was changed: train again with resume=False"
        ) from None
    return model.eval()


def finished_epochs(params) -> int:
    """How many epochs the run's newest checkpoint has behind it; 0 without one."""
    last = Run(params.run_name).last
    return len(load_checkpoint(last)["history"]) if last.exists() else 0


def load_trained(data, params):
    """The best net of a run, for evaluation: (model, the parameters it was trained with, history of all epochs).

    Raises CheckpointError where it was trained on other pictures or with other parameters than `params` ask for: its
    test cars could then be cars it has seen, and its score would stand beside settings that it never had.
    """
    run = Run(params.run_name)
    last = load_checkpoint(run.last)
    trained, remedy = Params(**last["params"]), "run notebook 04 with these parameters first, or name another run_name"
    for name in ("base_channels", *SHAPES_TRAINING):
        asked = getattr(params, name)
        if getattr(trained, name) != asked and not (asked is None and name in ("learning_rate", "loss")):
            raise CheckpointError(
                f"{run.last} was trained with {name}={getattr(trained, name)!r}, not {asked!r}; {remedy}"
            )
    if last["fingerprint"] != data.fingerprint:
        raise CheckpointError(f"{run.last} was trained on other pictures than those in {data.folder}; {remedy}")
    here = {name: getattr(params, name) for name in ("data_dir", "device", "num_workers", "flip")}
    return load_model(run.best_checkpoint), trained.replace(**here), pd.DataFrame(last["history"])


def resume(parts: dict, data, params, last: Path | None) -> list[dict]:
    """Bring back an unfinished training and return its history; an empty one means to start from the first epoch.

    A finished training, one with other parameters, and resume=False start anew. Of several processes the main one
    reads the file and decides, so that machines need share no disk, and may have copies of the pictures with other
    dates. Raises CheckpointError for a checkpoint of another architecture, which starting anew would silently
    overwrite.
    """
    if last is None or not params.resume:
        return []
    state = from_main(lambda: unfinished(parts["net"], data, params, last))
    if state is None:
        return []
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state["training"][name])
    torch.set_rng_state(state["rng"])
    return state["history"]


def unfinished(net: UNet, data, params, last: Path) -> dict | None:
    """The checkpoint of a training of this net with these pictures and parameters that has not ended, or None."""
    if not last.exists():
        return None
    state = load_checkpoint(last)
    here = {"base_channels": net.base_channels, "skips": net.skips}
    if state["architecture"] != here:
        raise CheckpointError(
            f"{last} holds a U-Net with {state['architecture']}, the parameters ask for {here}; "
            "choose another run_name, or set resume=False to replace it"
        )
    shapes = (*SHAPES_TRAINING, "epochs") if params.scheduler == "onecycle" else SHAPES_TRAINING
    changed = [name for name in shapes if state["params"].get(name) != getattr(params, name)]
    finished = len(state["history"]) >= params.epochs
    return None if changed or finished or state["fingerprint"] != data.fingerprint else state
