"""The protocol's eight claims on real photographs, judged from the JSONs in results/ and from nothing else.

Most experiments are small (base_channels 16, 128 px: a quarter of the protocol's channels and of its pixels), so what
they say is about differences between recipes, not about the document's absolute scores.
"""

import numpy as np
import pandas as pd

from carvana_lib.experiments import fill, found
from carvana_lib.runs import read_json

OPEN = "not measured yet"
LADDER = {
    "protocol-small": "the protocol",
    "rate-small": "+ a learning rate of 1e-3 in place of 1e-4",
    "onecycle-small": "+ OneCycle, with a peak of 3e-3",
    "ema-small": "+ averaged weights",
    "best-small": "+ mirrored predictions",
}


def records(name: str) -> dict[int, dict]:
    """The results of an experiment by seed."""
    files = (path for path in found() if path.stem.rpartition("-seed")[0] == name)
    return {int(path.stem.rpartition("-seed")[2]): read_json(path) for path in files}


def scores(name: str, key: str = "test_miou") -> pd.Series:
    """One number of each seed's metrics."""
    return pd.Series({seed: record["metrics"][key] for seed, record in records(name).items()}, dtype=float)


def beyond(name: str, base: str = "protocol-small") -> pd.Series:
    """Test mIoU of an experiment minus that of another, for each seed that both have: the same cars, split alike."""
    return (scores(name) - scores(base)).dropna()


def on_even_views(record: dict) -> float:
    """Test mIoU over the even views alone."""
    return float(np.mean([value for view, value in record["test_miou_each_view"].items() if int(view) % 2 == 0]))


def signed(differences: pd.Series) -> str:
    """'+0.0012 and -0.0003 (seeds 0 and 1)'."""
    values, seeds = (" and ".join(map(str, part)) for part in (differences.map("{:+.4f}".format), differences.index))
    return f"{values} (seed{'s' * (len(differences) > 1)} {seeds})"


def half_width(name: str = "protocol-small") -> float:
    """Half of the 95 % interval over cars, the mean over seeds: what another draw of test cars may change."""
    return float(np.mean([np.ptp(record["metrics"]["test_miou_ci95"]) / 2 for record in records(name).values()]))


def pretraining() -> tuple[str, str]:
    """An encoder that has seen ImageNet."""
    if len(gain := beyond("encoder-full", "protocol-full")):
        return f"with ImageNet's encoder {signed(gain)}", "holds" if gain.mean() > 0.0025 else "does not hold"
    return (
        "the experiment is written (results/params/encoder-full.yaml) and needs 508 MB of weights from the network",
        OPEN,
    )


def five_epochs() -> tuple[str, str]:
    """Validation mIoU after each epoch."""
    curves = pd.DataFrame({seed: r["val_miou_each_epoch"] for seed, r in records("protocol-small").items()})
    first = ", ".join(str(1 + int((curves[seed] > 0.93).argmax())) for seed in curves)
    means = ", ".join(curves.mean(axis=1).map("{:.3f}".format))
    seen = f"val mIoU after epochs 1 to {len(curves)}: {means} (mean of seeds)"
    return f"{seen}; above 0.93 from epoch {first} on", "holds" if curves.max().min() > 0.93 else "does not hold"


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
    """Test minus validation over several splits."""
    gaps = scores("protocol-small") - scores("protocol-small", "val_miou")
    averages = pd.DataFrame([record["metrics"]["test_averagings"] for record in records("protocol-small").values()])
    below, hard = (averages["per image"] - averages["soft"]).mean(), averages.drop(columns="soft")
    spread = (hard.max(axis=1) - hard.min(axis=1)).mean()
    seen = f"test - val: {', '.join(gaps.map('{:+.4f}'.format))} over {len(gaps)} splits"
    if len(gaps) < 3:
        return seen, OPEN
    from scipy import stats  # here, since it takes as long to import as all the rest

    low, high = stats.t.interval(0.95, len(gaps) - 1, gaps.mean(), stats.sem(gaps))
    seen += f", 95 % interval of the mean {low:+.4f} to {high:+.4f}; averagings of the same predictions differ by "
    seen += f"{spread:.3f}, and their soft IoU lies {below:.2f} lower"
    worst = gaps.abs().max()
    return (
        seen,
        f"holds; the document's own +0.028 does not occur, the largest here is {worst:.4f}",
    )


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


def ingredients() -> pd.DataFrame:
    """The better recipe, one ingredient after another with seed 0: what each takes of the error (1 - mIoU) it met."""
    rows, error = [], None
    for name, what in LADDER.items():
        if 0 in (seeds := scores(name)):
            before, error = error, 1 - seeds[0]
            less = f"{round(100 * (1 - error / before))} %" if before else ""
            rows.append((what, f"[{name}](params/{name}.yaml)", f"{seeds[0]:.4f}", f"{error:.4f}", less))
    columns = ["recipe", "experiment", "test mIoU", "error", "less than the line above by"]
    return pd.DataFrame(rows, columns=columns)


def better() -> str:
    """How much of the protocol's error the better recipe takes, seed by seed."""
    base, best = scores("protocol-small"), scores("best-small")
    less = (1 - (1 - best) / (1 - base)).dropna()
    shares = ", ".join(f"{share:.0%}" for share in less).replace("%", " %")
    means = f"{base[less.index].mean():.4f} against {best[less.index].mean():.4f}"
    return (
        f"Error removed by all of them: {shares} with seeds {', '.join(map(str, less.index))}; mean test mIoU {means}."
    )


def learning_curve() -> pd.DataFrame:
    """Test mIoU by number of training cars, from the same number of steps: cars, from scratch, pretrained."""
    rows = []
    for path in found():
        name, record = path.stem.rpartition("-seed")[0], read_json(path)
        if name.startswith("cars-"):
            cars = record["metrics"]["n_train"] // 16
            start = "after the sample" if record["params"]["start_from"] else "from random weights"
            rows.append((cars, start, record["metrics"]["test_miou"]))
    return pd.DataFrame(rows, columns=["cars", "start", "test_miou"]).sort_values(["start", "cars"], ignore_index=True)


def native_ways(name: str = "best-small") -> pd.DataFrame:
    """The ways of notebook 06 on two real cars at 1918 x 1280: way, flip, iou, dice, boundary_iou, ms a photo."""
    first = records(name)[0]
    return pd.DataFrame(first["native"]["ways"])


def markdown(table: pd.DataFrame) -> list[str]:
    """A table of text as lines of Markdown."""
    rows = [table.columns, ["---"] * len(table.columns), *table.to_numpy()]
    return [f"| {' | '.join(map(str, row))} |" for row in rows]


def write() -> None:
    """Bring all tables but the first in results/README.md up to date with the JSONs beside it."""
    fill("audit", markdown(on_real_photos()))
    fill("ingredients", [*markdown(ingredients()), "", better()])
    curve = learning_curve().pivot_table(index="cars", columns="start", values="test_miou").astype(object)
    fill("curve", markdown(curve.map("{:.4f}".format).replace("nan", "").reset_index()))
    if records("best-small"):
        fill("native", markdown(native_ways().round(4)))
