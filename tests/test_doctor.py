"""The doctor: nothing to say of a machine that is well, and for each thing that is not, one line with a remedy."""

import json
import os
import platform
import re
import shutil
import sys
import time

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from carvana_course.cli import app
from carvana_course.upkeep import doctor
from carvana_lib import device
from carvana_lib.config import Params
from carvana_lib.runs import atomic


@pytest.fixture
def well(monkeypatch, tmp_path):
    """A machine on which all is as it should be, whatever the one is like that runs the tests."""
    for place in ("HOME", "USERPROFILE", "KAGGLE_CONFIG_DIR"):
        monkeypatch.setenv(place, str(tmp_path / "home"))
    for place in ("JUPYTER_DATA_DIR", "JUPYTER_PATH", "IPYTHONDIR"):
        monkeypatch.setenv(place, str(tmp_path / "jupyter"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "GIGABYTES_FREE", 0)
    monkeypatch.setattr(doctor, "GIGABYTES_OF_MEMORY", 0)
    pins = dict(line.split("==") for line in map(pin, (ROOT / "requirements.txt").read_text().splitlines()) if line)
    monkeypatch.setattr(doctor, "version", pins.get)
    return pins


def pin(line: str) -> str:
    """'psycopg[binary]==3.3.9  # why' -> 'psycopg==3.3.9'; '' for a line without a version."""
    requirement = line.partition("#")[0].strip()
    name, equals, version = requirement.partition("==")
    return name.partition("[")[0] + equals + version if equals else ""


def told(*words) -> tuple[int, list[str]]:
    """(exit status, lines) of the command."""
    outcome = CliRunner().invoke(app, ["doctor", *words])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome.exit_code, outcome.output.splitlines()


def problems() -> list[str]:
    """The lines of what is wrong, each with its remedy."""
    status, lines = told()
    wrong = [line for line in lines if not line.startswith("ok      ")]
    assert status == bool(wrong) and all(line.startswith("problem ") and "; " in line for line in wrong)
    return wrong


def test_a_machine_that_is_well_gets_a_line_for_each_thing(well):
    status, lines = told()
    assert status == 0 and all(line.startswith("ok      ") for line in lines)
    assert [line.split()[1] for line in lines] == [
        "Python:", "packages:", "disk:", "memory:", "runs:", "sample:", "Kaggle:", "kernel:", "device:", "leftovers:"
    ]  # fmt: skip
    assert f"torch {well['torch']}, torchvision {well['torchvision']}" in lines[1]
    assert "32 cars, 512 pictures" in lines[5] and lines[8].endswith(device.describe_device(Params()))


def test_this_machine_has_the_versions_that_it_tests(well, monkeypatch):
    monkeypatch.undo()
    assert doctor.version("torch") == well["torch"] and doctor.version("no-such-package") == ""


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PYTHON", (4, 0), "Python: 3.*; install Python 4.0"),
        ("GIGABYTES_FREE", 10**9, "GB free in .*; free 1000000000 GB, or let .* CARVANA_RUNS"),
        ("GIGABYTES_OF_MEMORY", 10**9, "GB available; close other programs, or lower batch_size"),
    ],
)
def test_too_little_is_told(well, monkeypatch, name, value, line):
    monkeypatch.setattr(doctor, name, value)
    (wrong,) = problems()
    assert re.search(line, wrong)


def test_other_versions_are_told(well, monkeypatch):
    monkeypatch.setattr(doctor, "version", (well | {"torchvision": "0.1", "torch": ""}).get)
    (wrong,) = problems()
    assert f"torch is missing, not {well['torch']}, torchvision is 0.1, not {well['torchvision']}; run 'pip" in wrong


def test_runs_that_cannot_be_written_are_told(well, runs):
    runs.write_text("a file where the folder should be")
    (wrong,) = problems()
    assert f"cannot write to {runs}: File exists; change that" in wrong


def test_an_incomplete_sample_is_told(well, monkeypatch, tmp_path):
    for name in ("sample/train", "sample/train_masks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("requirements.txt", "sample/metadata.csv"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    photos = sorted((tmp_path / "sample" / "train").iterdir())
    photos[3].unlink()
    photos[17].write_bytes(b"")
    (wrong,) = problems()
    assert f"2 of 512 pairs missing, first {photos[3].stem}; fetch" in wrong
    (tmp_path / "sample" / "metadata.csv").unlink()
    assert "metadata.csv cannot be read: No such file" in problems()[0]


def test_a_damaged_token_is_told_but_not_shown(well, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a secret with blanks")
    (wrong,) = problems()
    assert "blank" in wrong and "secret" not in wrong


@pytest.mark.parametrize(("system", "machine", "fits"), [
    ("Darwin", "x86_64", False), ("Darwin", "arm64", True), ("Linux", "x86_64", True)
])  # fmt: skip
def test_a_python_for_intel_macs_is_told(well, monkeypatch, system, machine, fits):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    finding = doctor.check_python()
    assert str(finding).startswith("ok" if fits else "problem")
    assert fits or re.search("for Intel Macs.*; on Apple silicon install an arm64 Python, on an Intel", str(finding))


def write_kernel(tmp_path, *argv):
    """Let Jupyter find a kernel python3 with this command before any other."""
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"argv": [*argv, "-f", "{connection_file}"], "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))


def write_program(path, *lines) -> str:
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(0o755)
    return str(path)


def test_the_python_that_jupyter_starts_is_asked(well, tmp_path):
    assert doctor.check_kernel().remedy == ""
    for python in ([sys.executable], ["env", "A=1", sys.executable], ["python3"]):  # jupyter puts its own for the last
        write_kernel(tmp_path, *python, "-m", "ipykernel_launcher")
        assert doctor.check_kernel().remedy == "" and sys.prefix in doctor.check_kernel().found
    other = write_program(tmp_path / "other", "echo /opt/anaconda3")
    write_kernel(tmp_path, other, "-m", "ipykernel_launcher")
    (wrong,) = problems()
    assert f"kernel: Jupyter's kernel python3 is the Python in /opt/anaconda3, not the one in {sys.prefix}; " in wrong
    assert wrong.endswith(
        "run 'python -m ipykernel install --sys-prefix' in this environment, and start Jupyter from it"
    )


def test_a_kernel_that_does_not_start_is_told(well, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "SECONDS_TO_ANSWER", 0.3)
    hanging = write_program(tmp_path / "hanging", "sleep 30")
    failing = write_program(tmp_path / "failing", "exit 3")
    for python in (hanging, failing, str(tmp_path / "removed")):
        write_kernel(tmp_path, python, "-m", "ipykernel_launcher")
        finding = doctor.check_kernel()
        assert f"starts {python}, which does not answer" in finding.found and "ipykernel install" in finding.remedy


def test_a_kernel_that_jupyter_cannot_find_is_told(well, monkeypatch, tmp_path):
    write_kernel(tmp_path, sys.executable)
    (tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json").write_text("{")
    assert "Jupyter finds no kernel python3: " in doctor.check_kernel().found
    monkeypatch.setitem(sys.modules, "jupyter_client.manager", None)
    assert doctor.check_kernel().found.endswith("import of jupyter_client.manager halted; None in sys.modules")


def test_a_broken_torch_is_told(well, monkeypatch):
    def broken(params):
        raise OSError("libcudart.so.12: cannot open\nshared object file")

    monkeypatch.setattr(device, "describe_device", broken)
    (wrong,) = problems()
    assert "torch fails: libcudart.so.12: cannot open shared object file; run 'pip" in wrong


def test_what_killed_runs_left_is_removed_and_nothing_else(well, runs):
    unfinished = [atomic(runs / "a" / "history.csv"), atomic(runs / ".cache" / "0123-32", folder=True)]
    left = [writing.__enter__() for writing in unfinished]  # and never left
    left[0].write_text("half a fi")
    (runs / "a" / ".ipynb_checkpoints").mkdir()
    kept = {path for path in runs.rglob("*") if path not in left}
    assert problems() == [], "younger than a day: somebody may be writing them"
    for path in (*left, runs / "a" / ".ipynb_checkpoints"):
        os.utime(path, (time.time() - 90_000,) * 2)
    (wrong,) = problems()
    assert "leftovers: 2 of killed runs, 0.0 MB; remove them with 'carvana doctor --clean'" in wrong
    status, lines = told("--clean")
    assert status == 0 and "2 of killed runs" in lines[-1] and lines[-1].endswith("removed")
    assert set(runs.rglob("*")) == kept and problems() == []
