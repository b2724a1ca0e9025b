"""Experiments without notebooks: train, score, and keep the numbers, one JSON for each experiment and seed.

An experiment is a parameter file with a line `about:`, and where it needs them `extends:` (a file whose parameters it
changes), `seeds:` (default [0]), `score_also:` (a second folder of pictures, all of which are scored as well) and
`native:` (a folder of full-size pictures, on which the first seed's net predicts in all the ways of notebook 06).
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from carvana_course.deployment.comparison import compare_ways
from carvana_course.evidence import results
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
from carvana_lib.runs import Run, write_csv, write_json
from carvana_lib.tuning import read_trials, tabulate, with_best

RENDERS = Params().data_dir


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

        data_dir = moved(self.values.get("data_dir", RENDERS))
        return replace(self, values={**self.values, "data_dir": data_dir}, score_also=moved(self.score_also))

    def result(self, seed: int) -> Path:
        """Where the numbers go."""
        return results.RESULTS / f"{self.name}-seed{seed}.json"


def read_experiment(file: Path) -> Experiment:
    """Read an experiment's file. Raises ParameterError for a file without `about:` and for wrong values in it."""
    values = read_yaml(file)
    bases = []
    while "extends" in values:
        base = values.pop("extends")
        if not isinstance(base, str) or base in bases:
            raise ParameterError(f"'{file}': extends must name one other file, and none that extends this one")
        bases.append(base)
        values = {**read_yaml(Path(file).parent / base), **values}
    if not isinstance(values.get("about"), str):
        raise ParameterError(f"'{file}' is no experiment: it needs a line 'about: what it shows'")
    if not isinstance(values.get("seeds", [0]), list) or values.get("seeds") == []:
        raise ParameterError(f"'{file}': seeds must be a list of numbers, as in 'seeds: [0, 1, 2]'")
    for key in ("score_also", "native"):
        if not isinstance(values.get(key), str | None):
            raise ParameterError(f"'{file}': {key} must name one folder of pictures, as in '{key}: sample'")
    keys = {key: values.pop(key) for key in ("about", "seeds", "score_also", "native") if key in values}
    values.pop("run_name", None)
    experiment = Experiment(name=Path(file).stem, values=values, **keys)
    for seed in experiment.seeds:
        experiment.params(seed)
    return experiment


def run_experiment(experiment: Experiment, seed: int, /, **overrides) -> Path:
    """Train, score the best epoch on validation, test and other pictures, write the JSON and return its path.

    Where learning_rate or loss is not set, the grid of notebook 03 is searched first. A training that was interrupted
    goes on, one that has finished is only scored, and an experiment whose JSON is there is not run again. Overrides
    say where it runs (PLACE), `data_dir` where the photos are: renders stay renders. Raises ParameterError for
    others, since an experiment is what its file says, and DataError, before any training, for a folder that is not
    there.
    """
    wrong = overrides.keys() - PLACE
    if wrong:
        raise ParameterError(
            f"an experiment is what its file says: {', '.join(sorted(wrong))} cannot be changed here, only "
            f"{', '.join(sorted(PLACE))}; copy results/params/{experiment.name}.yaml and change the copy"
        )
    path = experiment.result(seed)
    if path.exists():
        print(f"{experiment.name}, seed {seed}: taken from {path}, and nothing was run; delete it to run it again")
        return path
    started = time.perf_counter()
    photos = overrides.pop("data_dir", None)
    if photos:
        experiment = experiment.with_photos_in(photos)

    asked = experiment.params(seed, **overrides)
    data = open_data(asked)
    elsewhere = None
    if experiment.score_also:
        elsewhere = open_also(asked, "score_also", experiment.score_also)
    native = None
    if experiment.native and seed == experiment.seeds[0]:  # predicting takes minutes, and one net shows it
        native = open_also(asked, "native", experiment.native)

    searched = None in (asked.learning_rate, asked.loss)
    model, params, history = trained(data, with_best(asked, data, search), train)

    record = {"about": experiment.about, "params": asked.model_dump(), "seed": seed}
    record.update(load_checkpoint(Run(asked.run_name).best_checkpoint)["made_with"])
    if searched:
        record["grid"] = tabulate(read_trials(data, asked)).to_dict("records")
    test, record["metrics"] = score_run(model, data, params, history)
    record["val_miou_each_epoch"] = history["val_miou"].tolist()
    record["test_miou_each_view"] = test.groupby("view")["iou"].mean().to_dict()
    record["test_miou_each_car"] = test.groupby("car_id")["iou"].mean().to_dict()
    write_csv(
        results.image_scores(path), test.pivot(index="car_id", columns="view", values="iou").round(5).reset_index()
    )
    if elsewhere:
        record["elsewhere"] = {"data_dir": experiment.score_also, **score_all(model, elsewhere, params)}
    if native:
        ways = compare_ways(model, native, native.table.index, params.frame)
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


def score_all(model, data: Carvana, params: Params) -> dict:
    """Scores of a net on every picture of `data`: n, miou, std, and the 95 % interval over cars, ci95."""
    table, _ = score_images(model, data, range(len(data.table)), params, params.flip)
    score = summary(table["iou"])
    interval = bootstrap_by_car(table, seed=params.seed)
    return {"n": len(table), "miou": score["mean"], "std": score["std"], "ci95": list(interval)}
