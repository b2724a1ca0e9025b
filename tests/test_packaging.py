"""What is installed, and for what: pyproject.toml, requirements.txt and the imports say the same."""

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from collections import ChainMap
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT

from carvana_lib import __version__, runs

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
LOCAL = {"carvana_lib", "carvana_course", "benchmarks", "scripts", "studio", "conftest", "house", "test_upload"}
COMMAND = {"typer", "pyyaml", "filelock"}  # needed by `carvana`, which starts in any installation, not by carvana_lib
EXTRAS = {  # that a room of carvana_course needs; others: lab
    "adopt": {"lab", "polygons"},
    "deployment": {"lab", "deploy"},
    "scaling": {"scale"},
}
ROOMS = sorted(path for path in (ROOT / "carvana_course").iterdir() if path.stem != "__pycache__")


def bounds(lines: list[str]) -> dict[str, str]:
    """Lines of pyproject.toml, a name with at most a lower bound -> {name in lower case: bound or ''}."""
    found = [re.fullmatch(r"([\w.-]+(?:\[\w+\])?)(?:>=([\d.]+))?", line) for line in lines]
    return {match[1].lower(): match[2] or "" for match in found}


CORE = bounds(PROJECT["dependencies"])
OPTIONAL = {extra: bounds(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
NAMED = dict(ChainMap(CORE, *OPTIONAL.values()))


def requirements() -> dict[str, str]:
    """requirements.txt as {name in lower case: version}."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()]
    return dict(line.lower().split("==") for line in lines if line and line != "-e .")


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def programs(path: Path) -> list[str]:
    """The Python of a module, of all modules in a folder, or of the notebooks in it."""
    modules = [path] if path.is_file() else sorted(path.rglob("*.py"))
    notebooks = [] if path.is_file() else sorted(path.rglob("*.ipynb"))
    cells = [cell for file in notebooks for cell in nbformat.read(file, 4).cells if cell.cell_type == "code"]
    return [module.read_text(encoding="utf8") for module in modules] + [cell.source for cell in cells]


def imported(*paths: Path) -> set[str]:
    """The packages that the programs below some paths import, by the names under which they are installed."""
    modules = set()
    for program in (program for path in paths for program in programs(path)):
        for node in ast.walk(ast.parse(program)):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module)
    tops = {module.split(".")[0] for module in modules} - sys.stdlib_module_names - LOCAL
    installed = importlib.metadata.packages_distributions()
    names = {name.lower() for top in tops for name in installed.get(top, [top])}
    return {"psycopg[binary]" if name == "psycopg" else name for name in names}


def test_requirements_are_exact_and_are_the_packages_of_the_project():
    pins = requirements()
    assert all(re.fullmatch(r"\d[\w.]*", pin) for pin in pins.values())
    assert set(NAMED) == set(pins)
    assert len(NAMED) == len(CORE) + sum(map(len, OPTIONAL.values())), "a package is named for two purposes"
    for name, bound in NAMED.items():
        assert not bound or version(bound) <= version(pins[name]), name


def test_lower_bounds_are_the_oldest_versions_that_were_tried():
    text = (ROOT / "docs" / "versions.md").read_text(encoding="utf8")
    tried = dict(re.findall(r"([\w-]+)==([\d.]+)", text)) | {"albumentations": "2.0.8"}
    assert "albumentations 2.0.8 is the last of its line" in text
    assert {name: bound for name, bound in NAMED.items() if bound} == tried


def test_the_core_is_what_the_library_imports():
    assert set(CORE) - COMMAND == imported(ROOT / "carvana_lib")  # pillow-heif is asked for by name, and may be absent


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.stem)
def test_each_room_of_the_course_imports_what_its_extras_install(room):
    extras = EXTRAS.get(room.stem, {"lab"})
    assert imported(room) <= set(CORE).union(*(OPTIONAL[extra] for extra in extras))


def test_the_command_itself_needs_the_core_alone():
    assert imported(ROOT / "carvana_course" / "cli.py", ROOT / "carvana_course" / "options.py") <= set(CORE)


def test_notebooks_import_what_their_extras_install():
    assert imported(ROOT / "notebooks") <= set(CORE) | set(OPTIONAL["lab"]) | set(OPTIONAL["deploy"])


def test_whatever_else_is_imported_is_required():
    assert imported(ROOT / "tests", ROOT / "benchmarks", ROOT / "scripts") - {"embreex"} <= set(requirements())
    studio = (ROOT / "studio" / "requirements.txt").read_text(encoding="utf8").lower()
    assert imported(ROOT / "studio") <= set(re.findall(r"^([\w-]+)==", studio, re.M))


def test_a_record_of_versions_needs_the_core_alone(monkeypatch):
    def installed(name: str) -> str:
        if name.lower() not in CORE:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in CORE else None)
    monkeypatch.setattr(importlib.metadata, "version", installed)
    assert runs.environment()["versions"]["torch"] == "1.0"


def test_environment_yml_repeats_nothing_of_requirements():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    python, pip, requirements = environment["dependencies"]
    assert python.startswith("python=3.") and pip == "pip" and requirements == {"pip": ["-r requirements.txt"]}


def test_version_and_licence_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    licence = (ROOT / "LICENSE").read_text(encoding="utf8")
    assert citation["version"] == __version__ and citation["license"] == PROJECT["license"] == licence.split()[0]
    assert f"(c) {citation['date-released'].year} {citation['authors'][0]['name']}" in licence
    assert re.search(rf"^## \[?{re.escape(__version__)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf8"), re.M)
