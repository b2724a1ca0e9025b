"""A run's scores without notebook 05: are they there, and if not, what are they?"""

import pandas as pd

from carvana_lib.evaluation import run_metrics, score_images
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
