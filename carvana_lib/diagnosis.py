"""What goes wrong in training, and the sentence that says what to change: memory, or a loss that is not finite."""

import re
from contextlib import contextmanager

import pandas as pd
import torch

from carvana_lib import TrainingError
from carvana_lib.checkpoints import has_ended
from carvana_lib.dataset import EpochSampler
from carvana_lib.device import is_live


@contextmanager
def enough_memory(params):
    """Turn what torch raises for want of memory into a TrainingError that says what to lower. Used by `train` in 04."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU the words alone tell
        short = isinstance(error, torch.OutOfMemoryError) or re.search(r"not enough memory|allocate memory", str(error))
        if not short:
            raise
        net = f"base_channels={params.base_channels}" if params.encoder == "none" else f"encoder='{params.encoder}'"
        raise TrainingError(
            f"there is too little memory for batch_size={params.batch_size}, image_size={params.image_size} and "
            f"{net}; lower them in this order; the last checkpoint is kept"
        ) from None


def stopped(done: int, total: int, what: str) -> TrainingError:
    """What the stop button's KeyboardInterrupt becomes: how far it came, and what to do. Used by `train` in 04."""
    again = f"run the {'cell' if is_live() else 'command'} again"
    if done:
        return TrainingError(f"stopped after {what} {done} of {total}; {again} to go on")
    return TrainingError(f"stopped in the first {what}, of which nothing is kept; {again} to begin anew")


def found_before(history: list[dict], params) -> str:
    """What a training says at once that finds epochs of its own. Used by `fit` in 04."""
    far = f"{len(history)} of {params.epochs}"
    return f"{far} epochs found, nothing to train" if has_ended(history, params) else f"going on after epoch {far}"


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
