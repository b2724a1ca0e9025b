"""The document's eight claims: what one run says of them, and what the experiments on real photographs say.

The second is judged from the JSONs in results/ and from nothing else. Trainings differ by their seed, and with it by
their split, so experiments are compared seed by seed; under three seeds nothing is said.
"""

import numpy as np
import pandas as pd

from carvana_lib.results import SIZES, beyond, interval, records, scores, signed

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
OPEN = "cannot be told: not measured yet"


def claimed_and_measured(measured: dict) -> pd.DataFrame:
    """The document's results beside this run's: quantity, document, this run, difference."""
    rows = [(name, claim, measured[name], measured[name] - claim) for name, claim in CLAIMED.items()]
    return pd.DataFrame(rows, columns=["quantity", "document", "this run", "difference"])


def averaging_moves(averagings: list[dict]) -> str:
    """How far the averagings of `metrics.averagings` lie apart on the same predictions, the mean over trainings."""
    table = pd.DataFrame(averagings)
    hard = table.drop(columns="soft")
    apart, below = (hard.max(axis=1) - hard.min(axis=1)).mean(), (table["per image"] - table["soft"]).mean()
    return f"averagings of the same predictions differ by {apart:.4f}, their soft IoU lies {below:.2f} lower"


def verdicts(
    measured: dict, history: pd.DataFrame, params, tuning: pd.DataFrame, pictures: pd.DataFrame, rendered: bool
) -> pd.DataFrame:
    """The eight claims, each with what this run says: claim, this run, verdict.

    A run on rendered pictures judges only what does not depend on the photographs.
    """
    best, difference = history["val_miou"].head(5).max(), measured["test_miou"] - measured["val_miou"]
    trials = ", ".join(f"{loss}: {value:.4f}" for loss, value in tuning.groupby("loss")["val_miou"].max().items())
    here = "cannot be told from rendered pictures" if rendered else None
    shared = int((pictures.groupby("car_id")["split"].nunique() > 1).sum())
    rates = f"learning rate over {len(history)} epochs: {sorted(set(history['learning_rate']))}"
    no_step = params.scheduler == "none" or len(history) <= 5
    whole = "318 cars x 16 views are 5088" if len(pictures) == 5088 else "cannot be told: not the full set"
    said = [
        ("no pretrained net in this run", "not tested here"),
        (f"best of the first 5: {best:.4f}", here or ("holds" if best > 0.93 else "does not hold")),
        (f"best trial {trials}", few(1)),
        (
            f"test - val: {difference:+.4f}; {averaging_moves([measured['test_averagings']])}",
            here or ("holds" if abs(difference) < 0.03 else "does not hold"),
        ),
        (f"cars on two sides: {shared}", "does not hold" if shared else "holds"),
        (rates, "no difference within 5 epochs" if no_step else "StepLR acted after epoch 5"),
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
    gain = beyond("encoder-full", "protocol-full")
    if not len(gain):
        return "results/params/encoder-full.yaml was not run: it needs 508 MB of weights from the network", OPEN
    seen = "test mIoU with the pretrained encoder minus without"
    return judged(seen, gain, lambda low, high: "holds" if 0 < low < 0.005 < high else "does not hold")


def five_epochs() -> tuple[str, str]:
    """Validation mIoU after each epoch, at each size that was trained."""
    seen, highest = [], []
    for size, what in SIZES.items():
        trained = records(f"protocol-{size}")
        curves = pd.DataFrame({seed: record["val_miou_each_epoch"] for seed, record in trained.items()})
        for_all = [str(1 + int(above.argmax())) if above.any() else "none" for _, above in (curves > 0.93).items()]
        if for_all:
            means = ", ".join(curves.mean(axis=1).map("{:.3f}".format))
            seeds = f" (mean of {len(for_all)} seeds)" if len(for_all) > 1 else ""
            first = f"first above 0.93 after epoch {', '.join(for_all)}"
            seen.append(f"val mIoU after epochs 1 to {len(curves)} with {what}: {means}{seeds}, {first}")
            highest.append(curves.max().min())
    if not seen:
        return "", OPEN
    full = "" if records("protocol-full") else " at these sizes; the document's own was not trained yet"
    return "; ".join(seen), ("holds" if min(highest) > 0.93 else "does not hold") + full


def losses() -> tuple[str, str]:
    """Dice and BCE under the same budget, with the seeds that both have."""
    each = {"bce": "loss-bce-small", "dice": "loss-dice-small", "bce_dice": "protocol-small"}
    table = pd.DataFrame({loss: scores(name) for loss, name in each.items()}).dropna()
    difference = table["dice"] - table["bce"]
    if not len(table):
        return "", OPEN
    means = ", ".join(f"{loss} {value:.4f}" for loss, value in table.mean().items())

    def verdict(low, high):
        if low <= 0 <= high:
            return "cannot be told: BCE, which ignores the imbalance, does no worse"
        return "holds: Dice does better than BCE" if low > 0 else "does not hold here: BCE alone does better"

    return judged(f"test mIoU: {means}; dice - bce", difference, verdict)


def gap() -> tuple[str, str]:
    """Test minus validation over several splits, and at the larger sizes."""
    each = {size: scores(f"protocol-{size}") - scores(f"protocol-{size}", "val_miou") for size in SIZES}
    small, worst = each["small"], pd.concat(each).abs().max()
    if not len(small):
        return "", OPEN
    seen = f"test - val: {', '.join(small.map('{:+.4f}'.format))} over {len(small)} splits of the same cars"
    if len(small) < 3:
        return seen, few(len(small))
    low, high = interval(small, further=True)
    seen += f"; a further split would lie within {low:+.4f} to {high:+.4f} (95 %)"
    seen += "".join(f"; {signed(each[size])} with {SIZES[size]}" for size in ("32", "full") if len(each[size]))
    seen += f"; {averaging_moves([r['metrics']['test_averagings'] for r in records('protocol-small').values()])}"
    own = f"the document's own {OWN_GAP:+.4f} is {'within' if low < OWN_GAP < high else 'far outside'} what splits give"
    return seen, f"{'holds' if worst < 0.03 else 'does not hold'}, the largest is {worst:.4f}; {own}"


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
            return "the split matters: by image, the score is flattered"
        return "by image, the score was not flattered" + (" but lower" if high < 0 else " that one could see")

    return judged(seen, gain, verdict)


def step_schedule() -> tuple[str, str]:
    """StepLR within five epochs."""
    step, constant = records("steplr-small"), records("protocol-small")
    if not (seeds := step.keys() & constant.keys()):
        return "", OPEN
    if all(step[seed]["val_miou_each_epoch"] == constant[seed]["val_miou_each_epoch"] for seed in seeds):
        seen = "the scores of all five epochs are the same digits with StepLR(5) and without"
        return seen, "no difference: it would act after epoch 5"
    return "the scores differ", "cannot be told: the two may have been computed in other numbers of threads"


def counts() -> tuple[str, str]:
    """How many pictures there are."""
    if not (record := next(iter(records("protocol-small").values()), None)):
        return "", OPEN
    found, test = record["metrics"], len(record["test_cars"])
    cars = (found["n_train"] + found["n_val"] + found["n_test"]) // 16
    seen = f"{found['n_test']} test pictures here, of {test} cars among {cars}"
    return seen, f"does not hold: 318 cars x 16 views are {318 * 16}, and 48 cars x 16 are {48 * 16}"


def grid() -> tuple[str, str]:
    """The grid of learning rates and losses, one epoch each."""
    trials = pd.DataFrame([trial for record in records("grid-small").values() for trial in record["grid"]])
    if not len(trials):
        return "", OPEN
    trials = trials.sort_values("val_miou", ascending=False)
    rows = [f"{row.learning_rate:g} {row.loss} {row.val_miou:.3f}" for row in trials.itertuples()]
    first, counted = trials.iloc[0], f"{trials['learning_rate'].nunique()} rates x {trials['loss'].nunique()} losses"
    same = (first["learning_rate"], first["loss"]) == (1e-4, "bce_dice")
    won = "the document's choice wins" if same else "and the document's choice, 1e-4 with bce_dice, does not win"
    return f"val mIoU after one epoch: {', '.join(rows)}", f"does not hold: {counted} are {len(trials)}, {won}"


JUDGES = [pretraining, five_epochs, losses, gap, leak, step_schedule, counts, grid]


def on_real_photos() -> pd.DataFrame:
    """The eight claims with what was measured on real photographs, and a verdict."""
    rows = [(claim, *judge()) for claim, judge in zip(CLAIMS, JUDGES, strict=True)]
    return pd.DataFrame(rows, columns=["claim", "on real photographs", "verdict"])
