import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading

import nbformat
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, write_pair, write_set
from PIL import Image

from carvana_course.cli import join_pairs, main, parse_pair
from carvana_course.headless import batches, notebooks, report
from carvana_course.headless.folds import compare_folds
from carvana_course.headless.scores import has_metrics, score_run
from carvana_course.parameters import load_params
from carvana_lib import ParameterError, RunError
from carvana_lib.checkpoints import load_trained
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.runs import Run, read_json, write_csv, write_json
from carvana_lib.training import train

FIXED = {"learning_rate": 1e-2, "loss": "bce"}
TINY = {"image_size": 32, "base_channels": 2, "epochs": 1, "device": "cpu"}


def command(*words, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "carvana_course", *map(str, words)], capture_output=True, text=True, cwd=ROOT, **kwargs
    )


def options(params: dict) -> list:
    """Parameters as the command line takes them."""
    return [word for pair in params.items() for word in ("-p", *pair)]


def test_a_whole_headless_run_writes_every_artefact_and_a_report_that_needs_no_network(tmp_path):
    """On as few pictures as can be split, half of them without a car: chapters run on any set that trains."""
    empty = {f"car{car}_02_mask.gif": Image.new("L", (48, 32)) for car in range(3)}
    own = options(TINY | {"data_dir": write_set(tmp_path / "few", empty), "keep_empty": True})
    done = command("run", *own, "--name", "whole")
    assert done.returncode == 0, done.stderr
    run = Run("whole")
    for artefact in (
        run.params,
        run.audit,
        run.split,
        run.model,
        run.studies,
        run.tuning,
        run.best,
        run.history,
        run.last,
        run.best_checkpoint,
        run.per_image,
        run.metrics,
        run.report,
    ):
        assert artefact.exists(), artefact
    assert re.search(r"val_miou +test_miou +test_iou_std", done.stdout) and f"report: {run.report}" in done.stdout
    assert len(set(re.findall(r"\d+/(\d+) \[", done.stderr))) == 1, "one bar over all notebooks"
    record = json.loads(run.params.read_text())
    assert record["params"]["epochs"] == 1 and record["device"] and record["commit"] and record["seed"] == 0

    page = run.report.read_text()
    assert page.count("<img ") > 20 and "Traceback" not in page and "cdn" not in re.findall(r"https?://(\w+)", page)
    assert not re.search(r"""<(?:script|img|iframe|link)[^>]*(?:src|href)=["']?(?!data:)http""", page)
    assert set(re.findall(r'href="#(\d\d_\w+)"', page)) <= set(
        re.findall(r'<details class="chapter" id="(\d\d_\w+)"', page)
    )
    assert re.search(r"<th>image_size</th>\s*<td>32</td>", page), "the report shows the parameters that were used"
    for path in run.notebooks.glob("*.ipynb"):
        outputs = [o for cell in nbformat.read(path, 4).cells for o in cell.get("outputs", [])]
        assert not [o for o in outputs if o.get("name") == "stderr" or o["output_type"] == "error"], path

    again = command("run", *own, "--name", "whole", "--only", "05")
    assert again.returncode == 0, again.stderr
    metrics = json.loads(run.metrics.read_text())
    assert metrics["n_train"] == metrics["n_test"] == 2 and 0 <= metrics["test_iou_min"] <= 1


def test_chapters_run_on_one_view_of_each_car(tmp_path):
    own = options(
        TINY | {"data_dir": write_set(tmp_path / "own", cars=6, views=1), "learning_rate": 1e-3, "loss": "dice"}
    )
    done = command("run", *own, "--name", "own", "--only", "01", "--only", "05", "--only", "06")
    assert done.returncode == 0, done.stderr
    assert Run("own").report.exists() and Run("own").onnx.exists()


def test_papermill_itself_runs_one_notebook_alone_with_a_file_and_parameters(tmp_path, folder):
    (tmp_path / "set.yaml").write_text(
        yaml.safe_dump(
            {
                "data_dir": str(folder),
                "run_name": "alone",
                "image_size": 32,
                "base_channels": 4,
                "learning_rate": 0.001,
                "loss": "dice",
            }
        )
    )
    words = [
        "papermill",
        "notebooks/04_training.ipynb",
        str(tmp_path / "out.ipynb"),
        "-p",
        "epochs",
        "2",
        "-f",
        str(tmp_path / "set.yaml"),
    ]
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), words[0]), *words[1:]], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "unknown parameter" not in done.stderr
    history = pd.read_csv(Run("alone").history)
    assert len(history) == 2 and (history["learning_rate"] == 0.001).all()


def test_papermill_refuses_a_misspelt_parameter(tmp_path):
    words = ["notebooks/01_data.ipynb", str(tmp_path / "out.ipynb"), "-p", "image_siz", "64"]
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "papermill"), *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode != 0 and "unknown parameter 'image_siz'; did you mean 'image_size'?" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "-p", "epoch", "3"], "error: unknown parameter 'epoch'; did you mean 'epochs'?"),
        (["run", "-p", "epochs", "0"], "error: epochs='0': it should be greater than or equal to 1"),
        (["run", "-p", "image_size", "100"], "multiple of 16"),
        (["run", "-p", "loss", "hinge"], "error: loss='hinge'"),
        (["run", "-f", "absent.yaml"], "error: parameter file 'absent.yaml' cannot be read"),
        (["run", "-p", "epochs"], "error: -p takes a name and a value"),
        (["run", "-p", "data_dir", "@nowhere", "--only", "01,05"], "error: there is no notebook '01,05'"),
        (["run", "--only", "19"], "error: there is no notebook '19'"),
        (["batch", "absent.yaml"], "error: parameter file 'absent.yaml'"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_runs(words, message, runs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["carvana", *words])
    with pytest.raises(SystemExit) as end:  # nine processes, each importing torch, would take 45 seconds
        main()
    assert message in end.value.code and len(end.value.code.splitlines()) == 1
    assert capsys.readouterr() == ("", "") and not runs.exists()


def test_a_failing_notebook_is_named_with_its_reason(folder):
    set_to = {"data_dir": folder, "image_size": 32, "base_channels": 4, "learning_rate": 1e-3, "loss": "dice"}
    words = [str(word) for pair in set_to.items() for word in ("-p", *pair)]
    done = command("run", *words, "-p", "start_from", "nobody", "--only", "04", "--name", "broken")
    assert done.returncode == 1 and "04_training.ipynb, cell" in done.stderr and "no trained run" in done.stderr
    assert "Traceback" not in done.stderr


def test_pictures_that_cannot_be_used_are_told_before_any_notebook_runs(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train_masks").mkdir()
    done = command("run", "-p", "data_dir", tmp_path, "--name", "broken")
    assert done.returncode == 1 and "train holds no pictures" in done.stderr and "ipynb" not in done.stderr


def test_what_is_left_out_is_on_the_screen(folder):
    for path in sorted((folder / "train_masks").iterdir())[:3]:
        path.unlink()
    done = command("run", "-p", "data_dir", folder, "--only", "01", "--name", "less", "-p", "image_size", "32")
    assert done.returncode == 0 and "3 of 40 left out: 3 x image without mask; see " in done.stdout


def test_an_unwritable_run_folder_and_a_missing_device_are_one_sentence(runs):
    runs.mkdir()
    (runs / "blocked").write_text("a file where the run's folder should be")
    done = command("run", "--name", "blocked")
    assert done.returncode == 1 and done.stderr.startswith("error: cannot write") and "Traceback" not in done.stderr
    if not torch.cuda.is_available():
        done = command("run", "-p", "device", "cuda")
        assert done.returncode == 1 and "device='cuda' is not available" in done.stderr and "01_data" not in done.stderr


def test_pairs_are_read_as_papermill_reads_them():
    words = ["run", "-p", "epochs", "2", "-f", "x.yaml", "--parameter", "loss", "bce"]
    assert join_pairs(words) == ["run", "-p", "epochs=2", "-f", "x.yaml", "--parameter", "loss=bce"]
    assert parse_pair("epochs=2") == ("epochs", "2") and parse_pair("subset=None") == ("subset", None)
    assert join_pairs(["-p", "epochs=3", "--name", "x"]) == ["-p", "epochs=3", "--name", "x"]
    assert parse_pair("data_dir=@x") == ("data_dir", "@x")
    assert parse_pair("subset=null") == ("subset", None) and parse_pair("data_dir=a=b") == ("data_dir", "a=b")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data_dir", "photos #2", "photos #2"),
        ("data_dir", "a=b", "a=b"),
        ("data_dir", "-x", "-x"),
        ("data_dir", "[a", "[a"),
        ("run_name", "2024-01-05", "2024-01-05"),
        ("run_name", "1.50", "1.50"),
        ("run_name", "no", "no"),
        ("run_name", "None", "None"),
        ("start_from", "None", None),
        ("start_from", "1e3", "1e3"),
        ("loss", "None", None),
        ("loss", "dice", "dice"),
        ("subset", "null", None),
        ("augment", "none", "none"),
        ("epochs", "010", 10),
        ("learning_rate", "1e-3", 1e-3),
        ("weight_decay", "0", 0.0),
        ("flip", "True", True),
        ("flip", "yes", True),
        ("resume", "false", False),
    ],
)
def test_a_parameter_of_the_command_line_is_what_its_type_makes_of_the_text(name, text, value):
    for words in (["-p", name, text], ["-p", f"{name}={text}"]):
        option, pair = join_pairs(words)
        assert option == "-p"
        found = getattr(Params(**dict([parse_pair(pair)])), name)
        assert found == value and type(found) is type(value)


def test_notebooks_are_chosen_by_number():
    names = [path.stem[:2] for path in notebooks.find_notebooks()]
    assert names[:5] == ["01", "02", "03", "04", "05"]
    assert [path.stem[:2] for path in notebooks.find_notebooks(start="04")] == names[3:]
    assert [path.stem[:2] for path in notebooks.find_notebooks(only=["03", "05_evaluation"])] == ["03", "05"]


def test_a_grid_becomes_named_sets(tmp_path):
    (tmp_path / "search.yaml").write_text("epochs: 1\ngrid:\n  seed: [0, 1]\n  loss: [bce, dice]\n")
    (tmp_path / "one.yaml").write_text("run_name: mine\n")
    sets = batches.read_sets([tmp_path / "search.yaml", tmp_path / "one.yaml"])
    assert [p.run_name for p in sets] == [
        *(f"search-seed-{s}-loss-{x}" for s in (0, 1) for x in ("bce", "dice")),
        "mine",
    ]
    assert {(p.seed, p.loss, p.epochs) for p in sets[:4]} == {(s, x, 1) for s in (0, 1) for x in ("bce", "dice")}


def test_folds_become_a_set_each_beside_a_grid(tmp_path):
    (tmp_path / "cv.yaml").write_text("folds: 3\ngrid: {loss: [bce, dice]}\n")
    (tmp_path / "one.yaml").write_text("folds: 3\nfold: 2\nrun_name: second\n")
    sets = batches.read_sets([tmp_path / "cv.yaml", tmp_path / "one.yaml"])
    names = [f"cv-loss-{loss}-fold-{fold}" for loss in ("bce", "dice") for fold in (1, 2, 3)]
    assert [params.run_name for params in sets] == [*names, "second"]
    assert [params.fold for params in sets] == [1, 2, 3, 1, 2, 3, 2] and {params.folds for params in sets} == {3}


def test_folds_are_compared_together_over_all_their_pictures(folder, tmp_path, runs):
    """Trained and scored without notebooks, on the ten cars; the third fold is not there yet at first."""
    (tmp_path / "cv.yaml").write_text(yaml.safe_dump(TINY | FIXED | {"data_dir": str(folder), "folds": 3}))
    sets = batches.read_sets([tmp_path / "cv.yaml"])
    tables = []
    for number, params in enumerate(sets, 1):
        data = open_data(params)
        train(data, params)
        model, used, history = load_trained(data, params)
        table, metrics = score_run(model, data, used, history)
        tables.append(table)
        write_csv(Run(params.run_name).per_image, table)
        write_json(Run(params.run_name).metrics, metrics | {"params": params.model_dump()})
        batches.compare_runs([tmp_path / "cv.yaml"])
        (row,) = pd.read_csv(runs / "comparison_folds.csv").to_dict("records")
        assert (row["recipe"], row["folds"]) == ("cv", f"{number} of 3") and row["cars"] == pd.concat(tables)[
            "car_id"
        ].nunique()
        assert row["test_miou"] == pytest.approx(pd.concat(tables)["iou"].mean())
        assert row["ci95_low"] <= row["test_miou"] <= row["ci95_high"]
    assert row["cars"] == 10 and sorted(pd.concat(tables)["image_id"]) == sorted(data.table["image_id"])
    assert row["lowest_fold"] == min(table["iou"].mean() for table in tables)
    page = (runs / "comparison.html").read_text()
    assert "3 of 3" in page and "share most of their training cars" in page and "cv-fold-3" in page
    found = batches.comparison_as_text(batches.compare_runs([tmp_path / "cv.yaml"]), [tmp_path / "cv.yaml"])
    assert "3 of 3" in found and "cv-fold-1" in found

    write_pair(folder, "added_01", seed=77)  # what is scored on other pictures is another comparison
    data = open_data(sets[0])
    metrics = read_json(Run("cv-fold-1").metrics)
    write_json(Run("cv-fold-1").metrics, metrics | {"fingerprint": data.fingerprint})
    assert compare_folds(sets)["folds"].tolist() == ["1 of 3", "2 of 3"]


def test_a_file_with_folds_is_for_a_batch(tmp_path):
    (tmp_path / "cv.yaml").write_text("folds: 3\n")
    with pytest.raises(
        ParameterError, match="^folds=3 and fold=None do not go together.*'carvana batch' does it for each"
    ):
        load_params(tmp_path / "cv.yaml")
    assert load_params(tmp_path / "cv.yaml", fold="2").fold == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folds: 1", "folds=1: it should be greater"),
        ("folds: five", "folds='five': it should be a valid integer"),
        ("grid: {folds: [3, 0]}", "folds=0: it should be greater"),
        ("grid: [1, 2]", "grid must hold"),
        ("grid: {seed: 3}", "grid must hold"),
        ("grid: {sed: [1]}", "did you mean 'seed'"),
        ("epochs: 0", "epochs=0"),
    ],
)
def test_a_wrong_set_is_refused_before_any_runs(tmp_path, text, message):
    (tmp_path / "good.yaml").write_text("epochs: 1")
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ParameterError, match=message):
        batches.read_sets([tmp_path / "good.yaml", tmp_path / "bad.yaml"])
    with pytest.raises(ParameterError, match="two parameter sets are called 'good'"):
        batches.read_sets([tmp_path / "good.yaml"] * 2)


def test_a_batch_skips_what_is_finished_goes_on_after_failures_and_compares(tmp_path, monkeypatch, runs, capsys):
    ran = []

    def run(params, start):
        ran.append(params.run_name)
        if params.seed == 1:
            raise RunError("04_training.ipynb, cell 9: out of luck")
        finish(params)

    monkeypatch.setattr(batches, "run_notebooks", run)
    (tmp_path / "b.yaml").write_text("grid: {seed: [0, 1, 2]}")
    table, failures = batches.run_batch([tmp_path / "b.yaml"])
    assert ran == ["b-seed-0", "b-seed-1", "b-seed-2"] and failures == [
        "b-seed-1: 04_training.ipynb, cell 9: out of luck"
    ]
    assert table["run"].tolist() == ["b-seed-0", "b-seed-2"] and table["seed"].tolist() == [0, 2]
    batches.run_batch([tmp_path / "b.yaml"])
    assert ran[3:] == ["b-seed-1"]
    assert len(pd.read_csv(runs / "comparison.csv")) == 2 and "b-seed-2" in (runs / "comparison.html").read_text()
    assert "b-seed-0: finished before" in capsys.readouterr().out


def finish(params):
    """What a run leaves for its comparison."""
    target = Run.start(params)
    facts = {"params": params.model_dump(), "fingerprint": open_data(params).fingerprint}
    write_json(target.metrics, dict.fromkeys(report.SUMMARY, 0.9) | facts)
    target.report.touch()


def test_a_batch_in_parts_leaves_no_gap_and_every_part_compares_what_has_finished(tmp_path, monkeypatch, runs):
    ran = []
    monkeypatch.setattr(batches, "run_notebooks", lambda params, start: (ran.append(params.run_name), finish(params)))
    file = tmp_path / "b.yaml"
    file.write_text("grid: {seed: [0, 1, 2, 3, 4]}")
    tables = [batches.run_batch([file], shard=(i, 2))[0] for i in range(2)]
    assert sorted(ran) == [f"b-seed-{i}" for i in range(5)] and [len(table) for table in tables] == [3, 5]
    batches.run_batch([file], shard=(1, 2))
    assert len(ran) == 5, "a job that is started again does nothing again"
    Run("b-seed-3").metrics.unlink()
    found = command("batch", file, "--compare")
    assert found.returncode == 0 and "b-seed-4" in found.stdout and "running" not in found.stdout
    assert pd.read_csv(runs / "comparison.csv")["seed"].tolist() == [0, 1, 2, 4] and len(ran) == 5


def test_jobs_run_beside_each_other_and_say_why_they_failed(tmp_path, runs, capsys):
    file = tmp_path / "b.yaml"
    file.write_text("grid: {seed: [0, 1]}")
    finish(batches.read_sets([file])[0])
    (runs / "b-seed-1").write_text("a file where the run's folder should be")
    table, failures = batches.run_batch([file], jobs=2)
    assert table["run"].tolist() == ["b-seed-0"] and len(failures) == 1
    assert failures[0].startswith("b-seed-1: cannot write ") and failures[0].endswith("run again")
    said = capsys.readouterr().out
    assert "[1/2] b-seed-0: finished before" in said and "[2/2] b-seed-1: running" in said


def test_jobs_run_at_the_same_time(tmp_path, monkeypatch, runs):
    """Each waits for the other to have begun: one after the other they would wait in vain."""
    both = threading.Barrier(2, timeout=20)
    monkeypatch.setattr(batches, "run_in_process", lambda files, number, sets, jobs, gpus: both.wait())
    (tmp_path / "b.yaml").write_text("grid: {seed: [0, 1]}")
    assert batches.run_batch([tmp_path / "b.yaml"], jobs=2)[1] == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_set_that_this_machine_cannot_run_does_not_stop_the_next(tmp_path, folder, runs, jobs):
    """Real children, on a copy of the library beside one short notebook."""
    for package in ("carvana_lib", "carvana_course"):
        shutil.copytree(ROOT / package, tmp_path / "course" / package)
    runpy.run_path(str(ROOT / "tests" / "faults" / "notebooks.py"))["write"](tmp_path / "course" / "notebooks")
    file, sets = tmp_path / "b.yaml", {"precision": ["fp16", "float32"]}
    file.write_text(yaml.safe_dump({"device": "cpu", "data_dir": str(folder), "grid": sets}))
    done = subprocess.run(
        [sys.executable, "-m", "carvana_course", "batch", file, "--jobs", str(jobs)],
        capture_output=True,
        text=True,
        cwd=tmp_path / "course",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "course")},
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "failed: b-precision-fp16: precision='fp16' needs device 'cuda', not 'cpu'" in done.stderr
    assert pd.read_csv(runs / "comparison.csv")["run"].tolist() == ["b-precision-float32"]
    assert Run("b-precision-float32").report.exists() and (Run("b-precision-float32").notebooks).is_dir()


def test_a_batch_that_was_killed_after_training_goes_on_with_05(data, params, tmp_path, monkeypatch, capsys):
    file, began = tmp_path / "b.yaml", []
    monkeypatch.setattr(batches, "run_notebooks", lambda params, start: began.append(start))

    def batch(**changes):
        file.write_text(yaml.safe_dump(params.replace(**changes).model_dump()))
        assert batches.run_batch([file])[1] == []
        return began[-1]

    assert batch() is None
    train(data, params)
    assert batch() == batch(learning_rate=None) == "05"
    assert batch(epochs=3) is batch(seed=1) is batch(resume=False) is None
    os.utime(next((data.folder / "train").iterdir()))
    assert batch() == "05", "the same picture with another date"
    write_pair(data.folder, f"{0:012x}_01", seed=99)
    assert batch() is None, "another picture"


@pytest.mark.parametrize(
    ("visible", "jobs", "expected"),
    [(None, 2, ["0,2", "1,3"]), ("5,6", 2, ["5", "6"]), ("5", 2, ["5", "5"]), ("", 2, ["", ""])],
)
def test_jobs_deal_the_gpus_out(tmp_path, monkeypatch, runs, visible, jobs, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(batches, "cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    both, seen = threading.Barrier(jobs, timeout=20), []

    def child(words, env, **options):
        seen.append((env["CUDA_VISIBLE_DEVICES"], env["OMP_NUM_THREADS"]))
        both.wait()  # so that the next two find what these gave back
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(batches.subprocess, "run", child)
    (tmp_path / "b.yaml").write_text("grid: {seed: [0, 1, 2, 3]}")
    assert batches.run_batch([tmp_path / "b.yaml"], jobs=jobs)[1] == []
    assert sorted(seen[:2]) == sorted(seen[2:]) == [(share, "3") for share in expected]


def test_without_gpus_none_are_dealt_out():
    assert batches.deal_gpus([], 3) == [[], [], []]
    assert batches.deal_gpus(["0", "1"], 4) == [["0"], ["1"], ["0"], ["1"]]


def test_a_killed_job_is_a_failure_with_its_signal(tmp_path, monkeypatch):
    killed = subprocess.CompletedProcess([], -9, "", "some bar\n")
    monkeypatch.setattr(batches.subprocess, "run", lambda *words, **options: killed)
    with pytest.raises(RunError, match="^killed by signal 9$"):
        batches.run_in_process([tmp_path / "b.yaml"], 0, 2, 2, [])


def test_scores_of_other_parameters_are_not_taken_for_this_runs(runs):
    params = Params(run_name="x", epochs=2)
    target = Run.start(params)
    write_json(target.metrics, dict.fromkeys(report.SUMMARY, 0.9) | {"params": params.model_dump()})
    assert len(report.summarise_runs([params])) == 1 and has_metrics(params)
    assert len(report.summarise_runs([params.replace(epochs=3)])) == 0 and not has_metrics(params.replace(epochs=3))


def test_html_in_a_notebooks_output_cannot_run_in_the_report(runs):
    params = Params(run_name="x", data_dir="<script>alert(0)</script>")
    target = Run.start(params, "<script>alert(1)</script>")
    target.notebooks.mkdir()
    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="<script>alert(2)</script>")])
        ]
    )
    book.metadata["papermill"] = {"parameters": params.model_dump()}
    book.metadata["pictures"] = "these"
    nbformat.write(book, target.notebooks / "01_data.ipynb")
    book.metadata["papermill"] = {"parameters": {}}
    nbformat.write(book, target.notebooks / "02_model.ipynb")
    book.metadata["papermill"] = {"parameters": params.model_dump()}
    book.metadata["pictures"] = "others"
    nbformat.write(book, target.notebooks / "03_tuning.ipynb")
    report.write_report(params, "these")
    assert "03_tuning" not in target.report.read_text()
    assert "01_data" in target.report.read_text() and "02_model" not in target.report.read_text()
    assert "<script>alert" not in target.report.read_text()


def test_the_time_of_a_run_is_told_by_notebook_and_kind(runs):
    target = Run.start(Params(run_name="x"))
    target.notebooks.mkdir()
    picture = nbformat.v4.new_output("display_data", {"image/png": "aGk="})

    def cell(tags, seconds, **others):
        metadata = {"papermill": {"duration": seconds}, "tags": tags}
        return nbformat.v4.new_code_cell("...", metadata=metadata, **others)

    cells = [cell(["data", "import"], 3), cell(["data"], 2), cell(["nbval-ignore-output", "train"], 10)]
    cells.append(cell([], 1, outputs=[picture]))
    cells.append(nbformat.v4.new_markdown_cell("import nothing"))
    book = nbformat.v4.new_notebook(cells=cells, metadata={"papermill": {"duration": 20}})
    nbformat.write(book, target.notebooks / "04_training.ipynb")
    table = report.time_table(target)
    assert table.iloc[0].to_dict() == {
        "notebook": "04_training", "kernel start": 4, "import": 3, "train": 10, "data": 2, "plot": 1, "other": 0,
    }  # fmt: skip
    said = report.time_shares(table)
    assert said.startswith("20 s in the notebooks: 04 100%; ") and "train 50%" in said and "kernel start 20%" in said


LIBRARY_TRAINS = {"train", "train_with_leak", "trained", "fit", "search", "range_test", "with_best", "train_step"}


def called(tree) -> set[str]:
    """Names of the functions and methods that a piece of code calls; of an optimizer's step with its owner."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {function.attr for function in functions if isinstance(function, ast.Attribute)}
    names |= {function.id for function in functions if isinstance(function, ast.Name)}
    return names | {ast.unparse(function) for function in functions}


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda path: path.stem)
def test_cells_that_import_open_data_or_train_are_tagged(path):
    """The report adds up seconds by these tags; here they are compared with what the cells call."""
    trains, first = LIBRARY_TRAINS | {"optimizer.step"}, True
    for cell in nbformat.read(path, 4).cells:
        tags = set(report.tags_of(cell))
        if cell.cell_type != "code":
            assert not tags.intersection(report.WORK_TAGS)
            continue
        tree = ast.parse(cell.source)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        trains |= {function.name for function in functions if called(function) & trains}
        assert ("train" in tags) == bool(called(tree) & trains), cell.source
        assert ("data" in tags) == ("open_data" in called(tree)), cell.source
        if "parameters" not in tags:
            assert not first or "import" in tags, "the first cell after the parameters is the chapter's import cell"
            first = False
