"""What a judge says of a claim: what was seen, a verdict, and where it is one difference, that with its interval."""

from typing import NamedTuple

import pandas as pd

from carvana_course.evidence.results import mean_interval, signed_differences

NOT_MEASURED = "cannot be told: not measured yet"
NAN = float("nan")


class Judgement(NamedTuple):
    """What experiments say of a claim.

    seen: what was measured, in words. verdict: begins with "holds", "does not hold" or "cannot be told".
    measured: where one difference of mIoU decides, its mean and 95 % interval (mean, low, high); NaN for no interval.
    claimed: where that difference would lie if the claim held, (low, high). counted: a fact in place of a difference.
    """

    seen: str
    verdict: str
    measured: tuple[float, float, float] | None = None
    claimed: tuple[float, float] | None = None
    counted: str = ""


def holds(claim: bool) -> str:
    """The verdict on a claim that was tested."""
    return "holds" if claim else "does not hold"


def too_few_seeds(n: int) -> str:
    """The verdict on one seed or two."""
    return f"cannot be told from {'one seed' if n == 1 else 'two seeds'}"


def judge_differences(seen: str, differences: pd.Series, verdict, claimed: tuple[float, float]) -> Judgement:
    """What was seen with the differences of all seeds, and `verdict(low, high)` on their mean's 95 % interval."""
    seen = f"{seen}: {signed_differences(differences)}"
    mean = differences.mean()
    if len(differences) < 3:
        return Judgement(seen, too_few_seeds(len(differences)), (mean, NAN, NAN), claimed)
    low, high = mean_interval(differences)
    seen += f", 95 % interval of the mean {low:+.4f} to {high:+.4f}"
    return Judgement(seen, verdict(low, high), (mean, low, high), claimed)
