"""Exercise and solution never drift: every check in a notebook has its exercise, its solution, and an open stub."""

import itertools
import re

import nbformat
import numpy as np
import pytest
from conftest import ROOT

from carvana_course.exercises import CHAPTERS, EXERCISES, QUESTIONS
from carvana_course.exercises.checks import judge

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
CHECK = re.compile(r'^check\("(\w+)", (\w+)\)$', re.M)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)


def code_cells(path) -> list:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def names(path) -> list[str]:
    return [name for cell in code_cells(path) for name, _ in CHECK.findall(cell.source)]


@each_notebook
def test_notebook_exercises_and_solutions_name_the_same(path):
    known = [exercise.name for exercise in CHAPTERS[path.stem]]
    solution = path.parent / "solutions" / path.name
    assert 3 <= len(known) <= 6 and sorted(names(path)) == sorted(known)
    assert names(solution) == names(path), "solutions stand in the notebook's order"


def test_no_solution_is_without_its_notebook():
    assert SOLUTIONS and {path.name for path in SOLUTIONS} <= {path.name for path in NOTEBOOKS}


@each_solution
def test_every_solution_passes_the_check_that_the_learner_calls(path, capsys):
    namespace = {}
    for cell in code_cells(path):
        exec(cell.source, namespace)
    printed = capsys.readouterr().out.splitlines()
    for (name, answer), line in zip(CHECK.findall("\n".join(c.source for c in code_cells(path))), printed, strict=True):
        assert judge(EXERCISES[name], namespace[answer]).kind == "right" and line.startswith(f"{name}: right")


@each_notebook
def test_stubs_are_open_and_pass_nothing(path):
    cells = code_cells(path)
    found = 0
    for stub, checked in itertools.pairwise(cells):
        for name, answer in CHECK.findall(checked.source):
            namespace = {"np": np, "MEAN": 0, "STD": 1}  # what the notebook has imported for its stubs
            exec(stub.source, namespace)
            assert judge(EXERCISES[name], namespace[answer]).kind == "not tried"
            assert [output.text for output in checked.outputs] == [f"{name}: not tried yet\n"]
            found += 1
    assert found >= 3


@each_solution
def test_solutions_are_committed_executed_and_quiet(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert all(output.output_type == "stream" and output.name == "stdout" for output in outputs)
    assert sum(": right" in output.text for output in outputs) == len(names(path)) == len(outputs)
    assert max(cell.source.count("\n") + 1 for cell in cells) <= 20


@each_solution
def test_every_solution_says_why(path):
    cells = nbformat.read(path, 4).cells
    for before, cell in itertools.pairwise(cells):
        for name, _ in CHECK.findall(cell.source):
            assert before.source.startswith(f"## {name}\n\n") and len(before.source) > 80


@each_notebook
def test_pictures_are_predicted_and_quizzes_asked(path):
    cells = nbformat.read(path, 4).cells
    markdown = [cell.source for cell in cells if cell.cell_type == "markdown"]
    predictions = [text for text in markdown if "**Predict.**" in text]
    assert len(predictions) >= 3
    for text in predictions:
        assert re.search(r"\*\*Predict\.\*\* .+\n\n<details><summary>Answer</summary>\n\n.+\n\n</details>", text)
    asked = [name for cell in cells for name in re.findall(r'^quiz\("([\w ]+)"\)$', cell.source, re.M)]
    assert asked and set(asked) <= set(QUESTIONS)


def test_every_question_is_asked_once():
    sources = [cell.source for path in NOTEBOOKS for cell in code_cells(path)]
    asked = [name for source in sources for name in re.findall(r'^quiz\("([\w ]+)"\)$', source, re.M)]
    assert sorted(asked) == sorted(QUESTIONS)


@each_notebook
def test_no_notebook_shows_a_solution(path):
    """The stub's cell is open, and nowhere else stands the answer's body."""
    for cell in code_cells(path):
        for name in re.findall(r"^def my_(\w+)", cell.source, re.M):
            assert cell.source.rstrip().endswith("return ..."), name
