"""What a training leaves on disk: checkpoints of tensors and plain types, and how they are read back."""

from pathlib import Path

import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from carvana_lib import CheckpointError, ParameterError
from carvana_lib.config import Params
from carvana_lib.device import describe_device
from carvana_lib.model import UNet
from carvana_lib.runs import BEST, LAST, Run, atomic, environment, runs_folder

REMEDY = "name the file of a net, as runs/quick/checkpoints/best, or run notebook 04 with resume=False to make it"
KEYS = {"architecture", "model", "params", "fingerprint", "history"}  # of a checkpoint, at least


def save_checkpoint(folder: Path, scored: UNet, learner: dict, history: list[dict], params, fingerprint: str) -> None:
    """Write `last`, and `best` if the newest epoch has the highest validation mIoU. `scored` is the net that was
    validated, `learner` what training needs to go on. Raises RunError where writing fails. Used by `fit` in 04.
    """
    state = {
        "architecture": scored.architecture,
        "model": scored.state_dict(),
        "params": params.model_dump(),
        "fingerprint": fingerprint,
        "history": history,
        "made_with": {"device": describe_device(params, scored)} | environment(),
    }
    if history[-1]["val_miou"] >= max(row["val_miou"] for row in history):
        _write(state, folder / BEST)
    training = {name: part.state_dict() for name, part in learner.items()}
    _write(state | {"training": training, "rng": torch.get_rng_state()}, folder / LAST)


def _write(state: dict, path: Path) -> None:
    """Write tensors and plain types; a failure has the system's reason, which torch would hide."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            raise (error.__context__ or error) from None


def load_checkpoint(path: Path) -> dict:
    """Read a checkpoint to the CPU without running any code in it. Raises CheckpointError. Taught in 04."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if set(state) >= KEYS:
            old = {} if "encoder" in state["architecture"] else UNet(1).architecture  # an old one names less
            return state | {"architecture": old | state["architecture"]}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror or error}); {REMEDY}") from None
    except Exception:  # torch raises a dozen kinds for a file that is none of its own
        pass
    raise CheckpointError(f"{path} is not a checkpoint of this course, or is damaged; {REMEDY}")


def load_model(path: Path) -> UNet:
    """The U-Net of a checkpoint, in evaluation mode, on the CPU. Raises CheckpointError. Taught in 04."""
    state = load_checkpoint(path)
    try:
        model = _make_net(state["architecture"])
        model.load_state_dict(state["model"])
    except TypeError:
        net = f"{path} is a net of a later version, {state['architecture']}"
        raise CheckpointError(f"{net}; update the course") from None
    except RuntimeError:
        raise CheckpointError(f"the weights in {path} do not fit its net, {state['architecture']}; {REMEDY}") from None
    return model.eval()


def _make_net(architecture: dict) -> UNet:
    """The net of a checkpoint, with random weights."""
    if "encoder" not in architecture:
        return UNet(**architecture)
    from carvana_lib.encoder import EncoderUNet  # timm takes a second to import

    return EncoderUNet(**architecture)


def make_model(params) -> UNet:
    """A U-Net whose initial weights follow from the seed alone, or are the best ones of the run `start_from`. Raises
    CheckpointError where that run has no weights, or those of another net. Taught in 04.
    """
    torch.manual_seed(params.seed)
    if params.encoder == "none":
        model = UNet(params.base_channels)
    else:
        from carvana_lib.encoder import make_encoder_unet

        model = make_encoder_unet(params.encoder)
    if params.start_from is None:
        return model
    best = Run(params.start_from).best_checkpoint
    if "/" in params.start_from or not best.exists():
        runs = sorted(path.parent.parent.name for path in runs_folder().glob(f"*/checkpoints/{BEST}"))
        known = ", ".join(runs) or "no run yet"
        raise CheckpointError(f"start_from='{params.start_from}' is no trained run; train it, or take {known}")
    start = load_model(best).train()
    if start.architecture != model.architecture:
        found = f"start_from='{params.start_from}' is another net, {start.architecture}"
        raise CheckpointError(f"{found}, not {model.architecture}; give both the same")
    return start


def has_ended(history: list[dict], params) -> bool:
    """True after all epochs, or `patience` epochs without a higher val mIoU (Prechelt 1998). Taught in 04."""
    scores = [row["val_miou"] for row in history]
    waited = len(scores) - 1 - scores.index(max(scores)) if scores else 0
    return len(scores) >= params.epochs or waited >= (params.patience or params.epochs)


def is_trained(params) -> bool:
    """True where the run's newest checkpoint is that of a finished training. Used by `trained` in 05."""
    last = Run(params.run_name).last
    return last.exists() and has_ended(load_checkpoint(last)["history"], params)


def difference(state: dict, data, params) -> str:
    """The first thing in which a checkpoint's training is not what these pictures and parameters ask for, or ''. What a
    search is still to find is none. Raises CheckpointError for one of a later version. Used by `trained` in 05.
    """
    try:
        used = Params(**state["params"])
    except ParameterError as error:
        last = Run(params.run_name).last
        raise CheckpointError(f"{last} is of a later version ({error}); update the course") from None
    for name, asked in params.of_training().items():
        found = getattr(used, name)
        searched = asked is None and name in ("learning_rate", "loss")
        if found != asked and not searched:
            return f"trained with {name}={found!r}, not {asked!r}"
    return "" if state["fingerprint"] == data.fingerprint else f"trained on other pictures than those in {data.folder}"


def load_trained(data, params) -> tuple[UNet, Params, pd.DataFrame]:
    """The best net of a run: (model, parameters of its training, history). Raises CheckpointError where `params` ask
    for other pictures or parameters: its test cars could be cars it has seen. Used by `trained` in 05.
    """
    run = Run(params.run_name)
    last = load_checkpoint(run.last)
    other = difference(last, data, params)
    if other:
        remedy = "run notebook 04 with these parameters first, or name another run_name"
        raise CheckpointError(f"{run.last} was {other}; {remedy}")
    here = {name: getattr(params, name) for name in ("data_dir", "device", "num_workers", "flip")}
    return load_model(run.best_checkpoint), Params(**last["params"]).replace(**here), pd.DataFrame(last["history"])


def resume(learner: dict, data, params, folder: Path | None) -> list[dict]:
    """Bring back a training of this net and these parameters, finished or not, and return its history, empty where
    training starts anew. Of several processes the main one reads the file and tells the rest. Used by `fit` in 04.
    """
    state = None
    if folder is not None and params.resume and PartialState().is_main_process and (folder / LAST).exists():
        found = load_checkpoint(folder / LAST)
        same = found["architecture"] == learner["net"].architecture and not difference(found, data, params)
        state = found if same and not has_ended(found["history"][:-1], params) else None  # else it went on too long
    (state,) = broadcast_object_list([state])
    if state is None:
        return []
    for name, part in learner.items():
        part.load_state_dict(state["training"][name])
    torch.set_rng_state(state["rng"])
    return state["history"]
