"""Exercises of notebook 08: counts that cannot be, seeds that would tell, a gain to judge; with typical mistakes."""

import numpy as np
import pandas as pd
from scipy import stats

from carvana_course.evidence.results import mean_interval, prediction_interval
from carvana_course.exercises.checks import Exercise

IMPOSSIBLE_COUNTS = Exercise(
    "impossible_counts", lambda counts, views: [count for count in counts if count % views],
    cases={
        "the document's and ours": ([5087, 760, 4320, 640], 16),
        "twelve views a car": ([120, 768, 126], 12),
        "all are possible": ([80, 16, 5088], 16),
        "fewer pictures than one car has": ([8, 160, 16], 16),
    },
    mistakes={
        "possible": (lambda counts, views: [count for count in counts if count % views == 0],
            "Those are the counts that whole cars do give; return the others."),
        "one answer each": (lambda counts, views: [count % views != 0 for count in counts],
            "That is a yes or no for each; return the counts."),
        "remainders": (lambda counts, views: [count % views for count in counts],
            "Those are the pictures left over by whole cars; return the counts that leave any over."),
        "always 16": (lambda counts, views: [count for count in counts if count % 16],
            "Not every data set has 16 views; use `views`."),
        "odd": (lambda counts, views: [count for count in counts if count % 2],
            "An even count need not be a whole number of cars: 760 is even, and 47.5 cars of 16 views."),
        "cars": (lambda counts, views: [count / views for count in counts],
            "Those are numbers of cars. Return the counts for which that is no whole number."),
    },
)


def half_width(n: int, spread: float, quantile: float = 0.975) -> float:
    """Half of the interval of the mean of n differences, by Student."""
    return stats.t.ppf(quantile, n - 1) * spread / np.sqrt(n)


def least_seeds(gain: float, reach, start: int = 3) -> int:
    """The least n, from start on, whose interval reaches less far than the gain."""
    n = start
    while reach(n) >= gain:
        n += 1
    return n


SEEDS_NEEDED = Exercise(
    "seeds_needed", lambda gain, spread: least_seeds(gain, lambda n: half_width(n, spread)),
    cases={
        "a gain as large as its spread": (0.004, 0.004),
        "half as large": (0.002, 0.004),
        "a fifth": (0.001, 0.005),
        "four times as large": (0.020, 0.005),
        "ten times as large": (0.020, 0.002),
    },
    mistakes={
        "normal": (lambda gain, spread: least_seeds(gain, lambda n: 1.96 * spread / np.sqrt(n)),
            "1.96 belongs to a spread that is known. Yours is estimated from a few seeds: take Student's t with "
            "n - 1 degrees of freedom."),
        "no root": (lambda gain, spread: least_seeds(gain, lambda n: stats.t.ppf(0.975, n - 1) * spread / n),
            "The spread of a mean shrinks with the root of the number of seeds."),
        "of one seed": (lambda gain, spread: least_seeds(gain, lambda n: 2 * spread / np.sqrt(n), 1),
            "Two standard errors are a rule of thumb for many seeds; for few, Student's t is much larger."),
        "one side": (lambda gain, spread: least_seeds(gain, lambda n: half_width(n, spread, 0.95)),
            "0.95 leaves 5 % on one side; a 95 % interval leaves 2.5 % on each, so take the quantile 0.975."),
        "n degrees": (lambda gain, spread: least_seeds(
                gain, lambda n: stats.t.ppf(0.975, n) * spread / np.sqrt(n)),
            "The mean has used up one of them: n - 1 degrees of freedom."),
        "whole width": (lambda gain, spread: least_seeds(gain, lambda n: 2 * half_width(n, spread)),
            "The interval begins half its width below the gain. Compare the half, not the whole."),
        "from two": (lambda gain, spread: least_seeds(gain, lambda n: half_width(n, spread), 2),
            "Two seeds that agree are no rarity; this course says nothing below three."),
    },
)


def called(low: float, high: float) -> str:
    """The verdict on a gain that lies between these."""
    if low > 0:
        return "accept"
    return "refuse" if high < 0 else "cannot be told"


def by_interval(differences: np.ndarray, interval) -> str:
    """The verdict by Student's 95 % interval, `mean_interval` or `prediction_interval`, from three pairs on."""
    return "cannot be told" if len(differences) < 3 else called(*interval(pd.Series(differences)))


def in_pairs(before, after) -> str:
    """By the mean difference, seed by seed."""
    return by_interval(after - before, mean_interval)


def one_more_pair(before, after) -> str:
    """By where one more pair would lie, not the mean."""
    return by_interval(after - before, prediction_interval)


def by_means(before, after) -> str:
    """Whose mean is higher."""
    return "accept" if after.mean() > before.mean() else "refuse"


def as_two_groups(before, after) -> str:
    """As if no seed of one belonged to a seed of the other."""
    return called(*stats.ttest_ind(after, before).confidence_interval())


def by_signs(before, after) -> str:
    """A verdict where all pairs have one sign, from three pairs on."""
    return "cannot be told" if len(before) < 3 else called((after - before).min(), (after - before).max())


def two_seeds_will_do(before, after) -> str:
    """Of two pairs that agree, a verdict."""
    return in_pairs(before, after) if len(before) > 2 else called((after - before).min(), (after - before).max())


SPLITS = np.array([0.958, 0.967, 0.949, 0.972, 0.961])  # five splits, of which some are easier than others

JUDGE_GAIN = Exercise(
    "judge_gain", in_pairs,
    cases={
        "a small gain on every split": (SPLITS, SPLITS + (0.004, 0.005, 0.003, 0.005, 0.004)),
        "a gain that one split makes": (SPLITS, SPLITS + (0.001, 0.002, 0.001, 0.030, 0.001)),
        "a loss on every split": (SPLITS, SPLITS - (0.006, 0.004, 0.005, 0.006, 0.005)),
        "now up, now down": (SPLITS, SPLITS + (0.004, -0.003, 0.002, -0.001, 0.003)),
        "two seeds": (SPLITS[:2], SPLITS[:2] + (0.010, 0.011)),
        "a clear mean, a wide spread": (SPLITS, SPLITS + (0.006, 0.001, 0.009, 0.004, 0.005)),
    },
    mistakes={
        "means": (by_means, "You compared the means alone. Some lead is always there; ask how far it could be chance."),
        "two groups": (as_two_groups,
            "Splits differ more than recipes do, and you left that in. Take the difference of each pair first."),
        "one more pair": (one_more_pair,
            "That is where one more pair would lie. The claim is about the mean: its interval is narrower."),
        "two seeds": (two_seeds_will_do, "Two pairs that agree are nothing rare; below three, it cannot be told."),
        "signs": (by_signs,
            "That all pairs agree in their sign is not enough where one of them makes most of the gain: take the "
            "interval of the mean."),
        "refuse": (lambda before, after: "accept" if in_pairs(before, after) == "accept" else "refuse",
            "An interval that holds 0 does not refuse a gain; it leaves the question open."),
    },
)
