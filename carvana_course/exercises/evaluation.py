"""Exercises of notebook 05: scores, averages and an interval, with the mistakes that are typical of each."""

import numpy as np
import pandas as pd
import torch

from carvana_course.exercises.checks import Exercise
from carvana_lib import metrics

UNDEFINED = "NaN: with no car and none claimed, it is 0/0. Nothing to find and nothing found counts as 1."
LEFT_EMPTY = "No car and none claimed got 0, though it is right. Nothing to find and nothing found counts as 1."
SCORES = np.array([0.8, 0.95, 0.951, 0.99, 0.9, 0.97, 0.4])

SHARE_ABOVE = Exercise(
    "share_above", lambda ious, limit: (ious > limit).mean(),
    cases={"above 0.95": (SCORES, 0.95), "above 0.5": (SCORES, 0.5), "above 0.99": (SCORES, 0.99)},
    mistakes={
        "number": (lambda ious, limit: (ious > limit).sum(),
            "That is a count; divide by the number of pictures."),
        "percent": (lambda ious, limit: 100 * (ious > limit).mean(),
            "That is in percent; a share lies between 0 and 1."),
        "at least": (lambda ious, limit: (ious >= limit).mean(), "Above, so a picture exactly at the limit is out."),
        "below": (lambda ious, limit: (ious < limit).mean(), "That is the share below the limit."),
        "mean of those": (lambda ious, limit: ious[ious > limit].mean(), "That is the mean IoU of those pictures."),
        "pictures": (lambda ious, limit: ious > limit, "A yes or no for each picture; the mean of those is the share."),
    },
)

TP = np.array([10, 200, 3000])
FP = np.array([5, 20, 10])
FN = np.array([20, 10, 300])
THREE_PICTURES = (TP, FP, FN)

MICRO_IOU = Exercise(
    "micro_iou", lambda tp, fp, fn: metrics.iou(tp.sum(), fp.sum(), fn.sum()),
    cases={"three pictures": THREE_PICTURES,
           "two pictures": tuple(counts[:2] for counts in THREE_PICTURES),
           "one of them empty": tuple(np.append(counts, 0) for counts in THREE_PICTURES),
           "all empty": tuple(0 * counts for counts in THREE_PICTURES)},
    mistakes={
        "per image": (lambda tp, fp, fn: metrics.iou(tp, fp, fn).mean(),
            "That is the mean over pictures. Here pixels are added up first and divided once: large cars count more."),
        "one each": (lambda tp, fp, fn: metrics.iou(tp, fp, fn), "One for each picture; add up their pixels first."),
        "0/0": (lambda tp, fp, fn: np.divide(tp.sum(), (tp + fp + fn).sum()),
            UNDEFINED),
        "0/0 is 0": (lambda tp, fp, fn: tp.sum() / max((tp + fp + fn).sum(), 1),
            LEFT_EMPTY),
        "Dice": (lambda tp, fp, fn: metrics.dice(tp.sum(), fp.sum(), fn.sum()),
            "That is Dice: it counts hits twice."),
        "no false alarms": (lambda tp, fp, fn: metrics.iou(tp.sum(), 0, fn.sum()),
            "False alarms are missing in the denominator: claiming everything would score 1."),
        "no misses": (lambda tp, fp, fn: metrics.iou(tp.sum(), fp.sum(), 0),
            "Missed pixels are missing in the denominator: claiming one sure pixel would score 1."),
    },
)


def count_pixels(probability, mask, predicted=None) -> np.ndarray:
    """(B, H, W) probabilities and masks -> tp, fp, fn, tn of each image, (4, B)."""
    if predicted is None:
        predicted = probability >= 0.5
    return metrics.confusion_counts(torch.from_numpy(predicted), torch.from_numpy(mask)).numpy().T


def from_counts(measure, total=lambda counts: counts):
    """An answer that takes tp, fp, fn, tn of each image."""
    return lambda probability, mask: measure(*total(count_pixels(probability, mask)))


def summed_over(axis):
    """An answer that adds up over these axes."""
    return lambda p, y: metrics.ratio(((p >= 0.5) & (y > 0)).sum(axis), ((p >= 0.5) | (y > 0)).sum(axis))


def scene(seed: int, size=(3, 6, 5)) -> tuple:
    """Probabilities and masks of three images, with less car from one to the next."""
    rng = np.random.default_rng(seed)
    mask = (rng.random(size) < np.array([0.8, 0.4, 0.15])[:, None, None]).astype(np.uint8)
    return np.clip(0.2 + 0.6 * mask + rng.normal(0, 0.25, size), 0.01, 0.99).round(2), mask


NOTHING = np.full((2, 4, 4), 0.1)
HALF = np.full((1, 2, 2), 0.5)

IOU = Exercise(
    "iou", from_counts(lambda tp, fp, fn, tn: metrics.iou(tp, fp, fn)),
    cases={"three images": scene(0), "three others": scene(1), "no car, none claimed": (NOTHING, NOTHING.astype(int)),
           "car, none found": (NOTHING, np.ones((2, 4, 4), int)), "exactly 0.5": (HALF, np.eye(2, dtype=int)[None])},
    mistakes={
        "soft": (lambda p, y: metrics.ratio((p * y).sum((1, 2)), (p + y - p * y).sum((1, 2))),
            "Probabilities went into the sums: that is the soft IoU. Decide first: a pixel is car from 0.5 on."),
        "whole batch": (from_counts(lambda tp, fp, fn, tn: metrics.iou(tp, fp, fn), lambda c: c.sum(1)),
            "One IoU for all the images together. Sum over height and width and leave the first axis alone."),
        "mean": (from_counts(lambda tp, fp, fn, tn: metrics.iou(tp, fp, fn).mean()),
            "That is the mean already; return one number for each image, so that you can find the worst."),
        "0/0": (from_counts(lambda tp, fp, fn, tn: tp / (tp + fp + fn)), UNDEFINED),
        "0/0 is 0": (from_counts(lambda tp, fp, fn, tn: tp / np.maximum(tp + fp + fn, 1)),
            LEFT_EMPTY),
        "more than half": (lambda p, y: metrics.iou(*count_pixels(p, y, p > 0.5)[:3]),
            "At exactly 0.5 the pixel is car (>=)."),
        "Dice": (from_counts(lambda tp, fp, fn, tn: metrics.dice(tp, fp, fn)),
            "That is Dice: twice the hits over the sum of both areas. It is never below the IoU."),
        "sum of areas": (from_counts(lambda tp, fp, fn, tn: metrics.ratio(tp, 2 * tp + fp + fn)),
            "You divided by the sum of both areas, in which the hits count twice; a union counts them once."),
        "axes 0 and 1": (summed_over((0, 1)),
            "Summed over the images and their rows. Axis 0 counts images; keep that one."),
        "axis 1": (summed_over(1),
            "Summed over one axis: one number for each column. An image has two, height and width."),
        "axis 2": (summed_over(2),
            "Summed over one axis: one number for each row. An image has two, height and width."),
        "accuracy": (from_counts(lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)),
            "That is the share of correct pixels. Background is most of the picture and easy; IoU leaves it out."),
        "precision": (from_counts(lambda tp, fp, fn, tn: metrics.ratio(tp, tp + fp)),
            "That is precision: missed pixels cost nothing. The union holds the whole mask too."),
        "recall": (from_counts(lambda tp, fp, fn, tn: metrics.ratio(tp, tp + fn)),
            "That is recall: false alarms cost nothing. The union holds everything that was claimed too."),
        "background": (from_counts(lambda tp, fp, fn, tn: metrics.iou(tn, fp, fn)), "That is the background's IoU."),
        "both classes": (from_counts(lambda tp, fp, fn, tn: (metrics.iou(tp, fp, fn) + metrics.iou(tn, fp, fn)) / 2),
            "That is the mean over car and background, which is flattering; the course scores the car alone."),
        "intersection": (from_counts(lambda tp, fp, fn, tn: tp), "Those are the hits; divide by the union."),
    },
)


def car_scores(seed: int, *views: int) -> tuple:
    """IoUs and car of each picture; cars differ much, the views of a car little, and cars with many views are worse."""
    rng = np.random.default_rng(seed)
    means = [rng.normal(0.93 - 0.05 * v / max(views), 0.03) for v in views]
    cars = np.repeat([f"car {i}" for i in range(len(views))], views)
    return np.concatenate([rng.normal(m, 0.004, v) for m, v in zip(means, views, strict=True)]), cars


def observe_interval(bootstrap, ious, cars) -> np.ndarray:
    """(low, high) as distances from the mean, in standard errors over cars: what is left is chance and method."""
    low, high = bootstrap(ious, cars, 4000, 0)
    of_cars = pd.Series(ious).groupby(cars).mean()
    return (np.array([low, high], float) - ious.mean()) / (of_cars.std(ddof=0) / np.sqrt(len(of_cars)))


def bootstrap_means(ious, cars, draws, seed, percent=(2.5, 97.5), size=None, replace=True, weighted=True) -> np.ndarray:
    """Means of the drawn cars, summed up by percentiles, and, with other arguments, what goes wrong with it."""
    by_car = [ious[cars == car] for car in np.unique(cars)]
    if not weighted:
        by_car = [scores.mean(keepdims=True) for scores in by_car]
    sums = np.array([scores.sum() for scores in by_car])
    lengths = np.array([len(scores) for scores in by_car])
    n = len(by_car)
    rng = np.random.default_rng(seed)
    if replace:
        picks = rng.integers(n, size=(draws, size or n))
    else:
        picks = np.argsort(rng.random((draws, n)), axis=1)
    return np.percentile(sums[picks].sum(1) / lengths[picks].sum(1), percent)


def wrong_bootstrap(**changes):
    """A bootstrap with one mistake."""
    return lambda ious, cars, draws, seed: bootstrap_means(ious, cars, draws, seed, **changes)


BOOTSTRAP = Exercise(
    "bootstrap", lambda ious, cars, draws, seed: bootstrap_means(ious, cars, 100_000, seed),
    observe=observe_interval, tolerance=0.08,
    cases={"12 cars": car_scores(0, *[16] * 12), "40 cars": car_scores(1, *[16] * 40),
           "cars with 4 and 16 views": car_scores(2, *[4, 16] * 10)},
    mistakes={
        "images": (lambda ious, cars, draws, seed: bootstrap_means(ious, np.arange(len(ious)), draws, seed),
            "Pictures were drawn, as if the 16 views of a car were independent facts: the interval is far too narrow. "
            "Draw cars, and take all the pictures of each."),
        "without replacement": (wrong_bootstrap(replace=False),
            "Every draw is the same set of cars in another order, so the mean never changes. Draw with replacement."),
        "90 %": (wrong_bootstrap(percent=(5, 95)),
            "5 and 95 leave out 10 %: that is a 90 % interval. Leave 2.5 % on each side."),
        "fractions": (wrong_bootstrap(percent=(0.025, 0.975)),
            "percentile counts to 100, so 0.025 is next to nothing; quantile is the one that counts to 1."),
        "extremes": (wrong_bootstrap(percent=(0, 100)),
            "The smallest and the largest mean: they drift apart with every further draw. Take the percentiles."),
        "deviation": (lambda ious, cars, draws, seed: bootstrap_means(ious, cars, draws, seed, percent=(15.87, 84.13)),
            "One standard deviation on each side covers 68 %; 95 % need about two, or the percentiles."),
        "single cars": (wrong_bootstrap(size=1),
            "That is the spread of single cars, not of their mean: average as many cars as there are in each draw."),
        "cars alike": (wrong_bootstrap(weighted=False),
            "You averaged the cars' means; where cars have different numbers of views, that is not the "
            "mean over pictures."),
        "reversed": (wrong_bootstrap(percent=(97.5, 2.5)), "The lower end comes first."),
    },
)
