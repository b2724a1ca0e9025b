"""The picture in CONTRIBUTING.md is that of the imports as they are."""

import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")


@pytest.fixture
def house(monkeypatch):
    """scripts/house.py as a module."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import house

    return house


def write(root, **programs: str):
    """A repository of two packages: `carvana_lib__data="import x"` becomes carvana_lib/data.py."""
    for package in ("carvana_lib", "carvana_course"):
        (root / package).mkdir(exist_ok=True)
        (root / package / "__init__.py").write_text("")
    for name, program in programs.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(program)
    return root


def arrows(picture: str) -> list[str]:
    return sorted(line.strip() for line in re.findall(r".*[-=]=?>.*", picture))


def test_the_picture_is_up_to_date(house):
    assert house.insert(PAGE, house.draw()) == PAGE, "run `python scripts/house.py`"


def test_every_module_of_the_library_and_every_room_of_the_course_is_in_it():
    for package, pattern in (("carvana_lib", "*.py"), ("carvana_course", "*/__init__.py")):
        paths = [path.relative_to(ROOT / package).parts[0] for path in (ROOT / package).glob(pattern)]
        for name in (part.removesuffix(".py") for part in paths if part != "__init__.py"):
            assert f'{package}_{name}["{name}"]' in PAGE


def test_imports_of_every_form_are_arrows(house, tmp_path):
    root = write(
        tmp_path,
        carvana_lib__data="import carvana_lib.runs as r",
        carvana_lib__runs="from carvana_lib import RunError",
        carvana_lib__model="from carvana_lib import data, losses",
        carvana_lib__losses="def loss():\n    from carvana_lib.runs import Run\n",
        carvana_course__show__plots="from carvana_lib.runs import Run",
        carvana_course__cli="from carvana_course.show import plots",
    )
    assert arrows(house.draw(root)) == [
        "carvana_course ==> carvana_lib",
        "carvana_course_cli --> carvana_course_show",
        "carvana_lib_data --> carvana_lib_runs",
        "carvana_lib_losses --> carvana_lib_runs",
        "carvana_lib_model --> carvana_lib_data",
        "carvana_lib_model --> carvana_lib_losses",
    ]


def test_an_arrow_is_left_out_where_others_lead_the_same_way(house):
    chain = {("a", "b"), ("b", "c"), ("c", "d")}
    assert house.reduce_arrows(chain | {("a", "c"), ("a", "d"), ("b", "d")}) == chain
    ring = {("a", "b"), ("b", "a")}
    assert house.reduce_arrows(ring) == ring


def test_an_import_from_the_library_to_the_course_shows(house, tmp_path):
    root = write(tmp_path, carvana_lib__data="import carvana_course.cli", carvana_course__cli="")
    assert arrows(house.draw(root)) == ["carvana_lib ==> carvana_course"]


def test_a_page_without_marks_is_refused(house):
    with pytest.raises(ValueError):
        house.insert("# Contributing", "flowchart TB")
