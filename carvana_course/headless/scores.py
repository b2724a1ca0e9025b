"""A run's scores without notebook 05: are they there, and if not, what are they?"""

import pandas as pd

from carvana_lib.evaluation import run_metrics, score_images
from carvana_lib.runs import Run, read_json


def has_metrics(params) -> bool:
    """True where metrics.json of the parameters' run was made with exactly these parameters."""
    metrics = Run(params.run_name).metrics
    return metrics.exists() and read_json(metrics)["params"] == params.model_dump()


def score_run(model, data, params, history: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """Score a trained net as notebook 05 does: (the per-image table of the test pictures, the run's numbers)."""
    val, _ = score_images(model, data, data.rows("val"), params, params.flip)
    test, _ = score_images(model, data, data.rows("test"), params, params.flip)
    return test, run_metrics(val, test, model, data, params, history)
