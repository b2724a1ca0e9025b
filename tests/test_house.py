"""The house: two packages, one rule between them, and how much a learner has to read."""

import ast
import re

import nbformat
import pytest
from conftest import ROOT

LIBRARY = ROOT / "carvana_lib"
COURSE = ROOT / "carvana_course"
MODULES = {path.stem: path.read_text(encoding="utf8") for path in sorted(LIBRARY.glob("*.py"))}
CELLS = {
    path.stem[:2]: "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
}
TAUGHT = re.compile(r"Taught in (\d\d)\.$")
USED = re.compile(r"Used by `(\w+)` in (\d\d)\.$")


def imported_modules(source: str) -> set[str]:
    """The modules of carvana_lib that a piece of Python imports, also within functions; '__init__' for its face."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("carvana_lib.") for alias in node.names if "carvana_lib" in alias.name}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "carvana_lib":
            found.add(node.module.removeprefix("carvana_lib").removeprefix(".") or "__init__")
            found |= {alias.name for alias in node.names}
    return found & MODULES.keys()


def reading() -> set[str]:
    """The modules that notebooks 01 to 05 import, directly or through others of the library."""
    seen = {"__init__"}
    left = set()
    for path in sorted((ROOT / "notebooks").glob("0[1-5]_*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code":
                left |= imported_modules(cell.source)
    while left:
        name = left.pop()
        seen.add(name)
        left |= imported_modules(MODULES[name]) - seen
    return seen


def lines(name: str) -> int:
    return MODULES[name].count("\n")


def test_the_library_imports_nothing_else_of_the_repository():
    others = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} - {"carvana_lib"}
    assert "carvana_course" in others
    for name, source in MODULES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                tops = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                tops = {(node.module or "carvana_lib").split(".")[0]}
            else:
                continue
            assert not tops & others, f"carvana_lib/{name}.py imports {tops & others}"


def test_what_a_learner_reads_is_an_evening():
    modules = reading()
    assert len(modules) <= 20, sorted(modules)
    assert sum(map(lines, modules)) <= 2160  # 1,700, and what files of others, shapes, splits, stopping, encoders take
    assert sum(map(lines, MODULES)) <= 2235
    assert len(list(LIBRARY.rglob("*.py"))) == len(MODULES), "ls is the syllabus"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_the_library_is_short(name):
    assert lines(name) <= 170


@pytest.mark.parametrize("path", sorted(COURSE.rglob("*.py")), ids=lambda path: str(path.relative_to(COURSE)))
def test_a_module_of_the_course_is_short(path):
    assert path.read_text(encoding="utf8").count("\n") <= 250


def public(source: str) -> list:
    """The public functions and classes of a module."""
    nodes = ast.parse(source).body
    kinds = ast.FunctionDef | ast.ClassDef
    return [node for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")]


@pytest.mark.parametrize("folder", [LIBRARY, COURSE], ids=lambda folder: folder.name)
def test_what_is_public_has_a_docstring(folder):
    for path in folder.rglob("*.py"):
        source = path.read_text(encoding="utf8")
        assert ast.get_docstring(ast.parse(source)), f"{path.name} says nothing of itself"
        for node in public(source):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def names_in(node) -> set[str]:
    """Every name that a definition mentions."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return names | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}


DEFINITIONS = {}  # name -> the definition, private ones too
for text in MODULES.values():
    DEFINITIONS |= {
        node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
LESSONS = [
    node for name, text in MODULES.items() if name != "__init__" for node in public(text)
]  # errors teach nothing


def reached(name: str) -> set[str]:
    """The definitions of the library that one uses, directly or through others."""
    seen = set()
    left = {name}
    while left:
        one = left.pop()
        seen.add(one)
        left |= (names_in(DEFINITIONS[one]) & DEFINITIONS.keys()) - seen
    return seen


@pytest.mark.parametrize("node", LESSONS, ids=lambda node: node.name)
def test_what_is_public_says_where_it_is_taught(node):
    """Its docstring ends with the chapter that names it, or with what uses it there."""
    said = " ".join(ast.get_docstring(node).split())
    taught = TAUGHT.search(said)
    used = USED.search(said)
    assert taught or used, f"{node.name} does not say where it is taught"
    name, chapter = (node.name, taught[1]) if taught else used.groups()
    assert re.search(rf"\b{name}\b", CELLS[chapter]), f"{chapter} does not name {name}"
    assert node.name in reached(name), f"{name} does not use {node.name}"
