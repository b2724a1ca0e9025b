"""The grid of notebook 03 with higher learning rates, since its winner on photographs mostly lies on its edge."""

import itertools

from carvana_course.evidence.experiments import read_experiment
from carvana_course.evidence.results import RESULTS
from carvana_lib.data import open_data
from carvana_lib.tuning import GRID, score_point

WIDE = {**GRID, "learning_rate": [*GRID["learning_rate"], 1e-3, 3e-3, 1e-2]}
WIDE_SEEDS = (0, 1, 2)


def search_wide(folder: str):
    """Yield a row for each seed and point: seed, learning_rate, loss, val_miou after one epoch on 1000 photos."""
    experiment = read_experiment(RESULTS / "params" / "grid-small.yaml")
    for seed in WIDE_SEEDS:
        params = experiment.params(seed, data_dir=folder, run_name="study-wide-grid")
        data = open_data(params)
        for values in itertools.product(*WIDE.values()):
            point = dict(zip(WIDE, values, strict=True))
            yield {"seed": seed} | point | {"val_miou": score_point(point, data, params)}
