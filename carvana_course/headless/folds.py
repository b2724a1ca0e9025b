"""Cross-validation: the folds of a parameter file, and what all of them say together."""

import json

import pandas as pd

from carvana_course.headless.scores import has_metrics
from carvana_lib.config import Params
from carvana_lib.metrics import bootstrap_by_car
from carvana_lib.runs import Run, read_json

FOLD_COLUMNS = ["recipe", "folds", "cars", "test_miou", "ci95_low", "ci95_high", "lowest_fold", "highest_fold"]
MEANING = (
    "All test pictures of the finished folds in one table: their mean IoU, and its 95 % interval over cars. "
    "It covers which cars were photographed. It covers neither another seed nor that nets of other folds share "
    "most of their training cars, so it is a little too narrow."
)


def each_fold(values: dict, chosen: dict) -> list[dict]:
    """What a set's `chosen` values become: one for each fold where there are `folds` and no `fold`, else just these.

    Raises ParameterError for `folds` of a wrong type or out of range.
    """
    asked = values | chosen
    if asked.get("folds") is None or asked.get("fold") is not None:
        return [chosen]
    folds = Params(folds=asked["folds"], fold=1).folds
    return [chosen | {"fold": fold} for fold in range(1, folds + 1)]


def compare_folds(sets: list[Params]) -> pd.DataFrame:
    """One row for each recipe with folds, finished on the same pictures: FOLD_COLUMNS, see MEANING."""
    recipes = {}
    for params in sets:
        run = Run(params.run_name)
        if params.folds and has_metrics(params) and run.per_image.exists():
            recipe = params.model_dump(exclude={"run_name", "fold"})
            recipe["fingerprint"] = read_json(run.metrics)["fingerprint"]
            recipes.setdefault(json.dumps(recipe), {})[params.fold] = params
    rows = [summarise_folds(list(finished.values())) for finished in recipes.values()]
    return pd.DataFrame(rows, columns=FOLD_COLUMNS)


def summarise_folds(finished: list[Params]) -> list:
    """The row of one recipe's finished folds."""
    first = finished[0]
    tables = [pd.read_csv(Run(params.run_name).per_image, dtype={"car_id": str}) for params in finished]
    images = pd.concat(tables)
    means = [table["iou"].mean() for table in tables]
    name = first.run_name.removesuffix(f"-fold-{first.fold}")
    score = [images["iou"].mean(), *bootstrap_by_car(images, seed=first.seed), min(means), max(means)]
    return [name, f"{len(finished)} of {first.folds}", images["car_id"].nunique(), *score]
