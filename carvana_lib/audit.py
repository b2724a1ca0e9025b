"""The protocol's eight claims on real photographs, judged from the JSONs in results/ and from nothing else.

Most experiments are small (base_channels 16, 128 px: a quarter of the protocol's channels and of its pixels), so what
they say is about differences between recipes, not about the document's absolute scores.
"""

import numpy as np
import pandas as pd

from carvana_lib.results import OPEN, SIZES, beyond, half_width, records, scores, signed


def on_even_views(record: dict) -> float:
    """Test mIoU over the even views alone."""
    return float(np.mean([value for view, value in record["test_miou_each_view"].items() if int(view) % 2 == 0]))


def pretraining() -> tuple[str, str]:
    """An encoder that has seen ImageNet."""
    if len(gain := beyond("encoder-full", "protocol-full")):
        return f"with ImageNet's encoder {signed(gain)}", "holds" if gain.mean() > 0.0025 else "does not hold"
    return (
        "the experiment is written (results/params/encoder-full.yaml) and needs 508 MB of weights from the network",
        OPEN,
    )


def five_epochs() -> tuple[str, str]:
    """Validation mIoU after each epoch, at each size that was trained."""
    seen, highest = [], []
    for size, what in SIZES.items():
        if not (trained := records(f"protocol-{size}")):
            continue
        curves = pd.DataFrame({seed: record["val_miou_each_epoch"] for seed, record in trained.items()})
        first = ", ".join(str(1 + int((curves[seed] > 0.93).argmax())) for seed in curves)
        means = ", ".join(curves.mean(axis=1).map("{:.3f}".format))
        seeds = f" (mean of {len(curves.columns)} seeds)" if len(curves.columns) > 1 else ""
        seen.append(f"val mIoU after epochs 1 to {len(curves)} with {what}: {means}{seeds}, above 0.93 from {first} on")
        highest.append(curves.max().min())
    return "; ".join(seen), "holds" if min(highest) > 0.93 else "does not hold"


def losses() -> tuple[str, str]:
    """Dice and BCE beside their mean, seed by seed."""
    dice, bce, noise = beyond("loss-dice-small"), beyond("loss-bce-small"), half_width()
    if not len(dice) or not len(bce):
        return "", OPEN
    seen = f"beside bce_dice, dice changes test mIoU by {signed(dice)}, bce by {signed(bce)}"
    if max(abs(dice.mean()), abs(bce.mean())) < noise:
        return seen, f"holds, and for BCE too: less than the {noise:.4f} that other test cars would change"
    best = max({"dice": dice.mean(), "bce": bce.mean(), "bce_dice": 0.0}.items(), key=lambda pair: pair[1])[0]
    return seen, f"the losses differ, {best} is best; no loss fails at a fifth of car pixels"


def gap() -> tuple[str, str]:
    """Test minus validation over several splits, and at the larger sizes."""
    each = {size: scores(f"protocol-{size}") - scores(f"protocol-{size}", "val_miou") for size in SIZES}
    small, worst = each["small"], pd.concat(each).abs().max()
    seen = f"test - val: {', '.join(small.map('{:+.4f}'.format))} over {len(small)} splits"
    if len(small) < 3:
        return seen, OPEN
    from scipy import stats  # here, since it takes as long to import as all the rest

    low, high = stats.t.interval(0.95, len(small) - 1, small.mean(), stats.sem(small))
    seen += f", 95 % interval of the mean {low:+.4f} to {high:+.4f}"
    seen += "".join(f"; {signed(each[size])} with {SIZES[size]}" for size in ("32", "full") if len(each[size]))
    averages = pd.DataFrame([record["metrics"]["test_averagings"] for record in records("protocol-small").values()])
    below, hard = (averages["per image"] - averages["soft"]).mean(), averages.drop(columns="soft")
    spread = (hard.max(axis=1) - hard.min(axis=1)).mean()
    seen += f"; averagings of the same predictions differ by {spread:.3f}, and their soft IoU lies {below:.2f} lower"
    if worst >= 0.03:
        return seen, f"does not hold: {worst:.4f} occurs"
    own = "does not occur" if worst < 0.02 else "may occur"
    return seen, f"holds; the document's own +0.028 {own}, the largest here is {worst:.4f}"


def leak() -> tuple[str, str]:
    """Views of test cars among the training pictures."""
    leaky, honest = records("split-by-image-small"), records("protocol-small")
    gain = {seed: on_even_views(leaky[seed]) - on_even_views(honest[seed]) for seed in leaky.keys() & honest.keys()}
    if not gain:
        return "", OPEN
    gain = pd.Series(gain).sort_index()
    seen = f"the same test pictures, as many training pictures, other views of the test cars among them: {signed(gain)}"
    return seen, "the leak flatters" if gain.min() > 0 else "no flattery that one could see at this size"


def step_schedule() -> tuple[str, str]:
    """StepLR within five epochs."""
    step, constant = records("steplr-small"), records("protocol-small")
    if not step:
        return "", OPEN
    same = all(step[seed]["val_miou_each_epoch"] == constant[seed]["val_miou_each_epoch"] for seed in step)
    seen = "the scores of all five epochs are the same digits" if same else "the scores differ"
    return f"{seen} with StepLR(5) and without", "no difference: it would act after epoch 5" if same else "differs"


def counts() -> tuple[str, str]:
    """How many pictures there are."""
    n = [record["metrics"]["n_test"] for record in records("protocol-small").values()]
    return f"{n[0]} test pictures here, 40 cars of 270", "318 x 16 are 5088 and 48 x 16 are 768, not 5087 and 760"


def grid() -> tuple[str, str]:
    """How many configurations a grid has."""
    return "three learning rates and two losses", "they are 6 configurations; notebook 03 runs all"


CLAIMS = {
    "1 pretraining gives about 0.5 % IoU": pretraining,
    "2 mIoU above 0.93 within 5 epochs": five_epochs,
    "3 Dice copes with class imbalance": losses,
    "4 gap between val and test under 0.03": gap,
    "5 split strictly by car": leak,
    "6 StepLR(5) or none": step_schedule,
    "7 5087 pictures, 760 of them test": counts,
    "8 three configurations": grid,
}


def on_real_photos() -> pd.DataFrame:
    """The eight claims with what was measured on real photographs, and a verdict."""
    begun = bool(records("protocol-small"))  # what all others are compared with
    rows = [(claim, *(judge() if begun else ("", OPEN))) for claim, judge in CLAIMS.items()]
    return pd.DataFrame(rows, columns=["claim", "on real photographs", "verdict"])
