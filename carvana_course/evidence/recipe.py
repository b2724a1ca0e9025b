"""The better recipe: what each ingredient gains on top of those before it, and all of them together."""

import pandas as pd

from carvana_course.evidence.paired import Gain, compare, holm
from carvana_course.evidence.results import (
    SIZES,
    error_removed,
    experiment_link,
    in_percent,
    mean_interval,
    scores_by_seed,
    seeds_in_words,
)

RECIPE_STEPS = {  # experiment -> what it adds to the one before it
    "protocol-small": "the protocol",
    "rate-small": "+ a learning rate of 1e-3 in place of 1e-4",
    "onecycle-small": "+ OneCycle, with a peak of 3e-3",
    "mirrors-small": "+ mirroring as the only augmentation",
    "batch-small": "+ batches of 4, with a peak of 2e-3",
    "best-small": "+ mirrored predictions",
    "best-batch-2-small": "+ batches of 2, with a peak of 1.4e-3",
}


def step_gains() -> dict[str, tuple[Gain, float]]:
    """Of each step that can be compared with the one before it: its gain, and p, corrected by Holm for all of them."""
    gains = {}
    for name, before in zip(list(RECIPE_STEPS)[1:], RECIPE_STEPS, strict=False):
        found = compare(name, before)
        if found is not None:
            gains[name] = found
    corrected = holm([gain.p for gain in gains.values()])
    return {name: (gain, float(p)) for (name, gain), p in zip(gains.items(), corrected, strict=True)}


def ingredients() -> pd.DataFrame:
    """A row a step of the recipe: recipe, experiment, test mIoU, error (1 - mIoU), gain over the row above, its 95 %
    interval, and p, corrected by Holm for as many looks as there are gains.

    Scores are of the seeds that all steps have, gains of those that a step shares with the one above. Steps that were
    not trained are left out, and no gain is given where the step before is missing.
    """
    trained = pd.DataFrame({name: scores_by_seed(name) for name in RECIPE_STEPS})  # a row a seed
    trained = trained.dropna(axis=1, how="all").dropna()
    gains = step_gains()
    rows = []
    for name, what in RECIPE_STEPS.items():
        if name not in trained:
            continue
        mean = trained[name].mean()
        row = {
            "recipe": what,
            "experiment": experiment_link(name),
            "test mIoU": f"{mean:.4f}",
            "error": f"{1 - mean:.4f}",
        }
        if name in gains:
            gain, corrected = gains[name]
            row["gain"] = f"{gain.mean:+.4f}"
            row["95 % interval"] = f"{gain.low:+.4f} to {gain.high:+.4f}"
            row["p, corrected"] = f"{corrected:.3f}" if gain.seeds > 1 else ""
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def recipe_gain() -> str:
    """How much of the protocol's error the better recipe takes, size by size and seed by seed."""
    sentences = []
    for size, what in SIZES.items():
        protocol = scores_by_seed(f"protocol-{size}")
        recipe = scores_by_seed(f"best-batch-2-{size}")
        shares = error_removed(protocol, recipe).dropna()
        if len(shares) == 0:
            continue
        gain = f"{in_percent(shares)} with {seeds_in_words(shares)}"
        if len(shares) > 2:
            low, high = mean_interval(shares)
            gain += f", 95 % interval of the mean {100 * low:.0f} to {100 * high:.0f} %"
        means = f"test mIoU {protocol[shares.index].mean():.4f} against {recipe[shares.index].mean():.4f}"
        if len(shares) > 1:
            means = f"mean {means}"
        sentences.append(f"{gain} ({what}; {means})")
    return f"Error removed by all of them: {'; '.join(sentences) or 'not measured yet'}."
