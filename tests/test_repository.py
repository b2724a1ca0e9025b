"""Promises that the repository makes to its readers: the notebooks' form, the README, the environments."""

import os
import re

import nbformat
import pytest
import yaml
from conftest import ROOT

from carvana_lib.config import Params

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_notebooks_are_committed_executed_quiet_and_small(path):
    text = path.read_text(encoding="utf8")
    cells = nbformat.reads(text, 4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert max(cell.source.count("\n") + 1 for cell in code) <= 30
    assert len(text) < 1_000_000
    assert not re.search(r"/(work|root|tmp|home/\w+)/", text), "a path of one machine"


@each_notebook
def test_notebooks_open_and_close_as_chapters(path):
    cells = nbformat.read(path, 4).cells
    opening, closing = cells[0].source, cells[-1].source
    assert re.match(rf"# {int(path.stem[:2])} · ", opening) and "**Next:**" in closing
    words = ("**You will learn**", "**Time**", "minutes", "exercises", "**Before this**")
    assert all(word in opening for word in words)
    whole = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", whole, re.M | re.S))
    assert list(sections)[-4:] == ["Takeaways", "Exercises", "Go further", "Further reading"]
    assert whole.count("\n# ") == 0 and len(re.findall(r"^\d\. ", sections["Takeaways"], re.M)) == 3
    assert 3 <= len(re.findall(r"^### \w+ · ", whole, re.M)) <= 5
    assert len(re.findall(r"^\d\. \*", sections["Go further"], re.M)) >= 2
    assert 2 <= len(re.findall(r"^- .*\*.+\*", sections["Further reading"], re.M)) <= 4
    for name in re.findall(r"\]\((\w+\.ipynb)\)", opening + closing):
        assert (path.parent / name).exists()


@each_notebook
def test_scores_that_may_drift_are_tagged_and_still_asserted(path):
    code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    if path.stem[:2] in ("03", "04", "05"):
        assert any("nbval-ignore-output" in cell.metadata.get("tags", []) for cell in code)
    assert any("assert " in cell.source for cell in code)


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_readmes_table_of_parameters_is_configs(name):
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \| (.*) \|$", (ROOT / name).read_text(encoding="utf8"), re.M)
    assert [row[0] for row in rows] == list(Params.model_fields)
    for field, default, description in rows:
        assert default == str(Params.model_fields[field].default)
        assert name == "README.ru.md" or description == Params.model_fields[field].description


@pytest.mark.parametrize("name", ["README.md", "README.ru.md", "CONTRIBUTING.md"])
def test_links_and_commands_in_the_texts_exist(name):
    text = (ROOT / name).read_text(encoding="utf8")
    for link in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text):
        assert link.startswith("http") or (ROOT / link).exists(), link
    for target in re.findall(r"(?:`|^)make (\w+)", text, re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf8"), re.M), target
    for file in re.findall(r"notebooks/[\w/]+\.(?:ipynb|yaml)", text):
        assert (ROOT / file).exists(), file
    for test in re.findall(r"`(test_\w+\.py)`", text):
        assert (ROOT / "tests" / test).exists(), test


def test_what_make_check_leaves_out_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf8").replace("\\\n", "")
    (names,) = re.findall(r"^SLOW := (.*)$", makefile, re.M)
    assert "faults" in names.split() and all((ROOT / "tests" / name).exists() for name in names.split())


def test_a_hosted_machine_runs_what_ours_runs():
    """What may be skipped there is what the pictures that may not be redistributed are needed for."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf8"))
    (step,) = [step for step in workflow["jobs"]["test"]["steps"] if step.get("run") == ".ci/run"]
    assert step["env"]["MAY_SKIP"] in (ROOT / "tests" / "conftest.py").read_text(encoding="utf8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_readmes_python_example_runs(name):
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(encoding="utf8"), re.M | re.S)
    namespace = {}
    exec(example, namespace)
    assert (
        repr(namespace["browser"]) == "MaskBrowser of 2 pictures"
        and namespace["browser"].strip().data[:2] == b"\xff\xd8"
    )
