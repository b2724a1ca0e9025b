"""The ways to predict a photo's mask, compared at the photos' own size; and how long nets take, in turns."""

import itertools
import statistics
import time

import cv2
import numpy as np
import pandas as pd
import torch

from carvana_course.deployment.ways import WAYS, logits_by_way
from carvana_lib.device import progress
from carvana_lib.frame import Frame
from carvana_lib.metrics import boundary_iou, confusion_counts, dice, iou
from carvana_lib.prediction import net_logits
from carvana_lib.reading import read_photo

NAIVE = "mask enlarged"


def naive_mask(model, photo: np.ndarray, frame: Frame) -> np.ndarray:
    """(H, W) uint8 {0, 1}, as many programs do it: threshold what the net says, then enlarge the mask."""
    small = net_logits(model, frame.resize(photo)[None])[0][frame.place(photo.shape[:2])] >= 0
    return cv2.resize(small.astype(np.uint8), photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def score_mask(predicted: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """IoU, Dice and boundary IoU of two masks (H, W) of 0 and 1."""
    tp, fp, fn, _ = confusion_counts(torch.from_numpy(predicted)[None], torch.from_numpy(mask)[None]).numpy().T
    return float(iou(tp, fp, fn)[0]), float(dice(tp, fp, fn)[0]), boundary_iou(predicted, mask)


def compare_ways(model, data, index, frame: Frame) -> pd.DataFrame:
    """Score each way, without and with the mirror image, on the photos at `index` of `data`, read one at a time.

    A row a way: way, flip, iou, dice and boundary_iou (means over photos at their own size), ms (of net and resizing,
    for a photo). The first row is `naive_mask`.
    """
    ways = [(NAIVE, False), *itertools.product(WAYS, (False, True))]
    pairs = data.table.loc[index].to_dict("records")
    rows = []
    for pair in progress(pairs, "comparing ways", len(pairs)):
        photo = read_photo(data.folder / pair["image"])
        mask = data.read_mask(pair["mask"])
        for way, flip in ways:
            started = time.perf_counter()
            if way == NAIVE:
                predicted = naive_mask(model, photo, frame)
            else:
                predicted = (logits_by_way(model, photo, frame, way, flip) >= 0).astype(np.uint8)
            ms = 1000 * (time.perf_counter() - started)
            rows.append((way, flip, *score_mask(predicted, mask), ms))
    columns = ["way", "flip", "iou", "dice", "boundary_iou", "ms"]
    return pd.DataFrame(rows, columns=columns).groupby(["way", "flip"], sort=False).mean().reset_index()


def latency(predictors: dict, pictures: np.ndarray, repeats: int = 15) -> pd.DataFrame:
    """Time functions by name on the same pictures, taking turns, so that a busy moment meets all of them.

    Returns name, median and least time in milliseconds for a picture. The first two rounds are not counted.
    """
    seconds = {name: [] for name in predictors}
    for _ in progress(range(repeats + 2), "timing", unit="round"):
        for name, predict in predictors.items():
            started = time.perf_counter()
            predict(pictures)
            seconds[name].append((time.perf_counter() - started) / len(pictures))
    rows = [(name, 1000 * statistics.median(s[2:]), 1000 * min(s[2:])) for name, s in seconds.items()]
    return pd.DataFrame(rows, columns=["net", "median_ms", "least_ms"])
