"""One training loop: the same for a trial of the search, a quick run and the protocol, in one process or in many."""

import math
import re
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast, gather_object
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from carvana_course.scaling.processes import in_worker, is_main, parts, share_statistics, train_in_processes
from carvana_lib import CheckpointError, TrainingError
from carvana_lib.checkpoints import Checkpoints, load_model, resume, save
from carvana_lib.dataset import make_loader, subsample
from carvana_lib.device import make_accelerator
from carvana_lib.encoder import VGG, take_encoder
from carvana_lib.losses import LOSSES
from carvana_lib.metrics import confusion_counts, iou
from carvana_lib.model import UNet
from carvana_lib.runs import Run, write_csv

CHECK_EVERY = 20  # steps between looks at the loss: looking makes a GPU wait
STEP_EPOCHS, STEP_GAMMA = 5, 0.5  # the protocol's StepLR
GUESSING = math.log(2)  # BCE of a net that says 0.5 of every pixel; Dice and their mean are near it


@contextmanager
def enough_memory(params):
    """Turn what torch raises for want of memory into a TrainingError that says what to lower."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU the words alone tell
        short = isinstance(error, torch.OutOfMemoryError) or re.search(r"not enough memory|allocate memory", str(error))
        if not short:
            raise
        raise TrainingError(
            f"there is too little memory for batch_size={params.batch_size}, image_size={params.image_size} and "
            f"base_channels={params.base_channels}; lower them in this order; the last checkpoint is kept"
        ) from None


def divergence(history: pd.DataFrame, params) -> str:
    """A sentence on a training whose steps were too large although its loss stayed finite; '' for any other.

    Its last validation loss is NaN or over twice that of guessing (ln 2), or its mIoU stands still below 0.5 for three
    epochs.
    """
    last, recent = history.iloc[-1], history["val_miou"].tail(3)
    if not last["val_loss"] <= 2 * GUESSING:  # as NaN is not
        found = f"val_loss is {last['val_loss']:.3g}, that of guessing {GUESSING:.2f}"
    elif len(recent) == 3 and np.ptp(recent) < 1e-3 and recent.max() < 0.5:
        found = f"val_miou stands still at {last['val_miou']:.3f}"
    else:
        return ""
    return f"training diverged: {found}; lower learning_rate={params.learning_rate:g}"


def make_model(params) -> UNet:
    """A U-Net whose initial weights follow from the seed alone, or are the best ones of the run `start_from`.

    `start_from="torchvision/vgg13_bn"` takes the encoder's weights from a classifier of ImageNet. Raises
    CheckpointError where that run has no weights, or those of a net of another size.
    """
    torch.manual_seed(params.seed)
    if params.start_from in (None, VGG):
        model = UNet(params.base_channels)
        return model if params.start_from is None else take_encoder(model)
    model = load_model(Run(params.start_from).best_checkpoint).train()
    if model.base_channels != params.base_channels:
        raise CheckpointError(
            f"start_from='{params.start_from}' is a net of base_channels={model.base_channels}, "
            f"not {params.base_channels}; give both the same"
        )
    return model


def make_scheduler(optimizer, params, steps: int):
    """The learning rate of each step, `steps` an epoch.

    'none': constant; 'step': StepLR, halved every 5 epochs; 'onecycle': from 1/25 of the learning rate up to it over
    30 % of the training, then down to almost nothing (Smith, Topin 2018, section 3).
    """
    if params.scheduler == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, STEP_EPOCHS * steps, STEP_GAMMA)
    if params.scheduler == "onecycle":
        total = params.epochs * steps
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, total, cycle_momentum=False)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def fit(model, data, train_rows, val_rows, params, checkpoints=Checkpoints(), on_epoch=None) -> pd.DataFrame:  # noqa: B008
    """Train `model` in place and return its history, one row an epoch.

    `params.learning_rate` and `params.loss` must be set. With `params.ema`, the weights that are scored and kept are
    the exponential average of all steps' (Tarvainen, Valpola 2017, section 2). `on_epoch(history)` is called after
    each epoch. With checkpoints, an unfinished training of the same parameters goes on where it stopped. Started by
    torchrun or accelerate launch, the processes share each batch, and the main one writes and reports. Raises
    TrainingError for a loss that is not finite and CheckpointError for a checkpoint of another architecture.
    """
    accelerator = make_accelerator(params)
    train, val = accelerator.prepare(
        make_loader(data, train_rows, params, train=True), make_loader(data, val_rows, params)
    )
    criterion = LOSSES[params.loss]
    share_statistics(model, accelerator)
    model.to(accelerator.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), params.learning_rate, weight_decay=params.weight_decay, fused=True
    )
    scheduler = make_scheduler(optimizer, params, len(train))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(params.ema), use_buffers=True)
    scored = average.module if params.ema else model
    state = {"net": model, "average": average, "optimizer": optimizer, "scheduler": scheduler}
    state = state if params.ema else state | {"average": None}
    history = resume(state, data, params, checkpoints.last)
    net, optimizer = accelerator.prepare(model, optimizer)
    scored_net = accelerator.prepare_model(scored, evaluation_mode=True) if params.ema else net

    for epoch in range(len(history), params.epochs):
        started, losses, seen = time.perf_counter(), [], []
        train.set_epoch(epoch)
        net.train()
        for images, masks, rows, weight in parts(train, accelerator):
            loss = weight * criterion(net(images), masks)
            optimizer.zero_grad()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(net.parameters(), params.grad_clip)
            optimizer.step()
            rate = scheduler.get_last_lr()[0]
            scheduler.step()
            if params.ema:
                average.update_parameters(model)
            losses.append(loss.detach())
            seen.append(rows)
            if len(losses) % CHECK_EVERY == 0:
                mean_loss(losses, seen, data, params, epoch, accelerator)
        train_loss = mean_loss(losses, seen, data, params, epoch, accelerator)
        if params.ema:
            broadcast(list(scored.buffers()))  # BatchNorm's, which each process gathered from its part of the batches
        val_loss, val_miou = validate(scored_net, val, criterion, accelerator)
        history.append(
            {
                "epoch": epoch + 1,
                "learning_rate": rate,
                "train_loss": train_loss,
                "val_loss": val_loss,
                "val_miou": val_miou,
                "seconds": time.perf_counter() - started,
                "images": sum(gather_object([sum(map(len, seen))])),
            }
        )
        if accelerator.is_main_process:
            save(checkpoints, scored, state, history, params, data.fingerprint)
            if on_epoch:
                on_epoch(pd.DataFrame(history))
    for used in (net, scored_net):  # the caller's model computes in float32 again
        accelerator.unwrap_model(used, keep_fp32_wrapper=False)
    if params.ema:
        model.load_state_dict(scored.state_dict())
    return pd.DataFrame(history)


def training_rows(data, params):
    """The training pictures of a run: all, those of `params.train_cars` cars, or `params.subset` that the seed draws.

    Fewer cars are a part of more cars, so that a learning curve adds cars and changes none; their pictures are
    repeated, so that an epoch has as many steps as with all cars and nothing but the variety differs.
    """
    rows = data.rows("train")
    if params.train_cars is not None:
        cars = np.random.default_rng(params.seed).permutation(sorted(set(data.table["car_id"].iloc[rows])))
        chosen = rows[data.table["car_id"].iloc[rows].isin(cars[: params.train_cars])]
        rows = np.resize(chosen, len(rows))
    return subsample(rows, params.subset, params.seed)


def train(data, params, on_epoch=None) -> tuple[UNet, pd.DataFrame]:
    """Train a run's net on its training cars, with checkpoints and history.csv in the run's folder.

    With `params.num_processes` above 1 that many processes are started on this machine, unless this is one of several
    already. `on_epoch(history)` is called after each epoch, in the process that called `train`.
    """
    run = Run(params.run_name)
    if params.num_processes > 1 and not in_worker():
        train_in_processes(params, on_epoch)
        return load_model(run.last), pd.read_csv(run.history)

    def report(history):
        write_csv(run.history, history)
        if on_epoch:
            on_epoch(history)

    model, checkpoints = make_model(params), Checkpoints(run.last, run.best_checkpoint)
    rows = training_rows(data, params), data.rows("val")
    with enough_memory(params):
        history = fit(model, data, *rows, params, checkpoints, report)
    if is_main() and (warning := divergence(history, params)):
        print(warning)
    return model, history


def mean_loss(losses, seen, data, params, epoch: int, accelerator) -> float:
    """The mean over steps and processes. Raises TrainingError, naming the pictures, for a loss that is not finite."""
    steps = accelerator.gather(torch.stack(losses)).view(-1, len(losses)).mean(0)  # (processes * steps,) -> (steps,)
    if not steps.isfinite().all():
        step = int((~steps.isfinite()).nonzero()[0])
        names = ", ".join(gather_object(data.table["image_id"].iloc[seen[step].tolist()].tolist()))
        raise TrainingError(
            f"the loss became {steps[step].item()} in epoch {epoch + 1}, step {step + 1} (pictures {names}); lower "
            f"learning_rate={params.learning_rate} or use precision='float32'; the last checkpoint is kept"
        )
    return steps.mean().item()


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
