"""One training loop, its checkpoints, and how it goes on after an interruption."""

import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from carvana_lib.config import Params
from carvana_lib.dataset import make_loader, subsample
from carvana_lib.hardware import make_accelerator
from carvana_lib.losses import LOSSES
from carvana_lib.metrics import confusion_counts, iou
from carvana_lib.model import UNet
from carvana_lib.runs import Run, atomic, write_csv

CHECK_EVERY = 20  # steps between looks at the loss: looking makes a GPU wait
STEP_EPOCHS, STEP_GAMMA = 5, 0.5  # the protocol's StepLR
SHAPES_TRAINING = (
    "seed",
    "image_size",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "grad_clip",
    "loss",
    "scheduler",
    "val_fraction",
    "test_fraction",
    "subset",
    "precision",
)


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says what happened and which parameter to change."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and the remedy."""


@dataclass
class Checkpoints:
    """The two files of a training; without a folder nothing is written."""

    last: Path | None = None
    best: Path | None = None


def make_model(params) -> UNet:
    """A U-Net whose initial weights follow from the seed alone."""
    torch.manual_seed(params.seed)
    return UNet(params.base_channels)


def make_scheduler(optimizer, params):
    """'step': StepLR, halved every 5 epochs; 'none': constant. Stepped once an epoch."""
    if params.scheduler == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, STEP_EPOCHS, STEP_GAMMA)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def fit(model, data, train_rows, val_rows, params, checkpoints=Checkpoints(), on_epoch=None) -> pd.DataFrame:  # noqa: B008
    """Train `model` in place and return its history, one row an epoch.

    `params.learning_rate` and `params.loss` must be set. `on_epoch(history)` is called after each epoch. With
    checkpoints, an unfinished training of the same parameters goes on where it stopped. Raises TrainingError for a
    loss that is not finite and CheckpointError for a checkpoint of another architecture.
    """
    accelerator = make_accelerator(params)
    criterion = LOSSES[params.loss]
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), params.learning_rate, weight_decay=params.weight_decay, fused=True
    )
    scheduler = make_scheduler(optimizer, params)
    history = resume(model, optimizer, scheduler, data, params, checkpoints.last)
    net, optimizer, train, val = accelerator.prepare(
        model, optimizer, make_loader(data, train_rows, params, train=True), make_loader(data, val_rows, params)
    )

    for epoch in range(len(history), params.epochs):
        started, losses, seen = time.perf_counter(), [], []
        train.set_epoch(epoch)
        net.train()
        for images, masks, rows in train:
            loss = criterion(net(images), masks)
            optimizer.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(net.parameters(), params.grad_clip)
            optimizer.step()
            losses.append(loss.detach())
            seen.append(rows)
            if len(losses) % CHECK_EVERY == 0:
                check_finite(losses, seen, data, params, epoch)
        check_finite(losses, seen, data, params, epoch)
        val_loss, val_miou = validate(net, val, criterion, accelerator)
        history.append(
            {
                "epoch": epoch + 1,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "train_loss": torch.stack(losses).mean().item(),
                "val_loss": val_loss,
                "val_miou": val_miou,
                "seconds": time.perf_counter() - started,
                "images": sum(map(len, seen)) * accelerator.num_processes,
            }
        )
        scheduler.step()
        if accelerator.is_main_process:
            save(checkpoints, model, optimizer, scheduler, history, params, data.fingerprint)
            if on_epoch:
                on_epoch(pd.DataFrame(history))
    accelerator.unwrap_model(net, keep_fp32_wrapper=False)  # the caller's model computes in float32 again
    return pd.DataFrame(history)


def training_rows(data, params):
    """The training pictures of a run: all, or the `params.subset` that the seed draws."""
    return subsample(data.rows("train"), params.subset, params.seed)


def train(data, params, on_epoch=None) -> tuple[UNet, pd.DataFrame]:
    """Train a run's net on its training cars, with checkpoints and history.csv in the run's folder."""
    run, model = Run(params.run_name), make_model(params)
    checkpoints = Checkpoints(run.last, run.best_checkpoint)
    history = fit(model, data, training_rows(data, params), data.rows("val"), params, checkpoints, on_epoch)
    write_csv(run.history, history)
    return model, history


def check_finite(losses, seen, data, params, epoch: int) -> None:
    """Raise TrainingError naming the pictures of the first batch whose loss is NaN or infinite."""
    finite = torch.stack(losses).isfinite()
    if not finite.all():
        step = int((~finite).nonzero()[0])
        names = ", ".join(data.table["image_id"].iloc[seen[step].tolist()])
        raise TrainingError(
            f"the loss became {losses[step].item()} in epoch {epoch + 1}, step {step + 1} (pictures {names}); lower "
            f"learning_rate={params.learning_rate} or use precision='float32'; the last checkpoint is kept"
        )


@torch.inference_mode()
def validate(net, loader, criterion, accelerator) -> tuple[float, float]:
    """(mean loss, mIoU) over a loader: IoU of each image at probability 0.5, averaged over images."""
    net.eval()
    losses, counts = [], []
    for images, masks, _ in loader:
        logits = net(images)
        each = torch.stack([criterion(one[None], mask[None]) for one, mask in zip(logits, masks, strict=True)])
        losses.append(accelerator.gather_for_metrics(each))
        counts.append(accelerator.gather_for_metrics(confusion_counts(logits >= 0, masks)))
    tp, fp, fn, _ = torch.cat(counts).cpu().numpy().T
    return torch.cat(losses).mean().item(), float(iou(tp, fp, fn).mean())


def save(checkpoints: Checkpoints, model, optimizer, scheduler, history, params, fingerprint: str) -> None:
    """Write `last`, and `best` if the newest epoch has the highest validation mIoU. Tensors and plain types only."""
    if checkpoints.last is None:
        return
    state = {
        "architecture": {"base_channels": model.base_channels, "skips": model.skips},
        "model": model.state_dict(),
        "params": params.model_dump(),
        "fingerprint": fingerprint,
        "history": history,
    }
    training = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "rng": torch.get_rng_state()}
    if history[-1]["val_miou"] >= max(row["val_miou"] for row in history):
        with atomic(checkpoints.best) as temporary:
            torch.save(state, temporary)
    with atomic(checkpoints.last) as temporary:
        torch.save(state | training, temporary)


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
    here = {name: getattr(params, name) for name in ("data_dir", "device", "num_workers")}
    return load_model(run.best_checkpoint), trained.replace(**here), pd.DataFrame(last["history"])


def resume(model, optimizer, scheduler, data, params, last: Path | None) -> list[dict]:
    """Bring back an unfinished training and return its history; an empty one means to start from the first epoch.

    A finished training, one with other parameters, and resume=False start anew. Raises CheckpointError for a
    checkpoint of another architecture, which starting anew would silently overwrite.
    """
    if last is None or not last.exists() or not params.resume:
        return []
    state = load_checkpoint(last)
    here = {"base_channels": model.base_channels, "skips": model.skips}
    if state["architecture"] != here:
        raise CheckpointError(
            f"{last} holds a U-Net with {state['architecture']}, the parameters ask for {here}; "
            "choose another run_name, or set resume=False to replace it"
        )
    changed = [name for name in SHAPES_TRAINING if state["params"][name] != getattr(params, name)]
    if changed or state["fingerprint"] != data.fingerprint or len(state["history"]) >= params.epochs:
        return []
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    torch.set_rng_state(state["rng"])
    return state["history"]
