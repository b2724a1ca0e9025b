"""Experiments without notebooks: train, score, and keep the numbers, one JSON for each experiment and seed.

An experiment is a parameter file with a line `about:`, and where it needs them `extends:` (a file whose parameters it
changes), `seeds:` (default [0]), `score_also:` (a second folder of pictures, all of which are scored as well) and
`native:` (a folder of full-size pictures, on which the first seed's net predicts in all the ways of notebook 06).
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from carvana_lib import evaluation
from carvana_lib.checkpoints import finished_epochs, load_checkpoint, load_trained
from carvana_lib.config import ParameterError, Params, read_yaml
from carvana_lib.data import open_data
from carvana_lib.deployment.comparison import compare_ways
from carvana_lib.metrics import bootstrap_by_car, summary
from carvana_lib.runs import ROOT, Run, atomic, read_json, write_json
from carvana_lib.training import train

RESULTS = ROOT / "results"
MARKS = "<!-- {}: written by `experiment` -->", "<!-- end of {} -->"
COLUMNS = ["test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou"]


@dataclass
class Experiment:
    """A parameter file: its name, what it is about, the parameters, the seeds, and what else is scored."""

    name: str
    about: str
    values: dict
    seeds: list[int] = field(default_factory=lambda: [0])
    score_also: str | None = None
    native: str | None = None

    def params(self, seed: int, **overrides) -> Params:
        """The parameters for one seed; the run is called as the JSON is."""
        return Params(**{**self.values, "seed": seed, "run_name": f"{self.name}-seed{seed}", **overrides})

    def result(self, seed: int) -> Path:
        """Where the numbers go."""
        return RESULTS / f"{self.name}-seed{seed}.json"


def read_experiment(file: Path) -> Experiment:
    """Read an experiment's file. Raises ParameterError for a file without `about:` and for wrong parameters."""
    values = read_yaml(file)
    while "extends" in values:
        base = Path(file).parent / values.pop("extends")
        values = read_yaml(base) | values
    if "about" not in values:
        raise ParameterError(f"'{file}' is no experiment: it needs a line 'about: what it shows'")
    keys = {key: values.pop(key) for key in ("about", "seeds", "score_also", "native") if key in values}
    values.pop("run_name", None)
    experiment = Experiment(name=Path(file).stem, values=values, **keys)
    for seed in experiment.seeds:
        experiment.params(seed)
    return experiment


def run(experiment: Experiment, seed: int, **overrides) -> Path:
    """Train, score the best epoch on validation, test and other pictures, write the JSON and return its path.

    A training that was interrupted goes on, one that has finished is only scored, and an experiment whose JSON is
    there is not run again.
    """
    path = experiment.result(seed)
    if path.exists():
        return path
    params, started = experiment.params(seed, **overrides), time.perf_counter()
    data, where = open_data(params), Run(params.run_name)
    if finished_epochs(params) < params.epochs:
        train(data, params)
    model, _, history = load_trained(data, params)
    made_with = load_checkpoint(where.best_checkpoint)["made_with"]
    record = {"about": experiment.about, "params": params.model_dump(), "seed": seed} | made_with
    test, record["metrics"] = evaluation.scores(model, data, params, history)
    record["val_miou_each_epoch"] = history["val_miou"].tolist()
    record["test_miou_each_view"] = test.groupby("view")["iou"].mean().to_dict()
    record["test_cars"] = sorted(set(test["car_id"]))
    if experiment.score_also:
        other = open_data(params.replace(data_dir=experiment.score_also, run_name=f"{params.run_name}-elsewhere"))
        scores, _ = evaluation.per_image(model, other, range(len(other.table)), params, params.flip)
        found, interval = summary(scores["iou"]), bootstrap_by_car(scores, seed=seed)
        record["elsewhere"] = {"data_dir": experiment.score_also, "n": len(scores), "miou": found["mean"]}
        record["elsewhere"] |= {"std": found["std"], "ci95": list(interval)}
    if experiment.native and seed == experiment.seeds[0]:  # it takes minutes, and one net shows it
        pictures = open_data(params.replace(data_dir=experiment.native, run_name=f"{params.run_name}-native"))
        ways = compare_ways(model, pictures, pictures.table.index, params.image_size)
        record["native"] = {"data_dir": experiment.native, "n": len(pictures.table), "ways": ways.to_dict("records")}
    record["seconds_training"] = float(history["seconds"].sum())
    record["seconds_this_sitting"] = time.perf_counter() - started
    write_json(path, record)
    return path


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


def write_table() -> None:
    """Bring the table in results/README.md up to date with the JSONs beside it; the text around it stays."""
    lines = ["| experiment | what | seed | images | test mIoU | std | min | max | 95 % over cars | val mIoU |"]
    lines.append("|" + "---|" * (lines[0].count("|") - 1))
    for row, path in zip(table(found()).to_dict("records"), found(), strict=True):
        about, scores = read_json(path)["about"], " | ".join(f"{row[column]:.4f}" for column in COLUMNS[:4])
        interval, val = f"{row['ci95_low']:.4f} to {row['ci95_high']:.4f}", f"{row['val_miou']:.4f}"
        facts = f"{row['seed']} | {row['images']} | {scores} | {interval} | {val}"
        lines.append(f"| [{row['experiment']}](params/{row['experiment']}.yaml) | {about} | {facts} |")
    fill("table", lines)


def fill(section: str, lines: list[str]) -> None:
    """Replace a section of results/README.md; what stands around its two marks stays."""
    readme, (begin, end) = RESULTS / "README.md", (mark.format(section) for mark in MARKS)
    before, _, rest = readme.read_text(encoding="utf8").partition(begin)
    after = rest.partition(end)[2]
    with atomic(readme) as temporary:
        temporary.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf8")


def found() -> list[Path]:
    """The JSONs that are there, in the order of their names."""
    return sorted(RESULTS.glob("*-seed*.json"))
