"""Trains on cars of 0.2 % of the picture with several losses, and writes results/rare-object.json: half an hour."""

import os
import tempfile
from pathlib import Path

from carvana_course.evidence import rare
from carvana_course.evidence.results import RARE
from carvana_lib.runs import environment, write_json

rows = []
with tempfile.TemporaryDirectory() as name:
    os.environ["CARVANA_RUNS"] = f"{name}/runs"
    rare.write_far_away(Path(name) / "far")
    for row in rare.train_each(Path(name) / "far"):
        rows.append(row)
        print(row, flush=True)
write_json(RARE, {"share": rare.SHARE, "epochs": rare.EPOCHS, "rows": rows} | environment())
