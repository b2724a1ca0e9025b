"""The document's eight claims: what one run says of them, and what the experiments on real photographs say.

The second is judged from the JSONs in results/ and from nothing else. Trainings differ by their seed, and with it by
their split, so experiments are compared seed by seed; of a difference between two, nothing is said under three seeds
(of no difference in any digit, one seed tells).
"""

import numpy as np
import pandas as pd

from carvana_course.evidence.facts import cars_on_two_sides
from carvana_course.evidence.results import SIZES, interval, records, scores, signed

CLAIMS = [
    "1 pretraining gives about 0.5 % IoU",
    "2 mIoU above 0.93 within 5 epochs",
    "3 Dice copes with class imbalance",
    "4 gap between val and test under 0.03",
    "5 split strictly by car",
    "6 StepLR(5) or none",
    "7 5087 pictures, 760 of them test",
    "8 three configurations",
]
CLAIMED = {
    "val_miou": 0.9521,
    "test_miou": 0.97996,
    "test_iou_std": 0.0075,
    "test_iou_min": 0.9293,
    "test_iou_max": 0.9900,
    "seconds_per_epoch": 306.0,
    "n_test": 760,
}  # the document's table of results
OWN_GAP = CLAIMED["test_miou"] - CLAIMED["val_miou"]
HALF_A_PERCENT = 0.0025, 0.0075  # what is taken for "about 0.5 %"
OPEN = "cannot be told: not measured yet"


def claimed_and_measured(measured: dict) -> pd.DataFrame:
    """The document's results beside this run's: quantity, document, this run, difference."""
    rows = [(name, claim, measured[name], measured[name] - claim) for name, claim in CLAIMED.items()]
    return pd.DataFrame(rows, columns=["quantity", "document", "this run", "difference"])


def at_its_own_size() -> pd.DataFrame:
    """The document's results beside those of its recipe at its full size, a column a seed; times are left out."""
    names = [name for name in CLAIMED if name.startswith(("val", "test"))]
    columns = {"quantity": names, "document": [f"{CLAIMED[name]:.4f}" for name in names]}
    for seed, record in records("protocol-full").items():
        columns[f"seed {seed}"] = [f"{record['metrics'][name]:.4f}" for name in names]
    return pd.DataFrame(columns)


def averaging_moves(*sizes: list[dict]) -> str:
    """How far the averagings of `metrics.averagings` lie apart on the same predictions: each size's mean."""
    apart, below = [], []
    for averagings in sizes:
        table = pd.DataFrame(averagings)
        hard = table.drop(columns="soft")
        apart.append(f"{(hard.max(axis=1) - hard.min(axis=1)).mean():.4f}")
        below.append(f"{(table['per image'] - table['soft']).mean():.2f}")
    return (
        f"averagings of the same predictions differ by {', '.join(apart)}; "
        f"soft IoU lies {', '.join(below)} below the one per image"
    )


def verdicts(
    measured: dict, history: pd.DataFrame, params, tuning: pd.DataFrame, pictures: pd.DataFrame, rendered: bool
) -> pd.DataFrame:
    """The eight claims, each with what this run says: claim, this run, verdict.

    A run on rendered pictures judges only what does not depend on the photographs.
    """
    best, difference = history["val_miou"].head(5).max(), measured["test_miou"] - measured["val_miou"]
    trials = ", ".join(f"{loss}: {value:.4f}" for loss, value in tuning.groupby("loss")["val_miou"].max().items())
    here = "cannot be told from rendered pictures" if rendered else None
    shared = cars_on_two_sides(pictures)
    rates = f"learning rate over {len(history)} epochs: {sorted(set(history['learning_rate']))}"
    acted = params.scheduler == "step" and len(history) > 5
    whole = "318 cars x 16 views are 5088" if len(pictures) == 5088 else "cannot be told: not the full set"
    said = [
        ("no pretrained net in this run", "not tested here"),
        (f"best of the first 5: {best:.4f}", here or ("holds" if best > 0.93 else "does not hold")),
        (f"best trial {trials}", few(1)) if trials else ("no search in this run", "not tested here"),
        (
            f"test - val: {difference:+.4f}; {averaging_moves([measured['test_averagings']])}",
            here or ("holds" if abs(difference) < 0.03 else "does not hold"),
        ),
        (f"cars on two sides: {shared}", "does not hold" if shared else "holds"),
        (rates, "StepLR acted after epoch 5" if acted else "no difference within 5 epochs"),
        (f"{len(pictures)} pictures, {measured['n_test']} test", here or whole),
        (f"{len(tuning)} trials", "3 learning rates x 2 losses are 6"),
    ]
    return pd.DataFrame([(claim, *row) for claim, row in zip(CLAIMS, said, strict=True)],
                        columns=["claim", "this run", "verdict"])  # fmt: skip


def few(n: int) -> str:
    """The verdict on one seed or two."""
    return f"cannot be told from {'one seed' if n == 1 else 'two seeds'}"


def judged(seen: str, differences: pd.Series, verdict) -> tuple[str, str]:
    """What was seen with the differences of all seeds, and `verdict(low, high)` on their mean's 95 % interval."""
    seen = f"{seen}: {signed(differences)}"
    if len(differences) < 3:
        return seen, few(len(differences))
    low, high = interval(differences)
    return f"{seen}, 95 % interval of the mean {low:+.4f} to {high:+.4f}", verdict(low, high)


def pretraining() -> tuple[str, str]:
    """An encoder that has seen ImageNet, beside the same net without."""
    gain, (least, most) = (scores("encoder-full") - scores("protocol-full")).dropna(), HALF_A_PERCENT
    if not len(gain):
        return "results/params/encoder-full.yaml is to be run: it needs 508 MB of weights from the network", OPEN

    def verdict(low, high):
        if high < least or low > most:
            return "does not hold"
        return "holds" if least < low and high < most else "cannot be told: the seeds differ too much"

    return judged("test mIoU with the pretrained encoder minus without", gain, verdict)


def five_epochs() -> tuple[str, str]:
    """Validation mIoU after each epoch, at each size that was trained; the document's own size decides."""
    seen, above = [], {}
    for size, what in SIZES.items():
        trained = records(f"protocol-{size}")
        curves = pd.DataFrame({seed: record["val_miou_each_epoch"] for seed, record in trained.items()})
        for_all = [str(1 + int(over.argmax())) if over.any() else "none" for _, over in (curves > 0.93).items()]
        if for_all:
            means = ", ".join(curves.mean(axis=1).map("{:.3f}".format))
            seeds = f" (mean of {len(for_all)} seeds)" if len(for_all) > 1 else ""
            first = f"first above 0.93 after epoch {', '.join(for_all)}"
            seen.append(f"val mIoU after epochs 1 to {len(curves)} with {what}: {means}{seeds}, {first}")
            above[size] = "none" not in for_all
    if not seen:
        return "", OPEN
    if "full" in above:
        return "; ".join(seen), "holds" if above["full"] else "does not hold"
    holds = "holds at these sizes" if all(above.values()) else "does not hold at every size"
    return "; ".join(seen), f"{holds}; the document's own was not trained yet"


def losses() -> tuple[str, str]:
    """Dice and BCE under the same budget, with the seeds that all three losses have."""
    each = {"bce": "loss-bce-small", "dice": "loss-dice-small", "bce_dice": "protocol-small"}
    table = pd.DataFrame({loss: scores(name) for loss, name in each.items()}).dropna()
    if not len(table):
        return "", OPEN
    means = ", ".join(f"{loss} {value:.4f}" for loss, value in table.mean().items())
    seen = f"test mIoU at a learning rate of 1e-4: {means}; bce_dice - bce: {signed(table['bce_dice'] - table['bce'])}"

    def verdict(low, high):
        if low <= 0 <= high:
            return "cannot be told: these seeds do not settle whether Dice or BCE scores higher"
        return "holds: Dice scores higher than BCE" if low > 0 else "does not hold here: BCE scores higher"

    return judged(f"{seen}; dice - bce", table["dice"] - table["bce"], verdict)


def gap() -> tuple[str, str]:
    """Test minus validation over several splits, and at the larger sizes."""
    each = {size: scores(f"protocol-{size}") - scores(f"protocol-{size}", "val_miou") for size in SIZES}
    small, largest = each["small"], pd.concat(each).abs().max()
    if not len(small):
        return "", OPEN
    seen = f"test - val: {', '.join(small.map('{:+.4f}'.format))} over {len(small)} splits of the same cars"
    if len(small) < 3:
        return seen, few(len(small))
    low, high = interval(small, further=True)
    seen += f"; a further split would lie within {low:+.4f} to {high:+.4f} (95 %)"
    seen += "".join(f"; {signed(each[size])} with {SIZES[size]}" for size in ("32", "full") if len(each[size]))
    averagings = {what: [r["metrics"]["test_averagings"] for r in records(f"protocol-{size}").values()]
                  for size, what in SIZES.items() if len(each[size])}  # fmt: skip
    seen += f"; {averaging_moves(*averagings.values())} ({'; '.join(averagings)})"
    within = "holds" if -0.03 < low < high < 0.03 else "cannot be told: a further split may lie beyond"
    own = (
        f"the document's own {OWN_GAP:+.4f} is {'within' if low < OWN_GAP < high else 'outside'} what splits give here"
    )
    return seen, f"{within if largest < 0.03 else 'does not hold'}; the largest is {largest:.4f}; {own}"


def on_even_views(record: dict) -> float:
    """Test mIoU over the even views alone."""
    return float(np.mean([value for view, value in record["test_miou_each_view"].items() if int(view) % 2 == 0]))


def leak() -> tuple[str, str]:
    """Other views of the cars that are scored among the training pictures."""
    leaky, honest = (
        pd.Series({seed: on_even_views(record) for seed, record in records(name).items()}, dtype=float)
        for name in ("split-by-image-small", "protocol-small")
    )
    gain = (leaky - honest).dropna()
    if not len(gain):
        return "", OPEN
    seen = "the same test pictures, as many training pictures, but odd views of the test and validation cars among them"

    def verdict(low, high):
        if low > 0:
            return "holds: by image, the score is flattered"
        return f"cannot be told: {'by image, the score was lower' if high < 0 else 'these seeds do not settle it'}"

    return judged(seen, gain, verdict)


def step_schedule() -> tuple[str, str]:
    """StepLR within five epochs."""
    step, constant = records("steplr-small"), records("protocol-small")
    pairs = [(step[seed], constant[seed]) for seed in step.keys() & constant.keys()]
    pairs = [(one, other) for one, other in pairs if one["device"] == other["device"]]  # else they round otherwise
    if not pairs:
        return "", OPEN
    if all(one["val_miou_each_epoch"] == other["val_miou_each_epoch"] for one, other in pairs):
        seen = "the scores of all five epochs are the same digits with StepLR(5) and without"
        return seen, "does not hold: there is nothing to choose, StepLR(5) acts after epoch 5"
    return "the scores of the five epochs are other digits with StepLR(5) than without", "holds: the two differ"


def counts() -> tuple[str, str]:
    """How many pictures there are."""
    if not (record := next(iter(records("protocol-small").values()), None)):
        return "", OPEN
    found, test = record["metrics"], len(record["test_cars"])
    cars = (found["n_train"] + found["n_val"] + found["n_test"]) // 16
    seen = f"{found['n_test']} test pictures here, of {test} cars among {cars}"
    return seen, f"does not hold: 318 cars x 16 views are {318 * 16}, and 48 cars x 16 are {48 * 16}"


def grid() -> tuple[str, str]:
    """The grid of learning rates and losses, one epoch each, searched once."""
    if not (record := next(iter(records("grid-small").values()), None)):
        return "", OPEN
    trials = pd.DataFrame(record["grid"]).sort_values("val_miou", ascending=False)
    rows = [f"{row.learning_rate:g} {row.loss} {row.val_miou:.3f}" for row in trials.itertuples()]
    first, counted = trials.iloc[0], f"{trials['learning_rate'].nunique()} rates x {trials['loss'].nunique()} losses"
    same = (first["learning_rate"], first["loss"]) == (1e-4, "bce_dice")
    won = f"the document's choice, 1e-4 with bce_dice, {'won' if same else 'did not win'} in one search at this size"
    return f"val mIoU after one epoch: {', '.join(rows)}", f"does not hold: {counted} are {len(trials)}; {won}"


JUDGES = [pretraining, five_epochs, losses, gap, leak, step_schedule, counts, grid]


def on_real_photos() -> pd.DataFrame:
    """The eight claims with what was measured on real photographs, and a verdict."""
    rows = [(claim, *judge()) for claim, judge in zip(CLAIMS, JUDGES, strict=True)]
    return pd.DataFrame(rows, columns=["claim", "on real photographs", "verdict"])
