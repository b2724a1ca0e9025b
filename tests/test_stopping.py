"""The stop button: one sentence, nothing lost, and a rerun that says where it goes on. And bars, for who watches."""

import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from conftest import ROOT
from jupyter_client.manager import start_new_kernel

from carvana_lib import TrainingError, device, tuning
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.runs import Run
from carvana_lib.training import train

SETUP = """
from carvana_course.show import plots
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.runs import Run
from carvana_lib.training import train
params = Params(**{params})
data = open_data(params)
"""


@pytest.fixture
def kernel(params, runs):
    """A kernel as JupyterLab starts it, with the pictures open: `kernel(code)` gives (what is printed, the error)."""
    manager, client = start_new_kernel(kernel_name="python3", env={"JPY_SESSION_NAME": "04", "CARVANA_RUNS": str(runs)})

    def run(code: str, stop_when=None) -> tuple[str, dict | None]:
        """`stop_when()` says when to press the stop button."""
        printed = []
        errors = []
        pressed = []

        def hear(message):
            content = message["content"]
            printed.append(content.get("text", ""))
            if message["msg_type"] == "error":
                errors.append(content)

        number = client.execute(code)
        while True:
            try:
                message = client.get_iopub_msg(timeout=0.05)
            except Exception:
                message = None
            if message and message["parent_header"].get("msg_id") == number:
                hear(message)
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    return "".join(printed), errors[0] if errors else None
            if stop_when and not pressed and stop_when():
                pressed.append(True)
                manager.interrupt_kernel()

    run(SETUP.format(params=params.model_dump()))
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def epochs_of(name: str) -> int:
    """How many epochs a run's history has by now."""
    history = Run(name).history
    return len(pd.read_csv(history)) if history.exists() else 0


def test_the_stop_button_ends_in_one_sentence_and_a_rerun_goes_on(kernel):
    cell = "model, history = train(data, params.replace(epochs={}), on_epoch=plots.watch)"
    _, error = kernel(cell.format(400), stop_when=lambda: epochs_of("tiny") >= 2)
    kept = len(load_checkpoint(Run("tiny").last)["history"])
    said = rf"stopped after epoch {kept} of 400; run the cell again to go on"
    assert re.fullmatch(rf"TrainingError: {said}", "\n".join(error["traceback"])) and kept >= 2
    assert (error["ename"], error["evalue"]) == ("TrainingError", said)

    printed, error = kernel(cell.format(kept + 2))
    assert error is None and f"going on after epoch {kept} of {kept + 2}\n" in printed
    assert printed.index(f"epoch {kept}: train loss") < printed.index(
        "going on"
    )  # the earlier epochs are there at once
    kernel(f"train(data, params.replace(epochs={kept + 2}, run_name='whole'))")
    resumed, whole = (load_checkpoint(Run(name).last) for name in ("tiny", "whole"))
    assert all(torch.equal(value, whole["model"][name]) for name, value in resumed["model"].items())

    before = Run("tiny").last.stat().st_mtime_ns
    printed, error = kernel(cell.format(kept + 2))
    assert error is None and f"{kept + 2} of {kept + 2} epochs found, nothing to train\n" in printed
    assert Run("tiny").last.stat().st_mtime_ns == before


def test_every_error_for_people_is_one_sentence_in_a_notebook(kernel):
    _, error = kernel("open_data(Params(data_dir='absent'))")
    assert len(error["traceback"]) == 1 and error["traceback"][0].startswith("DataError: ")
    _, error = kernel("1 / 0")
    assert len(error["traceback"]) > 1


def test_nothing_is_kept_of_a_first_epoch(data, params, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("carvana_lib.training.validate", stop)
    with pytest.raises(
        TrainingError,
        match="^stopped in the first epoch, of which nothing is kept; run the command again to begin anew$",
    ):
        train(data, params)


def test_without_resume_a_finished_training_begins_anew(data, params, capsys):
    _, first = train(data, params)
    assert "found" not in capsys.readouterr().out
    _, found = train(data, params)
    assert "2 of 2 epochs found, nothing to train" in capsys.readouterr().out
    assert found["seconds"].tolist() == first["seconds"].tolist()
    _, anew = train(data, params.replace(resume=False))
    assert "found" not in capsys.readouterr().out and anew["seconds"].tolist() != first["seconds"].tolist()
    assert anew["train_loss"].tolist() == first["train_loss"].tolist()


def test_a_training_for_longer_than_asked_is_not_what_was_asked(data, params):
    train(data, params.replace(epochs=3))
    assert len(train(data, params)[1]) == 2


def test_a_search_says_what_it_found(data, params, monkeypatch, capsys):
    scored = []

    def score(point, *_):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(point)
        return 0.5

    monkeypatch.setattr(tuning, "score_point", score)
    with pytest.raises(TrainingError, match="^stopped after point 2 of 6; run the command again to go on$"):
        tuning.search(data, params)
    monkeypatch.setattr(tuning, "score_point", lambda *_: 0.5)
    tuning.search(data, params)
    assert capsys.readouterr().out == "2 of 6 points found\n"
    tuning.search(data, params)
    assert capsys.readouterr().out == "6 of 6 points found\n"


def test_ctrl_c_on_the_command_line_stops_all_processes_in_one_sentence(params, tmp_path):
    pairs = [f"{name}={value}" for name, value in params.replace(epochs=900, num_processes=2).model_dump().items()
             if value is not None and name in ("data_dir", "run_name", "image_size", "base_channels", "learning_rate",
                                               "loss", "precision", "device", "epochs", "num_processes")]  # fmt: skip
    words = [sys.executable, "-m", "carvana_course", "train", *(word for pair in pairs for word in ("-p", pair))]
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while epochs_of("tiny") < 2:
        assert child.poll() is None and time.monotonic() < deadline, child.communicate()
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    kept = len(load_checkpoint(Run("tiny").last)["history"])
    assert child.returncode == 1
    assert said.splitlines()[-1] == f"error: stopped after epoch {kept} of 900; run the command again to go on"
    assert "Traceback" not in said


def test_bars_are_for_who_watches_and_for_the_first_process(monkeypatch):
    steps = range(3)
    monkeypatch.setattr(device, "is_live", lambda: False)
    assert device.progress(steps, "steps") is steps
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = device.progress(steps, "steps")
    device.show_loss(bar, torch.tensor(0.25))
    assert bar.total == 3 and bar.postfix == "loss=0.2500"
    assert list(bar) == [0, 1, 2]
    monkeypatch.setenv("RANK", "1")
    assert device.progress(steps, "steps") is steps
    device.show_loss(steps, torch.tensor(0.25))  # no bar, nothing said
