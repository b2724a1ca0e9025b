"""A training whose steps are too large, or that finds no car, ends without an error: what tells it, what to change."""

import math

import numpy as np
import pandas as pd

GUESSING = math.log(2)  # BCE of a net that says 0.5 of every pixel; Dice and their mean are near it


def divergence(history: pd.DataFrame, params) -> str:
    """A sentence on a training that learned nothing although its loss stayed finite; '' for any other.

    Its steps were too large where the last validation loss is NaN or over twice that of guessing (ln 2), or the mIoU
    stands still below 0.5 for three epochs. Where it stands still near 0 and the loss is small, "no car" has become the
    answer to everything, as BCE answers where cars are tiny.
    """
    last = history.iloc[-1]
    recent = history["val_miou"].tail(3)
    if not last["val_loss"] <= 2 * GUESSING:  # as NaN is not
        found = f"val_loss is {last['val_loss']:.3g}, that of guessing {GUESSING:.2f}"
    elif len(recent) == 3 and recent.max() < 0.01 and last["val_loss"] < GUESSING / 2:
        found = f"val_miou is {last['val_miou']:.3f} with a val_loss of {last['val_loss']:.3g}"
        cure = "set loss='dice' or 'bce_dice' and a higher learning_rate; notebook 03 shows why"
        return f"training found no car: {found}; {cure}"
    elif len(recent) == 3 and np.ptp(recent) < 1e-3 and recent.max() < 0.5:
        found = f"val_miou stands still at {last['val_miou']:.3f}"
    else:
        return ""
    return f"training diverged: {found}; lower learning_rate={params.learning_rate:g}"
