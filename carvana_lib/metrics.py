"""IoU and Dice, and the several things that people call "mIoU".

The course's: IoU of the car for each image at probability 0.5, averaged over images; both masks empty score 1.
"""

import cv2
import numpy as np
import pandas as pd
import torch

from carvana_lib.frame import IGNORE

COUNTS = ["tp", "fp", "fn", "tn"]  # pixels: hit, false alarm, missed, rightly left out


def confusion_counts(predicted: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """(B, ...) masks, integer or bool -> (B, 4) int64 pixels of each: tp, fp, fn, tn, of IGNORE none. Taught in 02."""
    p = predicted.flatten(1).bool()
    y = masks.flatten(1)
    car = (y != 0) & (y != IGNORE)
    ground = y == 0
    return torch.stack([(p & car).sum(1), (p & ground).sum(1), (~p & car).sum(1), (~p & ground).sum(1)], dim=1)


def ratio(numerator, denominator):
    """Elementwise numerator / denominator, and 1 where both are 0: nothing to find. Used by `iou` in 02."""
    numerator = np.asarray(numerator, float)
    denominator = np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.ones_like(denominator), where=denominator != 0)


def iou(tp, fp, fn):
    """Intersection over union from pixel counts (numbers or arrays). Taught in 02."""
    return ratio(tp, tp + fp + fn)


def dice(tp, fp, fn):
    """Dice coefficient (F1 of pixels) from pixel counts; at least the IoU. Used by `score_images` in 05."""
    return ratio(2 * tp, 2 * tp + fp + fn)


def boundary_iou(predicted: np.ndarray, mask: np.ndarray, share: float = 0.02) -> float:
    """IoU of two bands along the outlines (Cheng et al. 2021, section 4): what full-picture IoU hides. Masks (H, W) of
    0 and 1; the band reaches `share` of the picture's diagonal inwards. Used by `score_images` in 05.
    """
    width = max(1, round(share * float(np.hypot(*mask.shape))))
    p = _outline_band(predicted, width)
    y = _outline_band(mask, width)
    return float(ratio((p & y).sum(), (p | y).sum()))


def _outline_band(mask: np.ndarray, width: int) -> np.ndarray:
    """(H, W) bool: those pixels of a mask that lie within `width` pixels of its outline."""
    padded = np.pad(mask.astype(np.uint8), 1)  # the picture's edge is an outline too
    inside = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask.astype(bool) & ~inside.astype(bool)


def summary(ious) -> dict:
    """Mean, standard deviation (over the images, n), least and greatest. Taught in 05."""
    ious = np.asarray(ious, float)
    return {"mean": float(ious.mean()), "std": float(ious.std()), "min": float(ious.min()), "max": float(ious.max())}


def averagings(table: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    """The same predictions under each averaging that goes by the name mIoU: averaging, SMP (its name in the package
    segmentation_models_pytorch), value, what is averaged. `table` has one row per image with tp, fp, fn, tn and, of
    probabilities p, soft_tp (sum of p over the car) and soft_union (sum of p plus car minus soft_tp). Taught in 05.
    """
    counts = table[COUNTS]
    total = counts.sum()
    batches = counts.groupby(np.arange(len(table)) // batch_size).sum()
    car = iou(counts.tp, counts.fp, counts.fn)
    background = iou(counts.tn, counts.fn, counts.fp)
    pooled = (iou(total.tp, total.fp, total.fn), iou(total.tn, total.fn, total.fp))  # car, background
    rows = [
        ("per image", "micro-imagewise", car.mean(), "car IoU of each image, then over images (the course's mIoU)"),
        ("micro", "micro", pooled[0], "pixels of all images added up, then one car IoU"),
        ("pooled classes", "macro", np.mean(pooled), "pixels added up, IoU of each class, then over classes (VOC)"),
        ("batch mean", "", iou(batches.tp, batches.fp, batches.fn).mean(), f"car IoU of {batch_size} images at a time"),
        ("both classes", "macro-imagewise", (car + background).mean() / 2, "IoU of each class in each image, then all"),
        ("soft", "", ratio(table.soft_tp, table.soft_union).mean(), "as the first, of probabilities without threshold"),
    ]
    return pd.DataFrame(rows, columns=["averaging", "SMP", "value", "what is averaged"]).astype({"value": float})


def bootstrap_by_car(table: pd.DataFrame, column: str = "iou", draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by drawing whole cars with replacement: views are not independent. Taught in 05."""
    cars = table.groupby("car_id")[column].agg(["sum", "count"]).to_numpy()
    picks = np.random.default_rng(seed).integers(len(cars), size=(draws, len(cars)))
    means = cars[picks, 0].sum(1) / cars[picks, 1].sum(1)
    return tuple(np.quantile(means, [0.025, 0.975]).tolist())
