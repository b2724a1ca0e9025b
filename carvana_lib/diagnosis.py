"""What goes wrong in training, and the sentence that says what to change: memory, NaN, steps that are too large."""

import math
import re
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch

from carvana_lib import TrainingError
from carvana_lib.dataset import EpochSampler

GUESSING = math.log(2)  # BCE of a net that says 0.5 of every pixel; Dice and their mean are near it


@contextmanager
def enough_memory(params):
    """Turn what torch raises for want of memory into a TrainingError that says what to lower. Used by `train` in 04."""
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


def mean_loss(losses: list[torch.Tensor], accelerator, image_ids: pd.Series, params, epoch: int) -> float:
    """The mean of an epoch's losses so far, one per step, over steps and processes. `image_ids` are those of the
    training pictures, by position; which a step saw follows from the epoch's order, counted from 0. Raises
    TrainingError, naming the pictures, for a loss that is not finite. Used by `fit` in 04.
    """
    steps = accelerator.reduce(torch.stack(losses), "mean")  # (steps,), over processes
    if steps.isfinite().all():
        return steps.mean().item()
    step = int((~steps.isfinite()).nonzero()[0])
    order = [position for _, position in EpochSampler(len(image_ids), params.seed, epoch)]
    names = ", ".join(image_ids.iloc[order[step * params.batch_size :][: params.batch_size]])
    raise TrainingError(
        f"the loss became {steps[step].item()} in epoch {epoch + 1}, step {step + 1} (pictures {names}); lower "
        f"learning_rate={params.learning_rate} or use precision='float32'; the last checkpoint is kept"
    )


def divergence(history: pd.DataFrame, params) -> str:
    """A sentence on a training whose steps were too large although its loss stayed finite; '' for any other. Its last
    validation loss is NaN or over twice that of guessing (ln 2), or its mIoU stands still below 0.5 for three epochs.
    Used by `train` in 04.
    """
    last = history.iloc[-1]
    recent = history["val_miou"].tail(3)
    if not last["val_loss"] <= 2 * GUESSING:  # as NaN is not
        found = f"val_loss is {last['val_loss']:.3g}, that of guessing {GUESSING:.2f}"
    elif len(recent) == 3 and np.ptp(recent) < 1e-3 and recent.max() < 0.5:
        found = f"val_miou stands still at {last['val_miou']:.3f}"
    else:
        return ""
    return f"training diverged: {found}; lower learning_rate={params.learning_rate:g}"
