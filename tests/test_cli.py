"""The command line as a whole: one command under two names, help by topic, errors as sentences."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from typer.testing import CliRunner

import carvana_lib
from carvana_course.cli import app
from carvana_lib import CarvanaError

ERRORS = [kind for kind in vars(carvana_lib).values() if isinstance(kind, type) and issubclass(kind, CarvanaError)]
WAYS = {
    "carvana": [shutil.which("carvana", path=Path(sys.executable).parent)],
    "python -m": [sys.executable, "-m", "carvana_course"],
}
each_way = pytest.mark.parametrize("way", WAYS)


def call(way: str, *words: str, before: Path = ROOT) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, 80 columns wide; modules in the folder `before` come first."""
    environment = os.environ | {"PYTHONPATH": f"{before}{os.pathsep}{ROOT}", "COLUMNS": "80", "PYTHONUTF8": "1"}
    return subprocess.run([*WAYS[way], *words], capture_output=True, text=True, encoding="utf8", env=environment)


def at_start(folder: Path, program: str) -> Path:
    """A folder whose program Python runs before any other, if the folder is on its path."""
    (folder / "sitecustomize.py").write_text(program)
    return folder


@each_way
@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_meant_for_people_comes_out_as_its_one_sentence(kind, way, tmp_path):
    program = f"""
import carvana_lib
from carvana_course.upkeep import doctor

def look(clean):
    raise carvana_lib.{kind.__name__}("the file 'a.yaml' is empty; write a line")

doctor.look = look
"""
    done = call(way, "doctor", before=at_start(tmp_path, program))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: the file 'a.yaml' is empty; write a line\n")


def test_the_base_class_and_five_kinds_of_error_were_found():
    assert len(ERRORS) >= 6 and CarvanaError in ERRORS


@each_way
def test_a_fault_of_the_program_keeps_its_traceback(way, tmp_path):
    program = "from carvana_course.upkeep import doctor\n\ndel doctor.look\n"
    done = call(way, "doctor", before=at_start(tmp_path, program))
    assert done.returncode == 1 and "Traceback" in done.stderr and "AttributeError" in done.stderr


@each_way
def test_a_package_that_is_not_installed_is_named(way, tmp_path):
    done = call(way, "doctor", before=at_start(tmp_path, "import sys\n\nsys.modules['psutil'] = None\n"))
    assert done.returncode == 1
    assert done.stderr == "error: this needs the package psutil; run 'pip install -r requirements.txt'\n"


def test_a_module_of_ours_that_is_missing_is_a_fault_of_the_program(tmp_path):
    name = "carvana_course.upkeep.doctor"
    done = call("carvana", "doctor", before=at_start(tmp_path, f"import sys\n\nsys.modules['{name}'] = None\n"))
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "cp437"])
def test_a_letter_that_the_terminal_lacks_ends_no_command(encoding, tmp_path):
    name = "Citroën → Škoda · 車.yaml"
    program = f"""
from carvana_course.upkeep import doctor

doctor.look = lambda clean: print({name!a}) or []
"""
    environment = {"PYTHONPATH": f"{at_start(tmp_path, program)}{os.pathsep}{ROOT}", "PYTHONIOENCODING": encoding}
    words = [sys.executable, "-m", "carvana_course"]
    how = {"capture_output": True, "env": os.environ | environment, "encoding": encoding}
    done = subprocess.run([*words, "doctor"], **how)
    assert (done.returncode, done.stderr) == (0, "") and "\\u8eca.yaml" in done.stdout
    done = subprocess.run([*words, "run", "-f", name], **how)
    assert done.returncode == 1 and done.stderr.startswith("error: parameter file 'Citro")
    assert done.stderr.count("\n") == 1


def test_help_is_by_topic_and_the_same_under_both_names():
    pages = {way: call(way, "--help").stdout for way in WAYS}
    assert pages["carvana"] == pages["python -m"]
    lines = pages["carvana"].splitlines()
    assert "Usage: carvana [OPTIONS] COMMAND" in pages["carvana"] and max(map(len, lines)) == 80
    topics = {}
    for line in lines:
        if title := re.match(r"╭─ (\w+) ─", line):
            topics[title[1]] = []
        elif command := re.match(r"│ (\w+)  ", line):
            topics[list(topics)[-1]].append(command[1])
    assert list(topics) == ["Options", "Run", "Data", "Predict", "Teach", "Evidence", "Upkeep"]
    listed = [name for topic in list(topics)[1:] for name in topics[topic]]
    assert listed == [command.name for command in app.registered_commands]


@pytest.mark.parametrize("command", [command.name for command in app.registered_commands])
def test_each_command_explains_itself(command):
    page = CliRunner().invoke(app, [command, "--help"], prog_name="carvana", catch_exceptions=False).output
    assert f"Usage: carvana {command} " in page and "default: <" not in page, "a default that only Python can read"


def test_help_needs_nothing_heavy():
    program = "import sys; import carvana_course.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "typer" in loaded and not loaded & {"torch", "numpy", "pandas", "cv2", "matplotlib", "pydantic", "papermill"}


def test_texts_and_messages_write_commands_in_one_form():
    """`carvana run`, not `python -m carvana_course run`; only launchers such as torchrun need the module."""
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), ROOT / "Makefile"]
    texts += [*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("carvana_*/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    found = [
        path.name for path in texts if re.search(r"python -m carvana_course [a-z]", path.read_text(encoding="utf8"))
    ]
    assert not found
