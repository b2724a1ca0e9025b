"""Experiments without notebooks: train, score, and keep the numbers, one JSON for each experiment and seed.

An experiment is a parameter file with a line `about:`, and where it needs them `extends:` (a file whose parameters it
changes), `seeds:` (default [0]), `score_also:` (a second folder of pictures, all of which are scored as well) and
`native:` (a folder of full-size pictures, on which the first seed's net predicts in all the ways of notebook 06).
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from carvana_course.deployment.comparison import compare_ways
from carvana_course.evidence import results
from carvana_course.evidence.claims import at_its_own_size, on_real_photos
from carvana_course.evidence.results import (
    COLUMNS,
    better,
    between,
    found,
    ingredients,
    learning_curve,
    native_ways,
    table,
)
from carvana_course.headless.scores import score_run
from carvana_course.parameters import read_yaml
from carvana_course.scaling.processes import train
from carvana_course.scaling.search import search
from carvana_lib import DataError, ParameterError
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.config import PLACE, Params
from carvana_lib.data import Carvana, open_data
from carvana_lib.evaluation import score_images, trained
from carvana_lib.metrics import bootstrap_by_car, summary
from carvana_lib.runs import Run, atomic, read_json, write_json
from carvana_lib.tuning import read_trials, tabulate

RENDERS = Params().data_dir
MARKS = "<!-- {}: written by `experiment` -->", "<!-- end of {} -->"


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

    def with_photos_in(self, folder: str) -> "Experiment":
        """The same with its small photos in another folder; renders and full-size photos stay where they are."""

        def moved(old):
            return old if old in (None, RENDERS) else folder

        values = self.values | {"data_dir": moved(self.values.get("data_dir", RENDERS))}
        return replace(self, values=values, score_also=moved(self.score_also))

    def result(self, seed: int) -> Path:
        """Where the numbers go."""
        return results.RESULTS / f"{self.name}-seed{seed}.json"


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


def run(experiment: Experiment, seed: int, /, **overrides) -> Path:
    """Train, score the best epoch on validation, test and other pictures, write the JSON and return its path.

    Where learning_rate or loss is not set, the grid of notebook 03 is searched first. A training that was interrupted
    goes on, one that has finished is only scored, and an experiment whose JSON is there is not run again. Overrides
    say where it runs (PLACE), `data_dir` where the photos are: renders stay renders. Raises ParameterError for others,
    since an experiment is what its file says, and DataError, before any training, for a folder that is not there.
    """
    if wrong := overrides.keys() - PLACE:
        raise ParameterError(
            f"an experiment is what its file says: {', '.join(sorted(wrong))} cannot be changed here, only "
            f"{', '.join(sorted(PLACE))}; copy results/params/{experiment.name}.yaml and change the copy"
        )
    path = experiment.result(seed)
    if path.exists():
        return path
    if photos := overrides.pop("data_dir", None):
        experiment = experiment.with_photos_in(photos)
    asked, started = experiment.params(seed, **overrides), time.perf_counter()
    data, where, other, native = open_data(asked), Run(asked.run_name), None, None
    if experiment.score_also:
        other = open_also(asked, "score_also", experiment.score_also)
    if experiment.native and seed == experiment.seeds[0]:  # predicting takes minutes, and one net shows it
        native = open_also(asked, "native", experiment.native)
    model, params, history = trained(data, asked, train, search)
    made_with = load_checkpoint(where.best_checkpoint)["made_with"]
    record = {"about": experiment.about, "params": asked.model_dump(), "seed": seed} | made_with
    if asked.learning_rate is None or asked.loss is None:
        record["grid"] = tabulate(read_trials(data, asked)).to_dict("records")
    test, record["metrics"] = score_run(model, data, params, history)
    record["val_miou_each_epoch"] = history["val_miou"].tolist()
    record["test_miou_each_view"] = test.groupby("view")["iou"].mean().to_dict()
    record["test_cars"] = sorted(set(test["car_id"]))
    if other:
        scores, _ = score_images(model, other, range(len(other.table)), params, params.flip)
        score, interval = summary(scores["iou"]), bootstrap_by_car(scores, seed=seed)
        record["elsewhere"] = {"data_dir": experiment.score_also, "n": len(scores), "miou": score["mean"]}
        record["elsewhere"] |= {"std": score["std"], "ci95": list(interval)}
    if native:
        ways = compare_ways(model, native, native.table.index, params.image_size)
        record["native"] = {"data_dir": experiment.native, "n": len(native.table), "ways": ways.to_dict("records")}
    record["seconds_training"] = float(history["seconds"].sum())
    record["seconds_this_sitting"] = time.perf_counter() - started
    write_json(path, record)
    return path


def open_also(params: Params, key: str, folder: str) -> Carvana:
    """Pictures that are only scored. Raises DataError that names the experiment's `key` with the folder."""
    try:
        return open_data(params.replace(data_dir=folder, run_name=f"{params.run_name}-{key}"))
    except DataError as error:
        raise DataError(f"its {key}: {error}") from None


def fill(section: str, lines: list[str]) -> None:
    """Replace a section of results/README.md; what stands around its two marks stays."""
    readme, (begin, end) = results.RESULTS / "README.md", (mark.format(section) for mark in MARKS)
    before, _, rest = readme.read_text(encoding="utf8").partition(begin)
    after = rest.partition(end)[2]
    with atomic(readme) as temporary:
        temporary.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf8")


def markdown(table: pd.DataFrame) -> list[str]:
    """A table of text as lines of Markdown."""
    rows = [table.columns, ["---"] * len(table.columns), *table.to_numpy()]
    return [f"| {' | '.join(map(str, row))} |" for row in rows]


def described() -> pd.DataFrame:
    """The trainings on photographs as the page shows them; what only renders have taught stands in `between`."""
    paths = [path for path in found() if read_json(path)["params"]["data_dir"] != RENDERS]
    rows = table(paths)
    files = [results.RESULTS / "params" / f"{name}.yaml" for name in rows["experiment"]]  # or it lies elsewhere
    whats = [read_yaml(file).get("about") if file.exists() else None for file in files]
    rows.insert(1, "what", [what or read_json(path)["about"] for what, path in zip(whats, paths, strict=True)])
    rows["experiment"] = [f"[{name}](params/{name}.yaml)" for name in rows["experiment"]]
    rows[COLUMNS] = rows[COLUMNS].map("{:.4f}".format)
    interval = [f"{low:.4f} to {high:.4f}" for low, high in zip(rows["ci95_low"], rows["ci95_high"], strict=True)]
    rows.insert(rows.columns.get_loc("val_miou"), "95 % over cars", interval)
    titles = {"test_miou": "test mIoU", "test_iou_std": "std", "test_iou_min": "min", "test_iou_max": "max"}
    return rows.drop(columns=["ci95_low", "ci95_high"]).rename(columns=titles | {"val_miou": "val mIoU"})


def write_page() -> None:
    """Bring the tables in results/README.md up to date with the JSONs beside it."""
    fill("table", markdown(described()))
    fill("document", markdown(at_its_own_size()))
    fill("audit", markdown(on_real_photos()))
    fill("ingredients", [*markdown(ingredients()), "", better()])
    fill("between", markdown(between()))
    curve = learning_curve().pivot_table(index="cars", columns="start", values="test_miou").astype(object)
    fill("curve", markdown(curve.map("{:.4f}".format).replace("nan", "").reset_index()))
    fill("native", markdown(native_ways().round(4)))
