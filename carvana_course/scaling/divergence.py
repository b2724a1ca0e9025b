"""A training whose steps are too large ends without an error: what tells it, and what to change."""

import math

import numpy as np
import pandas as pd

GUESSING = math.log(2)  # BCE of a net that says 0.5 of every pixel; Dice and their mean are near it


def divergence(history: pd.DataFrame, params) -> str:
    """A sentence on a training whose steps were too large although its loss stayed finite; '' for any other.

    Its last validation loss is NaN or over twice that of guessing (ln 2), or its mIoU stands still below 0.5 for three
    epochs.
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
