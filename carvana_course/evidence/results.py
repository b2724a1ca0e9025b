"""The results of experiments on real photographs: what the JSONs in results/ say, as tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from carvana_lib.runs import ROOT, read_json

RESULTS = ROOT / "results"
COLUMNS = ["test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou"]
SIZES = {"small": "base_channels 16, 128 px", "32": "base_channels 32, 256 px", "full": "base_channels 64, 256 px"}
LADDER = {
    "protocol-small": "the protocol",
    "rate-small": "+ a learning rate of 1e-3 in place of 1e-4",
    "onecycle-small": "+ OneCycle, with a peak of 3e-3",
    "ema-small": "+ averaged weights",
    "mirrors-small": "+ mirroring as the only augmentation",
    "batch-small": "+ batches of 4, with a peak of 2e-3",
    "best-small": "+ mirrored predictions",
    "best-batch-2-small": "+ batches of 2, with a peak of 1.4e-3",
}


def found() -> list[Path]:
    """The JSONs that are there, in the order of their names."""
    return sorted(RESULTS.glob("*-seed*.json"))


def records(name: str) -> dict[int, dict]:
    """The results of an experiment by seed."""
    files = (path for path in found() if path.stem.rpartition("-seed")[0] == name)
    return {int(path.stem.rpartition("-seed")[2]): read_json(path) for path in files}


def scores(name: str, key: str = "test_miou") -> pd.Series:
    """One number of each seed's metrics."""
    return pd.Series({seed: record["metrics"][key] for seed, record in records(name).items()}, dtype=float)


def removed(before, after):
    """The share of the error (1 - mIoU) that is gone, of numbers or of Series by seed."""
    return 1 - (1 - after) / (1 - before)


def seeds_of(values) -> str:
    """'seed 0' or 'seeds 0, 1', of a table or Series with a row a seed."""
    return f"seed{'s' * (len(values) > 1)} {', '.join(map(str, values.index))}"


def percents(shares) -> str:
    """'36 %, -2 %'."""
    return ", ".join(f"{round(100 * share)} %" for share in shares)


def signed(differences: pd.Series) -> str:
    """'+0.0012, -0.0003 (seeds 0, 1)'."""
    return f"{', '.join(differences.map('{:+.4f}'.format))} ({seeds_of(differences)})"


def interval(values: pd.Series, further: bool = False) -> tuple[float, float]:
    """95 % interval (Student's t) of the mean over seeds, or with `further` of the value that one more would give."""
    from scipy import stats  # here, since it takes as long to import as all the rest

    reach = stats.t.ppf(0.975, len(values) - 1) * values.std() * np.sqrt(1 / len(values) + further)
    return values.mean() - reach, values.mean() + reach


def table(results: list[Path]) -> pd.DataFrame:
    """One row a JSON: experiment, seed, images seen, the scores, the 95 % interval over cars."""
    rows = []
    for path in results:
        record = read_json(path)
        name, _, seed = path.stem.rpartition("-seed")
        low, high = record["metrics"]["test_miou_ci95"]
        row = {"experiment": name, "seed": int(seed), "images": record["metrics"]["images_seen"]}
        row |= {column: record["metrics"][column] for column in COLUMNS}
        rows.append(row | {"ci95_low": low, "ci95_high": high})
    return pd.DataFrame(rows)


def ingredients() -> pd.DataFrame:
    """The better recipe, one ingredient after another: what each takes of the error (1 - mIoU) it met, seed by seed.

    Of the seeds that all lines have; nothing where the line above was not trained, since the share would be that of
    two.
    """
    trained = pd.DataFrame({name: scores(name) for name in LADDER}).dropna(axis=1, how="all").dropna()  # a row a seed
    rows, before = [], None
    for name, what in LADDER.items():
        score = trained.get(name) if len(trained) else None
        if score is not None:
            less = "" if before is None else percents(removed(before, score))
            link, mean = f"[{name}](params/{name}.yaml)", score.mean()
            rows.append((what, link, f"{mean:.4f}", f"{1 - mean:.4f}", less))
        before = score
    less = f"less than the line above by ({seeds_of(trained)})"
    return pd.DataFrame(rows, columns=["recipe", "experiment", "test mIoU", "error", less])


def better() -> str:
    """How much of the protocol's error the better recipe takes, size by size and seed by seed."""
    said = []
    for size, what in SIZES.items():
        base, best = scores(f"protocol-{size}"), scores(f"best-batch-2-{size}")
        if len(less := removed(base, best).dropna()):
            shares = f"{percents(less)} with {seeds_of(less)}"
            if len(less) > 2:
                low, high = interval(less)
                shares += f", 95 % interval of the mean {100 * low:.0f} to {100 * high:.0f} %"
            mean = "mean " * (len(less) > 1) + "test mIoU"
            means = f"{base[less.index].mean():.4f} against {best[less.index].mean():.4f}"
            said.append(f"{shares} ({what}; {mean} {means})")
    return f"Error removed by all of them: {'; '.join(said) or 'not measured yet'}."


def learning_curve(size: str = "small", seed: int = 0) -> pd.DataFrame:
    """Test mIoU by number of training cars and by start: cars, start, test_miou.

    All trainings have as many steps, but for the control with three times as many: about what those that begin with
    the sample's net have had with its renders.
    """
    rows = []
    for kind, longer in {"cars": "", "longer": ", 3 times the steps"}.items():
        for path in RESULTS.glob(f"{kind}-*-{size}-seed{seed}.json"):
            record = read_json(path)
            start = "after the sample" if record["params"]["start_from"] else "from random weights"
            cars, score = record["metrics"]["n_train"] // 16, record["metrics"]["test_miou"]
            rows.append((cars, start + longer, score))
    return pd.DataFrame(rows, columns=["cars", "start", "test_miou"]).sort_values(["start", "cars"], ignore_index=True)


def between() -> pd.DataFrame:
    """Renders against photographs: nets trained on all training cars of one kind, scored on the other, by seed."""
    rows = []
    for name in dict.fromkeys(path.stem.rpartition("-seed")[0] for path in found()):
        made = [record for record in records(name).values() if "elsewhere" in record]
        if made and not (made[0]["params"]["start_from"] or made[0]["params"]["train_cars"]):
            other, link = made[0]["elsewhere"], f"[{name}](params/{name}.yaml)"
            scored = ", ".join(f"{record['elsewhere']['miou']:.4f}" for record in made)
            rows.append((link, made[0]["params"]["data_dir"], other["data_dir"], other["n"], scored))
    return pd.DataFrame(rows, columns=["experiment", "trained on", "scored on", "pictures", "mIoU, seed by seed"])


def native_ways(name: str = "best-small") -> pd.DataFrame:
    """The ways of notebook 06 on two real cars at 1918 x 1280: way, flip, iou, dice, boundary_iou.

    Their times are left out, since trainings ran beside them.
    """
    shown = (record["native"]["ways"] for record in records(name).values() if "native" in record)
    return pd.DataFrame(next(shown, [])).drop(columns="ms", errors="ignore")
