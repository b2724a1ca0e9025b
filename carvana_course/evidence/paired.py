"""Two experiments compared on the same test cars, car by car and seed by seed.

The gain of a car under a seed is taken to be the mean gain, plus what that seed adds to all of its cars, plus what
the car adds: a mixed model. Every seed scores as many cars, so the mean's estimate is the mean over seeds, and its
interval Student's on the seeds' means; seeds share test cars, which makes it somewhat too narrow. Where there is one
seed, only its cars can be drawn with replacement, and the interval leaves out what another seed would have given.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from carvana_course.evidence.results import mean_interval, results_by_seed

DRAWS = 2000


class Gain(NamedTuple):
    """How much higher one experiment scores than another: mean, 95 % interval, p of no gain, number of seeds."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def gains_by_car(name: str, other: str) -> dict[int, np.ndarray]:
    """How much higher an experiment scores than another, by seed: (cars,) differences of a test car's mean IoU."""
    results = results_by_seed(name)
    others = results_by_seed(other)
    gains = {}
    for seed in sorted(results.keys() & others.keys()):
        after = pd.Series(results[seed].get("test_miou_each_car"), dtype=float)
        before = pd.Series(others[seed].get("test_miou_each_car"), dtype=float)
        if len(after) and len(before):
            gains[seed] = (after - before).dropna().to_numpy()
    return gains


def bootstrap_over_cars(gains: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of (cars,) differences, from cars drawn with replacement."""
    drawn = np.random.default_rng(seed).choice(gains, (DRAWS, len(gains)))
    low, high = np.quantile(drawn.mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def compare(name: str, other: str) -> Gain | None:
    """The gain of an experiment over another; None where no seed has both. p is NaN for a single seed."""
    gains = gains_by_car(name, other)
    if not gains:
        return None
    means = pd.Series({seed: cars.mean() for seed, cars in gains.items()})
    if len(means) == 1:
        (cars,) = gains.values()
        return Gain(means.mean(), *bootstrap_over_cars(cars), float("nan"), 1)
    from scipy import stats  # here, since it takes as long to import as all the rest

    p = stats.ttest_1samp(means, 0).pvalue
    return Gain(means.mean(), *mean_interval(means), float(p), len(means))


def holm(p_values) -> np.ndarray:
    """Holm's correction (1979) for looking at several p values: (n,) -> (n,), each at most 1.

    The least is multiplied by n, the next by n - 1, and so on, and none may come out below the one before.
    """
    p_values = np.asarray(p_values, float)
    order = p_values.argsort()
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty_like(scaled)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected
