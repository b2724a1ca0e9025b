"""Exercise of notebook 08: a claimed gain, to accept, to refuse or to leave open; with typical mistakes."""

import numpy as np
from scipy import stats

from carvana_course.exercises.checks import Exercise


def called(low: float, high: float) -> str:
    """The verdict on a gain that lies between these."""
    if low > 0:
        return "accept"
    return "refuse" if high < 0 else "cannot be told"


def by_interval(differences: np.ndarray, factor: float) -> str:
    """The verdict by Student's 95 % interval for a variance of `factor` times the differences'; from three pairs on."""
    if len(differences) < 3:
        return "cannot be told"
    reach = stats.t.ppf(0.975, len(differences) - 1) * np.sqrt(factor) * differences.std(ddof=1)
    return called(differences.mean() - reach, differences.mean() + reach)


def in_pairs(before, after) -> str:
    """By the mean difference, seed by seed."""
    return by_interval(after - before, 1 / len(before))


def one_more_pair(before, after) -> str:
    """By where one more pair would lie, not the mean."""
    return by_interval(after - before, 1 + 1 / len(before))


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
