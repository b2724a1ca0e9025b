"""What the experiments on real photographs say of the document's eight claims, a function for each claim.

Each returns a `Judgement`, from the JSONs in results/ and from nothing else. Training runs differ by their seed, and
with it by their split, so experiments are compared seed by seed; of a difference between two, nothing is said under
three seeds (of no difference in any digit, one seed tells).
"""

import numpy as np
import pandas as pd

from carvana_course.evidence import transfer
from carvana_course.evidence.document import DOCUMENT_GAP
from carvana_course.evidence.judgement import NAN, NOT_MEASURED, Judgement, holds, judge_differences, too_few_seeds
from carvana_course.evidence.results import (
    SIZES,
    leak_gains,
    prediction_interval,
    results_by_seed,
    scores_by_seed,
    signed_differences,
    study_json,
)

HALF_A_PERCENT = (0.0025, 0.0075)  # what is taken for "about 0.5 %"
FULL = 190  # training cars of an experiment that leaves none out


def averaging_moves(*sizes: list[dict]) -> str:
    """How far the averagings of `metrics.averagings` lie apart on the same predictions: each size's mean."""
    apart = []
    below = []
    for averagings in sizes:
        table = pd.DataFrame(averagings)
        hard = table.drop(columns="soft")
        apart.append(f"{(hard.max(axis=1) - hard.min(axis=1)).mean():.4f}")
        below.append(f"{(table['per image'] - table['soft']).mean():.2f}")
    return (
        f"averagings of the same predictions differ by {', '.join(apart)}; "
        f"soft IoU lies {', '.join(below)} below the one per image"
    )


def judge_pretraining() -> Judgement:
    """An encoder that has seen ImageNet, beside the same net without; all labelled cars decide."""
    gains = transfer.pretraining_gains().set_index("cars")
    if FULL not in gains.index:
        return Judgement("", NOT_MEASURED)
    rows = [f"{row.gain:+.4f} with {cars} cars ({row.low:+.4f} to {row.high:+.4f})" for cars, row in gains.iterrows()]
    seen = f"the same net after ImageNet minus from random weights, 95 % interval over seeds: {', '.join(rows)}"
    lead = transfer.lead_by_seed("encoder, after ImageNet", "U-Net, random weights", FULL)
    if len(lead):
        seen += f"; minus the U-Net of 16 channels, {FULL} cars: {signed_differences(lead)}"
    larger = (scores_by_seed("lite0-256") - scores_by_seed("lite0-random-256")).dropna()
    if len(larger):
        seen += f"; at 256 px, {FULL} cars: {signed_differences(larger)}"
    seeds, gain, low, high = gains.loc[FULL, ["seeds", "gain", "low", "high"]]
    least, most = HALF_A_PERCENT
    if seeds < 3:
        verdict = too_few_seeds(seeds)
    elif high < least:
        verdict = "does not hold: it gives less"
    elif low > most:
        verdict = f"does not hold: with all {FULL} cars it gives {100 * gain:.1f} % to this net"
    elif least < low and high < most:
        verdict = "holds"
    else:
        verdict = "cannot be told: the seeds differ too much"
    return Judgement(seen, verdict, (gain, low, high), HALF_A_PERCENT)


def judge_five_epochs() -> Judgement:
    """Validation mIoU after each epoch, at each size that was trained; the document's own size decides."""
    seen = []
    every_seed_above = {}
    margins = {}
    for size, what in SIZES.items():
        results = results_by_seed(f"protocol-{size}")
        if not results:
            continue
        curves = pd.DataFrame({seed: result["val_miou_each_epoch"] for seed, result in results.items()})
        above = curves > 0.93
        first = [str(1 + int(above[seed].argmax())) if above[seed].any() else "none" for seed in curves]
        means = ", ".join(curves.mean(axis=1).map("{:.3f}".format))
        seeds = f" (mean of {len(results)} seeds)" if len(results) > 1 else ""
        seen.append(
            f"val mIoU after epochs 1 to {len(curves)} with {what}: {means}{seeds}, "
            f"first above 0.93 after epoch {', '.join(first)}"
        )
        every_seed_above[size] = "none" not in first
        margins[size] = curves.max().mean() - 0.93
    if not seen:
        return Judgement("", NOT_MEASURED)
    if "full" in every_seed_above:
        measured = (margins["full"], NAN, NAN)
        return Judgement("; ".join(seen), holds(every_seed_above["full"]), measured, (0, 0.07))
    here = "holds at these sizes" if all(every_seed_above.values()) else "does not hold at every size"
    return Judgement("; ".join(seen), f"{here}; the document's own was not trained yet")


def judge_losses() -> Judgement:
    """Dice and BCE under the same budget, with the seeds that all three losses have."""
    experiments = {"bce": "loss-bce-small", "dice": "loss-dice-small", "bce_dice": "protocol-small"}
    table = pd.DataFrame({loss: scores_by_seed(name) for loss, name in experiments.items()}).dropna()
    if len(table) == 0:
        return Judgement("", NOT_MEASURED)
    means = ", ".join(f"{loss} {value:.4f}" for loss, value in table.mean().items())
    both = signed_differences(table["bce_dice"] - table["bce"])

    def verdict(low, high):
        if low <= 0 <= high:
            return "cannot be told: these seeds do not settle whether Dice or BCE scores higher"
        return "holds: Dice scores higher than BCE" if low > 0 else "does not hold here: BCE scores higher"

    seen = f"test mIoU at a learning rate of 1e-4: {means}; bce_dice - bce: {both}; dice - bce"
    return judge_differences(seen, table["dice"] - table["bce"], verdict, (0, 1))


def judge_gap() -> Judgement:
    """Test minus validation over several splits, and at the larger sizes."""
    gaps = {}
    for size in SIZES:
        gap = scores_by_seed(f"protocol-{size}") - scores_by_seed(f"protocol-{size}", "val_miou")
        if len(gap):
            gaps[size] = gap
    if "small" not in gaps:
        return Judgement("", NOT_MEASURED)
    small = gaps["small"]
    seen = f"test - val: {', '.join(small.map('{:+.4f}'.format))} over {len(small)} splits of the same cars"
    if len(small) < 3:
        return Judgement(seen, too_few_seeds(len(small)))
    low, high = prediction_interval(small)
    seen += f"; a further split of this net would lie within {low:+.4f} to {high:+.4f} (95 %)"
    for size, gap in gaps.items():
        if size != "small":
            seen += f"; {signed_differences(gap)} with {SIZES[size]}"
    averagings = [averagings_of(f"protocol-{size}") for size in gaps]
    seen += f"; {averaging_moves(*averagings)} ({'; '.join(SIZES[size] for size in gaps)})"

    every = pd.concat(gaps)
    largest = every.abs().max()
    if largest >= 0.03:
        verdict = "does not hold"
    elif -0.03 < low < high < 0.03:
        verdict = "holds"
    else:
        verdict = "cannot be told: a further split may lie beyond"
    side = "within" if largest >= DOCUMENT_GAP else "beyond"
    own = f"the document's own {DOCUMENT_GAP:+.4f} is {side} what was seen"
    verdict = f"{verdict}; the largest of {len(every)} is {largest:.4f}; {own}"
    return Judgement(seen, verdict, (small.mean(), low, high), (-0.03, 0.03))


def averagings_of(name: str) -> list[dict]:
    """The test score of an experiment under each averaging: a dictionary a seed."""
    return [result["metrics"]["test_averagings"] for result in results_by_seed(name).values()]


def even_view_scores(name: str) -> pd.Series:
    """Test mIoU of an experiment over the even views alone, by seed."""
    scores = {}
    for seed, result in results_by_seed(name).items():
        by_view = result["test_miou_each_view"]
        scores[seed] = np.mean([score for view, score in by_view.items() if int(view) % 2 == 0])
    return pd.Series(scores, dtype=float)


def judge_leak() -> Judgement:
    """Other views of the cars that are scored among the training pictures."""
    gain = (even_view_scores("split-by-image-small") - even_view_scores("protocol-small")).dropna()
    if len(gain) == 0:
        return Judgement("", NOT_MEASURED)

    def verdict(low, high):
        if low > 0:
            return "holds: by image, the score is flattered"
        if high < 0:
            return "cannot be told: by image, the score was lower"
        return "cannot be told: these seeds do not settle it"

    seen = "the same test pictures, as many training pictures, but odd views of the test and validation cars among them"
    found = judge_differences(seen, gain, verdict, (0, 1))
    if not study_json("leak").exists():
        return found
    few = leak_gains().set_index("seed")["gain"]
    seen = f"{found.seen}; with 13 cars and 100 passes over them: {signed_differences(few)}"
    flatters = "; a net that can memorise 13 cars is flattered with every seed" if (few > 0).all() else ""
    return found._replace(seen=seen, verdict=f"{found.verdict}{flatters}")


def judge_step_schedule() -> Judgement:
    """StepLR within five epochs."""
    step = results_by_seed("steplr-small")
    constant = results_by_seed("protocol-small")
    pairs = [(step[seed], constant[seed]) for seed in step.keys() & constant.keys()]
    pairs = [(one, other) for one, other in pairs if one["device"] == other["device"]]  # else they round otherwise
    if not pairs:
        return Judgement("", NOT_MEASURED)
    if all(one["val_miou_each_epoch"] == other["val_miou_each_epoch"] for one, other in pairs):
        seen = "the scores of all five epochs are the same digits with StepLR(5) and without"
        return Judgement(seen, "does not hold: there is nothing to choose, StepLR(5) acts after epoch 5", (0, NAN, NAN))
    seen = "the scores of the five epochs are other digits with StepLR(5) than without"
    return Judgement(seen, "cannot be told: rounding alone may do that")


def judge_picture_counts() -> Judgement:
    """How many pictures there are."""
    results = list(results_by_seed("protocol-small").values())
    if not results:
        return Judgement("", NOT_MEASURED)
    metrics = results[0]["metrics"]
    test_cars = metrics["n_test"] // 16
    cars = (metrics["n_train"] + metrics["n_val"] + metrics["n_test"]) // 16
    seen = f"{metrics['n_test']} test pictures here, of {test_cars} cars among {cars}"
    verdict = f"does not hold: 318 cars x 16 views are {318 * 16}, and 48 cars x 16 are {48 * 16}"
    return Judgement(seen, verdict, counted=f"{318 * 16}, and {48 * 16} of them")


def judge_grid() -> Judgement:
    """The grid of learning rates and losses, one epoch each, searched once a seed."""
    results = list(results_by_seed("grid-small").values())
    if not results:
        return Judgement("", NOT_MEASURED)
    trials = pd.DataFrame(results[0]["grid"]).sort_values("val_miou", ascending=False)
    rows = [f"{row.learning_rate:g} {row.loss} {row.val_miou:.3f}" for row in trials.itertuples()]
    counted = f"{trials['learning_rate'].nunique()} rates x {trials['loss'].nunique()} losses are {len(trials)}"
    winners = [max(result["grid"], key=lambda trial: trial["val_miou"]) for result in results]
    won = [(best["learning_rate"], best["loss"]) == (1e-4, "bce_dice") for best in winners].count(True)
    choice = f"the document's choice, 1e-4 with bce_dice, won {won} of {len(winners)} searches at this size"
    names = ", ".join(f"{best['learning_rate']:g} {best['loss']}" for best in winners)
    seen = f"val mIoU after one epoch, seed 0: {', '.join(rows)}; won, seed by seed: {names}"
    return Judgement(seen, f"does not hold: {counted}; {choice}", counted=f"{len(trials)} configurations")


JUDGES = [
    judge_pretraining,
    judge_five_epochs,
    judge_losses,
    judge_gap,
    judge_leak,
    judge_step_schedule,
    judge_picture_counts,
    judge_grid,
]
