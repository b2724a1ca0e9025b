"""Short notebooks that stand in for the course's six: a batch of these takes seconds and goes the same way."""

from pathlib import Path

import nbformat
import yaml

from carvana_course.headless.report import SUMMARY
from carvana_lib.config import Params

SCORES = f"""
import time
from carvana_lib.runs import Run, write_json
time.sleep(0.5)
params = {{name: globals()[name] for name in {list(Params.model_fields)}}}
write_json(Run(run_name).metrics, dict.fromkeys({SUMMARY}, seed + 0.5) | {{"params": params}})
"""  # it imports little, so that a kernel is ready within a second


def write(folder: Path, *cells: str) -> Path:
    """A folder with one notebook: the parameters cell, the given cells, and one that writes metrics.json."""
    parameters = nbformat.v4.new_code_cell("# Parameters", metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, [*cells, SCORES])])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    folder.mkdir(parents=True)
    nbformat.write(book, folder / "05_scores.ipynb")
    return folder


def write_sets(folder: Path, params: dict) -> list[Path]:
    """A batch file of two sets that differ in the seed."""
    values = {name: value for name, value in params.items() if name != "run_name"}
    path = folder / "sets.yaml"
    path.write_text(yaml.safe_dump(values | {"grid": {"seed": [0, 1]}}))
    return [path]
