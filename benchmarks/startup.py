"""How long until something can be done: the command line, the package, the notebooks' imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat

from benchmarks.measure import Findings, Plan, alternate
from carvana_course.headless.notebooks import NOTEBOOKS, find_notebooks

CARVANA = str(Path(sys.executable).with_name("carvana"))  # the script, which Python can run


def run(*arguments: str) -> None:
    """Run Python quietly, from the notebooks' folder as a kernel does."""
    environment = os.environ | {"PYTHONPATH": str(NOTEBOOKS.parent)}
    subprocess.run([sys.executable, *arguments], check=True, cwd=NOTEBOOKS, capture_output=True, env=environment)


def imports(path) -> str:
    """The import statements of a notebook's first cell after its parameters, as a program."""
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    return ast.unparse([node for node in ast.parse(cells[1]).body if isinstance(node, ast.Import | ast.ImportFrom)])


def measure(plan: Plan) -> Findings:
    """All warm: each runs once before it is timed; in quick mode earlier parts have read the notebooks' libraries."""
    found, rounds = Findings(), plan.pick(5, 9, 1)
    seconds = alternate(
        {
            "python": lambda: run("-c", "pass"),
            "import": lambda: run("-c", "import carvana_lib"),
            "help": lambda: run(CARVANA, "--help"),
        },
        rounds,
    )
    found.row("python -c pass", "s", seconds["python"])
    found.row("carvana --help", "s", seconds["help"])
    found.target("start-up: s of carvana --help", seconds["help"], at_most=0.4)
    beyond = seconds["import"] - seconds["python"]
    found.target("start-up: s of import carvana_lib beyond Python's own", beyond, at_most=0.1)
    paths = plan.pick(find_notebooks(), find_notebooks(), find_notebooks()[:1])
    seconds = alternate(
        {path.stem: lambda p=path: run("-c", imports(p)) for path in paths}, plan.pick(1, 3, 1), plan.pick(0, 1, 0)
    )
    for name, value in seconds.items():
        found.row(f"imports of notebook {name}", "s", value)
    found.target("start-up: s of the slowest notebook's first imports", max(seconds.values()), at_most=6)
    return found
