"""The results of experiments on real photographs: what the JSONs in results/ say, as tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from carvana_lib.runs import ROOT, read_json

RESULTS = ROOT / "results"
SCORE_COLUMNS = ["test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou"]
SIZES = {"small": "base_channels 16, 128 px", "32": "base_channels 32, 256 px", "full": "base_channels 64, 256 px"}


def result_files() -> list[Path]:
    """The JSONs that are there, in the order of their names."""
    return sorted(RESULTS.glob("*-seed*.json"))


def image_scores(path: Path) -> Path:
    """Where the scores per test image of a JSON lie: a row a car, a column a view."""
    return path.parent / "images" / f"{path.stem}.csv"


def study_json(name: str) -> Path:
    """Where `scripts/study.py` writes what a study found."""
    return RESULTS / f"{name}.json"


def study_rows(name: str) -> pd.DataFrame:
    """The rows of a study. Raises RunError, with the command that makes them, where they are missing."""
    return pd.DataFrame(read_json(study_json(name), f"python scripts/study.py {name}")["rows"])


def name_and_seed(path: Path) -> tuple[str, int]:
    """results/rate-small-seed0.json -> ('rate-small', 0)."""
    name, _, seed = path.stem.rpartition("-seed")
    return name, int(seed)


def results_by_seed(name: str) -> dict[int, dict]:
    """What the JSONs of one experiment hold, by seed."""
    results = {}
    for path in result_files():
        experiment, seed = name_and_seed(path)
        if experiment == name:
            results[seed] = read_json(path)
    return results


def scores_by_seed(name: str, key: str = "test_miou") -> pd.Series:
    """One number of an experiment's metrics, by seed."""
    scores = {seed: result["metrics"][key] for seed, result in results_by_seed(name).items()}
    return pd.Series(scores, dtype=float)


def error_removed(before, after):
    """The share of the error (1 - mIoU) that is gone, of numbers or of Series by seed."""
    return 1 - (1 - after) / (1 - before)


def seeds_in_words(values) -> str:
    """'seed 0' or 'seeds 0, 1', of a table or Series with a row a seed."""
    seeds = ", ".join(map(str, values.index))
    return f"seeds {seeds}" if len(values) > 1 else f"seed {seeds}"


def in_percent(shares) -> str:
    """'36 %, -2 %'."""
    return ", ".join(f"{round(100 * share)} %" for share in shares)


def signed_differences(differences: pd.Series) -> str:
    """'+0.0012, -0.0003 (seeds 0, 1)'."""
    return f"{', '.join(differences.map('{:+.4f}'.format))} ({seeds_in_words(differences)})"


def mean_interval(values: pd.Series) -> tuple[float, float]:
    """95 % confidence interval of the mean over seeds (Student's t)."""
    return student_interval(values, 1 / len(values))


def prediction_interval(values: pd.Series) -> tuple[float, float]:
    """95 % prediction interval: where the value of one more seed would lie (Student's t)."""
    return student_interval(values, 1 / len(values) + 1)


def student_interval(values: pd.Series, factor: float) -> tuple[float, float]:
    """95 % interval around the mean for a variance of `factor` times that of the values (Student's t)."""
    from scipy import stats  # here, since it takes as long to import as all the rest

    reach = stats.t.ppf(0.975, len(values) - 1) * values.std() * np.sqrt(factor)
    return values.mean() - reach, values.mean() + reach


def experiment_link(name: str) -> str:
    """A link in Markdown to an experiment's parameter file, from results/README.md."""
    return f"[{name}](params/{name}.yaml)"


def results_table(paths: list[Path]) -> pd.DataFrame:
    """One row a JSON: experiment, seed, images seen, the scores, the 95 % interval over cars."""
    rows = []
    for path in paths:
        name, seed = name_and_seed(path)
        metrics = read_json(path)["metrics"]
        row = {"experiment": name, "seed": seed, "images": metrics["images_seen"]}
        for column in SCORE_COLUMNS:
            row[column] = metrics[column]
        row["ci95_low"], row["ci95_high"] = metrics["test_miou_ci95"]
        rows.append(row)
    return pd.DataFrame(rows)


def learning_curve(size: str = "small", seed: int = 0) -> pd.DataFrame:
    """Test mIoU by number of training cars and by start: cars, start, test_miou.

    All trainings have as many steps, but for the control with three times as many: about what those that begin with
    the sample's net have had with its renders.
    """
    rows = []
    for kind, longer in {"cars": "", "longer": ", 3 times the steps"}.items():
        for path in RESULTS.glob(f"{kind}-*-{size}-seed{seed}.json"):
            result = read_json(path)
            start = "after the sample" if result["params"]["start_from"] else "from random weights"
            cars = result["metrics"]["n_train"] // 16
            rows.append((cars, start + longer, result["metrics"]["test_miou"]))
    return pd.DataFrame(rows, columns=["cars", "start", "test_miou"]).sort_values(["start", "cars"], ignore_index=True)


def renders_against_photos() -> pd.DataFrame:
    """Nets trained on all training cars of one kind, renders or photographs, scored on the other, by seed."""
    rows = []
    names = dict.fromkeys(name_and_seed(path)[0] for path in result_files())
    for name in names:
        results = [result for result in results_by_seed(name).values() if "elsewhere" in result]
        if not results:
            continue
        params = results[0]["params"]
        if params["start_from"] or params["train_cars"]:
            continue
        other = results[0]["elsewhere"]
        scores = ", ".join(f"{result['elsewhere']['miou']:.4f}" for result in results)
        rows.append((experiment_link(name), params["data_dir"], other["data_dir"], other["n"], scores))
    return pd.DataFrame(rows, columns=["experiment", "trained on", "scored on", "pictures", "mIoU, seed by seed"])


def native_ways(name: str = "best-batch-2-small") -> pd.DataFrame:
    """The ways of notebook 06 on two real cars at 1918 x 1280: way, flip, iou, dice, boundary_iou.

    Their times are left out, since other programs ran beside them.
    """
    for result in results_by_seed(name).values():
        if "native" in result:
            return pd.DataFrame(result["native"]["ways"]).drop(columns="ms")
    return pd.DataFrame()


def native_dice() -> pd.DataFrame:
    """Dice of each of these ways by the better recipe's nets: a row a way, a column a net, both named by their size."""
    columns = {}
    for size in ("small", "full"):
        ways = native_ways(f"best-batch-2-{size}")
        if len(ways):
            columns[SIZES[size]] = ways.set_index(["way", "flip"])["dice"]
    return pd.DataFrame(columns).round(4).reset_index()


def wide_grid_scores() -> pd.DataFrame:
    """Validation mIoU after one epoch on photographs: a row a seed and loss, a column a learning rate."""
    return study_rows("wide-grid").pivot(index=["seed", "loss"], columns="learning_rate", values="val_miou")


def leak_gains() -> pd.DataFrame:
    """What a leak adds to the score of a net that can memorise: augment, seed, car, image, gain; a row a seed."""
    scores = study_rows("leak").pivot(index=["augment", "seed"], columns="split", values="miou")
    return scores.assign(gain=scores["image"] - scores["car"]).reset_index()


def rare_object() -> pd.DataFrame:
    """Validation mIoU after the last epoch on cars of 0.2 % of the picture, mean over seeds.

    A row a loss, a column a learning rate.
    """
    rows = study_rows("rare-object")
    rows["last"] = rows["val_miou"].str[-1]
    return rows.pivot_table("last", "loss", "learning_rate", sort=False)


def fine_tuning() -> pd.DataFrame:
    """Validation mIoU with few labelled cars: a row a way to fine-tune the encoder, a column a number of cars."""
    rows = study_rows("fine-tuning")
    return rows.pivot_table("val_miou", "way", "cars", sort=False)
