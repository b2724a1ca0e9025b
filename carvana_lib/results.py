"""The results of experiments on real photographs: what the JSONs in results/ say, as tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from carvana_lib.runs import ROOT, read_json

RESULTS = ROOT / "results"
COLUMNS = ["test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou"]
OPEN = "not measured yet"
SIZES = {"small": "base_channels 16, 128 px", "32": "base_channels 32, 256 px", "full": "base_channels 64, 256 px"}
LADDER = {
    "protocol-small": "the protocol",
    "rate-small": "+ a learning rate of 1e-3 in place of 1e-4",
    "onecycle-small": "+ OneCycle, with a peak of 3e-3",
    "ema-small": "+ averaged weights",
    "best-small": "+ mirrored predictions",
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


def beyond(name: str, base: str = "protocol-small") -> pd.Series:
    """Test mIoU of an experiment minus that of another, for each seed that both have: the same cars, split alike."""
    return (scores(name) - scores(base)).dropna()


def signed(differences: pd.Series) -> str:
    """'+0.0012 and -0.0003 (seeds 0 and 1)'."""
    values, seeds = (" and ".join(map(str, part)) for part in (differences.map("{:+.4f}".format), differences.index))
    return f"{values} (seed{'s' * (len(differences) > 1)} {seeds})"


def half_width(name: str = "protocol-small") -> float:
    """Half of the 95 % interval over cars, the mean over seeds: what another draw of test cars may change."""
    return float(np.mean([np.ptp(record["metrics"]["test_miou_ci95"]) / 2 for record in records(name).values()]))


def table(results: list[Path]) -> pd.DataFrame:
    """One row a JSON: experiment, seed, images seen, the scores, the 95 % interval over cars."""
    rows = []
    for path in results:
        record = read_json(path)
        name, _, seed = path.stem.rpartition("-seed")
        scores = {column: record["metrics"][column] for column in COLUMNS}
        low, high = record["metrics"]["test_miou_ci95"]
        seen = {"images": record["metrics"]["images_seen"]}
        rows.append({"experiment": name, "seed": int(seed)} | seen | scores | {"ci95_low": low, "ci95_high": high})
    return pd.DataFrame(rows)


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
    """How much of the protocol's error the better recipe takes, size by size and seed by seed."""
    found = []
    for size, what in SIZES.items():
        base, best = scores(f"protocol-{size}"), scores(f"best-{size}")
        if len(less := (1 - (1 - best) / (1 - base)).dropna()):
            shares, seeds = (", ".join(map(str, part)) for part in (less.map("{:.0%}".format), less.index))
            shares = shares.replace("%", " %") + f" with seed{'s' * (len(less) > 1)} {seeds}"
            mean = "mean " * (len(less) > 1) + "test mIoU"
            means = f"{base[less.index].mean():.4f} against {best[less.index].mean():.4f}"
            found.append(f"{shares} ({what}; {mean} {means})")
    return f"Error removed by all of them: {'; '.join(found) or OPEN}."


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
