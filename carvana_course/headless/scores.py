"""A run's scores without notebook 05: are they there, and if not, what are they?"""

import numpy as np
import pandas as pd

from carvana_lib.dataset import training_rows
from carvana_lib.evaluation import score_images
from carvana_lib.metrics import averagings, bootstrap_by_car, summary
from carvana_lib.model import count_parameters
from carvana_lib.runs import Run, read_json


def has_metrics(params, fingerprint: str = "") -> bool:
    """True where metrics.json of the parameters' run was made with exactly these parameters.

    With the `fingerprint` of pictures: and of these pictures.
    """
    path = Run(params.run_name).metrics
    if not path.exists():
        return False
    metrics = read_json(path)
    return metrics["params"] == params.model_dump() and fingerprint in ("", metrics.get("fingerprint"))


def evaluated(sets: list, fingerprint: str = "") -> dict[str, dict]:
    """name -> metrics of each set's run that `has_metrics`, followed by those of nets that were set aside in it."""
    found = {}
    for params in sets:
        run = Run(params.run_name)
        if has_metrics(params, fingerprint):
            found[run.name] = read_json(run.metrics)
        for path in sorted(run.earlier.glob("*/metrics.json")):
            found[f"{run.name}/earlier/{path.parent.name}"] = read_json(path)
    return found


def score_run(model, data, params, history: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """Score a trained net as notebook 05 does: (the per-image table of the test pictures, the run's numbers)."""
    val, _ = score_images(model, data, data.rows("val"), params, params.flip)
    test, _ = score_images(model, data, data.rows("test"), params, params.flip)
    return test, run_metrics(val, test, model, data, params, history)


def run_metrics(val: pd.DataFrame, test: pd.DataFrame, model, data, params, history: pd.DataFrame) -> dict:
    """The numbers of a run, as metrics.json holds them, from its per-image tables."""
    score = summary(test["iou"])
    low, high = bootstrap_by_car(test, seed=params.seed)
    return {
        "val_miou": float(val["iou"].mean()),
        "test_miou": score["mean"],
        "test_iou_std": score["std"],
        "test_iou_min": score["min"],
        "test_iou_max": score["max"],
        "test_miou_ci95": [low, high],
        "test_dice": float(test["dice"].mean()),
        "test_boundary_iou": float(test["boundary_iou"].mean()),
        "test_averagings": dict(averagings(test, params.batch_size)[["averaging", "value"]].to_numpy().tolist()),
        "seconds_per_epoch": float(history["seconds"].mean()),
        "epochs": len(history),
        "images_seen": int(history["images"].sum()),
        "n_train": len(np.unique(training_rows(data, params))),
        "n_val": len(val),
        "n_test": len(test),
        "parameters": count_parameters(model),
        "fingerprint": data.fingerprint,
    }
