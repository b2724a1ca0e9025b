"""Fine-tunes a pretrained encoder in three ways on real photographs, and writes results/fine-tuning.json: five minutes.

Usage: python scripts/fine_tuning.py [FOLDER], the photographs at 256 pixels; else data/carvana-256.
"""

import sys

from carvana_course.evidence.experiments import read_experiment
from carvana_course.evidence.fine_tuning import compare_orders
from carvana_course.evidence.results import FINE_TUNING, RESULTS
from carvana_lib.data import open_data
from carvana_lib.runs import environment, write_json

experiment = read_experiment(RESULTS / "params" / "lite0-all-small.yaml")
folder = sys.argv[1] if len(sys.argv) > 1 else experiment.values["data_dir"]
params = experiment.params(seed=0, data_dir=folder, epochs=1)  # 380 steps: the shorter, the more the order matters
data = open_data(params)
rows = []
for row in compare_orders(data, params):
    rows.append(row)
    print(row, flush=True)
write_json(FINE_TUNING, {"epochs": params.epochs, "learning_rate": params.learning_rate, "rows": rows} | environment())
