import json
import os
import shutil
import subprocess
import sys

import pytest

from carvana_lib import RunError
from carvana_lib.config import Params
from carvana_lib.runs import ROOT, Run, atomic, commit, read_json, stale, write_json


def test_start_records_parameters_versions_commit_and_device(runs):
    run = Run.start(Params(run_name="a", seed=7), "cpu (test)")
    record = json.loads((runs / "a" / "params.json").read_text())
    assert record["params"] == Params(run_name="a", seed=7).model_dump()
    assert record["seed"] == 7 and record["device"] == "cpu (test)" and record["versions"]["torch"]
    assert len(record["commit"]) >= 7 and run.metrics == runs / "a" / "metrics.json"


def test_a_commit_is_dirty_where_code_differs_but_not_for_the_page_of_results(tmp_path, monkeypatch):
    for name in ("CODE", "ROOT"):
        monkeypatch.setattr(f"carvana_lib.runs.{name}", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() == "unknown", "no repository"
    (tmp_path / "results").mkdir()
    code, page = tmp_path / "code.py", tmp_path / "results" / "README.md"
    for file in (code, page):
        file.write_text("one\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    clean = commit()
    assert len(clean) == 40
    page.write_text("two\n")
    (tmp_path / "results" / "new-seed0.json").write_text("{}")
    assert commit() == clean
    code.write_text("two\n")
    assert commit() == f"{clean}-dirty"


def test_installed_without_its_repository_paths_start_where_one_works(tmp_path):
    here = tmp_path / "project"  # somebody's own repository, with the packages in its virtual environment
    packages = here / ".venv" / "packages"
    for name in ("carvana_lib", "carvana_course"):
        shutil.copytree(ROOT / name, packages / name)
    git = ["git", "-C", str(here), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    environment = os.environ | {"PYTHONPATH": str(packages)}
    del environment["CARVANA_RUNS"]
    work = {"capture_output": True, "text": True, "cwd": here, "env": environment}
    code = "from carvana_lib import runs; print(runs.runs_folder(), runs.commit())"
    done = subprocess.run([sys.executable, "-c", code], **work)
    assert done.stdout.split() == [str(here.resolve() / "runs"), "unknown"], done.stderr
    for words in (["run"], ["site"], ["doctor"]):
        done = subprocess.run([sys.executable, "-P", "-m", "carvana_course", *words], **work)
        assert done.returncode == 1 and "clone the repository" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_atomic_leaves_the_old_file_when_the_writer_fails(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("half a fi")
        raise ZeroDivisionError
    assert read_json(path) == {"a": 1} and os.listdir(tmp_path) == ["x.json"]


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(RunError, match="cannot write .*x.json: No space left on device; free"), atomic(path):
        raise OSError(28, "No space left on device")
    assert read_json(path) == {"a": 1} and os.listdir(tmp_path) == ["x.json"]


def test_an_unwritable_run_folder_is_one_sentence(runs):
    runs.mkdir()
    (runs / "blocked").write_text("a file where the run's folder should be")
    with pytest.raises(RunError, match="cannot write .*blocked.*run again"):
        Run.start(Params(run_name="blocked"))


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path):
    with atomic(tmp_path / "cache", folder=True) as temporary:
        (temporary / "mine").touch()
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "theirs").touch()
    assert os.listdir(tmp_path / "cache") == ["theirs"] and os.listdir(tmp_path) == ["cache"]


def test_a_missing_artefact_names_the_notebook_to_run(tmp_path):
    with pytest.raises(RunError, match="best.json does not exist; run notebook 03 first"):
        read_json(tmp_path / "best.json", made_by="notebook 03")


def test_import_loads_nothing_heavy_and_touches_no_network():
    code = """
import sys, socket
def refuse(*args, **kwargs): raise AssertionError("network at import")
socket.socket.connect = socket.create_connection = refuse
import carvana_lib
heavy = {"torch", "pandas", "matplotlib", "albumentations", "cv2", "pydantic"} & set(sys.modules)
assert not heavy, heavy
import warnings; warnings.simplefilter("error")
import carvana_course.headless.batches, carvana_lib.evaluation, carvana_lib.tuning, carvana_course.upkeep.download
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_leftover_that_its_process_has_just_renamed_is_no_fault(tmp_path):
    assert stale([tmp_path / ".gone"]) == []
