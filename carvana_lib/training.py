"""One training loop: the same for a trial of the search, a quick run and the protocol, in one process or in many."""

import time
from pathlib import Path

import pandas as pd
import torch
from accelerate.utils import broadcast
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from carvana_lib.checkpoints import has_ended, make_model, resume, save_checkpoint
from carvana_lib.dataset import make_loader, training_rows
from carvana_lib.device import make_accelerator, progress, show_loss
from carvana_lib.diagnosis import enough_memory, found_before, mean_loss, stopped
from carvana_lib.losses import LOSSES
from carvana_lib.metrics import confusion_counts, iou
from carvana_lib.model import UNet
from carvana_lib.runs import Run, write_csv

STEP_EPOCHS = 5  # of the protocol's StepLR
STEP_GAMMA = 0.5
CHECK_EVERY = 20  # steps between looks at the loss: looking makes a GPU wait
HISTORY_COLUMNS = ("epoch", "learning_rate", "train_loss", "val_loss", "val_miou", "seconds", "images")


def make_optimizer(model: torch.nn.Module, params) -> torch.optim.Optimizer:
    """AdamW (Loshchilov, Hutter 2019) with the run's learning rate and weight decay. Taught in 04."""
    return torch.optim.AdamW(model.parameters(), params.learning_rate, weight_decay=params.weight_decay, fused=True)


def make_scheduler(optimizer, params, steps: int):
    """The learning rate of each step, `steps` an epoch: constant; 'step' halves it every 5 epochs; 'onecycle' goes from
    1/25 up over 30 % of the training, then down to almost 0 (Smith, Topin 2018, section 3). Taught in 03.
    """
    if params.scheduler == "step":
        return lr_scheduler.StepLR(optimizer, STEP_EPOCHS * steps, STEP_GAMMA)
    if params.scheduler == "onecycle":
        return lr_scheduler.OneCycleLR(optimizer, params.learning_rate, params.epochs * steps, cycle_momentum=False)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


def train_step(net, optimizer, criterion, images, masks, accelerator, grad_clip: float = float("inf")):
    """One step on images (B, 3, S, S), masks (B, 1, S, S), its gradient clipped: (loss, logits). Taught in 02."""
    logits = net(images)
    loss = criterion(logits, masks)
    optimizer.zero_grad()
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(net.parameters(), grad_clip)
    optimizer.step()
    return loss.detach(), logits.detach()


@torch.inference_mode()
def validate(net, loader, criterion, accelerator) -> tuple[float, float]:
    """(mean loss, mIoU) over a loader: IoU of each image at probability 0.5, averaged over images. Taught in 04."""
    net.eval()
    losses = []
    counts = []
    for images, masks, _ in progress(loader, "validation"):
        logits = net(images)
        each = torch.stack([criterion(one[None], mask[None]) for one, mask in zip(logits, masks, strict=True)])
        losses.append(accelerator.gather_for_metrics(each))
        counts.append(accelerator.gather_for_metrics(confusion_counts(logits >= 0, masks)))
    tp, fp, fn, _ = torch.cat(counts).cpu().numpy().T
    return torch.cat(losses).mean().item(), float(iou(tp, fp, fn).mean())


def fit(model, data, train_rows, val_rows, params, folder: Path | None = None, on_epoch=None) -> pd.DataFrame:
    """Train `model` in place and return its history, one row per epoch; `on_epoch(history)` is called after each.
    `params.learning_rate` and `params.loss` must be set. With `params.ema`, the weights that are scored and kept are
    the exponential average of all steps' (Tarvainen, Valpola 2017, section 2). With a `folder` for checkpoints, a
    training of the same parameters goes on, or is found finished, and says so. Processes of torchrun or accelerate
    launch share each batch. Raises TrainingError for a loss that is not finite. Taught in 04.
    """
    accelerator = make_accelerator(params.device, params.precision, model)
    train_loader = accelerator.prepare(make_loader(data, train_rows, params, train=True))
    val_loader = accelerator.prepare(make_loader(data, val_rows, params))
    criterion = LOSSES[params.loss]
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":  # normalise by the whole batch
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model.to(accelerator.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, params)
    scheduler = make_scheduler(optimizer, params, len(train_loader))
    learner = {"net": model, "optimizer": optimizer, "scheduler": scheduler}
    scored = model
    if params.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(params.ema), use_buffers=True)
        learner["average"] = average
        scored = average.module
    history = resume(learner, data, params, folder)
    net, optimizer = accelerator.prepare(model, optimizer)
    scored_net = accelerator.prepare_model(scored, evaluation_mode=True) if params.ema else net
    image_ids = data.table["image_id"].iloc[train_rows]
    if history and accelerator.is_main_process:
        if on_epoch:
            on_epoch(pd.DataFrame(history))
        print(found_before(history, params))
    while not has_ended(history, params):
        epoch = len(history)
        started = time.perf_counter()
        train_loader.set_epoch(epoch)
        net.train()
        losses = []
        steps = progress(train_loader, f"epoch {epoch + 1} of {params.epochs}")
        for images, masks, _ in steps:
            loss, _ = train_step(net, optimizer, criterion, images, masks, accelerator, params.grad_clip)
            losses.append(loss)
            rate = scheduler.get_last_lr()[0]
            scheduler.step()
            if params.ema:
                average.update_parameters(model)
            if len(losses) % CHECK_EVERY == 0:
                mean_loss(losses, accelerator, image_ids, params, epoch)
                show_loss(steps, loss)
        train_loss = mean_loss(losses, accelerator, image_ids, params, epoch)
        if params.ema:
            broadcast(list(scored.buffers()))  # BatchNorm's, which each process gathered from its part of the batches
        val_loss, val_miou = validate(scored_net, val_loader, criterion, accelerator)
        seconds = time.perf_counter() - started
        images = min(len(train_loader) * params.batch_size, len(train_rows))
        row = (epoch + 1, rate, train_loss, val_loss, val_miou, seconds, images)
        history.append(dict(zip(HISTORY_COLUMNS, row, strict=True)))
        if accelerator.is_main_process:
            if folder:
                save_checkpoint(folder, scored, learner, history, params, data.fingerprint)
            if on_epoch:
                on_epoch(pd.DataFrame(history))
    for used in (net, scored_net):  # the caller's model computes in float32 again
        accelerator.unwrap_model(used, keep_fp32_wrapper=False)
    if params.ema:
        model.load_state_dict(scored.state_dict())
    return pd.DataFrame(history)


def train(data, params, on_epoch=None) -> tuple[UNet, pd.DataFrame]:
    """Train a run's net on its training cars, with checkpoints and history.csv in the run's folder. Raises
    TrainingError when it is stopped, which loses no finished epoch. Taught in 04.
    """
    run = Run(params.run_name)
    model = make_model(params)
    rows = training_rows(data, params)
    kept = 0  # epochs

    def report(history):
        nonlocal kept
        kept = len(history)
        write_csv(run.history, history)
        if on_epoch:
            on_epoch(history)

    try:
        with enough_memory(params):
            return model, fit(model, data, rows, data.rows("val"), params, run.checkpoints, report)
    except KeyboardInterrupt:
        raise stopped(kept, params.epochs, "epoch") from None
