"""Training and prediction in several processes, here on the CPU through gloo.

Most of these fork: torch is imported once, so that four processes start as fast as one. Killing a process, and two
machines, need torchrun itself.
"""

import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from accelerate.state import AcceleratorState
from conftest import ROOT, free_port
from PIL import Image
from typer.main import get_command

from carvana_course.cli import app, join_pairs, params_of_options
from carvana_course.deployment.folders import predict_folder
from carvana_course.scaling.processes import (
    check_batch,
    check_pictures,
    check_processes,
    process_group,
    train,
    train_run,
    why_stopped,
)
from carvana_course.scaling.search import search
from carvana_lib import CheckpointError, ParameterError, RunError, TrainingError, checkpoints, training, tuning
from carvana_lib.checkpoints import load_checkpoint, load_model, make_model
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import training_rows
from carvana_lib.device import cores, make_accelerator
from carvana_lib.runs import Run
from carvana_lib.training import fit, validate

# Autograd looks for devices when it is first used, and a process for which it has started threads cannot fork. ONNX's
# export (other tests) pretends that there is a GPU, so autograd is used here, before the first test of any file.
torch.ones(1, requires_grad=True).sum().backward()

SCORES = ["epoch", "learning_rate", "train_loss", "val_loss", "val_miou", "images"]


def in_processes(count: int, function, tmp_path, seconds: float = 120) -> list:
    """What `function()` returns in each of `count` processes that know of each other as torchrun's do."""
    port = str(free_port())

    def member(rank):
        AcceleratorState._reset_state(reset_partial_state=True)  # what the tests' own process has settled on
        torch.set_num_threads(1)
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
        os.environ |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        torch.save(function(), tmp_path / f"answer-{rank}")
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    members = torch.multiprocessing.start_processes(member, nprocs=count, join=False, start_method="fork")
    deadline = time.monotonic() + seconds
    while not members.join(timeout=1):
        if time.monotonic() > deadline:
            for process in members.processes:
                process.kill()
            pytest.fail(f"{count} processes did not finish within {seconds} s")
    return [torch.load(tmp_path / f"answer-{rank}", weights_only=False) for rank in range(count)]


@pytest.fixture
def no_batchnorm(monkeypatch):
    """GroupNorm in BatchNorm's place: it looks at each picture alone, as everything else in the net does."""
    monkeypatch.setattr(torch.nn, "BatchNorm2d", lambda channels: torch.nn.GroupNorm(1, channels))


@pytest.fixture
def uneven(params):
    """22 pictures in batches of 8: two batches an epoch, and another six pictures wait each time."""
    return params.replace(subset=22, epochs=3, scheduler="onecycle", ema=0.5)


def trained(data, params, folder=None):
    """Train as `train` does, on 7 validation pictures: history, weights, and for each step (rows, images)."""
    steps = []
    original = training.make_loader

    def noted(*arguments, train=False):
        loader = original(*arguments, train=train)
        collate = loader.collate_fn

        def note(samples):
            images, masks, rows = collate(samples)
            if train:
                steps.append((rows.tolist(), images.clone()))
            return images, masks, rows

        loader.collate_fn = note
        return loader

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_loader", noted)
        model = make_model(params)
        history = fit(model, data, training_rows(data, params), data.rows("val")[:7], params, folder)
    return history, torch.cat([value.flatten().float() for value in model.state_dict().values()]), steps


@pytest.mark.parametrize("count", [2, 4])
def test_the_same_batch_gives_the_same_losses_weights_and_scores(data, uneven, no_batchnorm, tmp_path, count):
    alone, weights, steps = trained(data, uneven)
    answers = in_processes(count, lambda: trained(data, uneven), tmp_path)
    for history, other, _ in answers:
        pd.testing.assert_frame_equal(history[SCORES], alone[SCORES], rtol=1e-4, check_dtype=False)
        torch.testing.assert_close(other, weights, rtol=1e-3, atol=1e-5)
    assert alone["images"].tolist() == [16] * 3 and alone["val_miou"].between(0.01, 0.99).all()

    shares = [answer[2] for answer in answers]
    for step, (rows, images) in enumerate(steps):  # the very pictures, augmented by the very draws, in the same order
        assert sum((share[step][0] for share in shares), []) == rows
        assert torch.equal(torch.cat([share[step][1] for share in shares]), images)
    epochs = [steps[start][0] + steps[start + 1][0] for start in (0, 2, 4)]
    assert all(len(set(epoch)) == 16 and set(epoch) <= set(training_rows(data, uneven)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] and len(set(sum(epochs, []))) > 16, "other pictures wait each time"


def test_one_picture_is_augmented_differently_in_each_process(data, params, tmp_path):
    data.table["split"] = np.where(data.table["split"] == "train", "unused", data.table["split"])
    data.rows = lambda split: np.full(8, 3) if split == "train" else np.flatnonzero(data.table["split"] == split)
    answers = in_processes(2, lambda: trained(data, params.replace(epochs=1)), tmp_path)
    (rows, images), (other_rows, others) = answers[0][2][0], answers[1][2][0]
    assert rows == other_rows == [3] * 4 and not torch.equal(images, others)


def test_checkpoints_are_written_once_and_go_on_in_any_number_of_processes(
    data, params, no_batchnorm, tmp_path, monkeypatch
):
    params = params.replace(subset=22, ema=0.5)
    whole, weights, _ = trained(data, params.replace(epochs=4))
    written, atomic = [], checkpoints.atomic
    monkeypatch.setattr(checkpoints, "atomic", lambda path: (written.append(path.name), atomic(path))[1])

    def until(epochs):
        history, net, _ = trained(data, params.replace(epochs=epochs), tmp_path)
        return history, net, written

    (*_, files), (*_, others) = in_processes(2, lambda: until(2), tmp_path)
    assert files.count("last") == 2 and 1 <= files.count("best") <= 2 and others == [], "the main process writes"
    assert not list(tmp_path.glob(".*")), "nothing temporary is left"
    in_processes(4, lambda: until(3), tmp_path)
    history, net, _ = until(4)
    pd.testing.assert_frame_equal(history[SCORES], whole[SCORES], rtol=1e-4, check_dtype=False)
    torch.testing.assert_close(net, weights, rtol=1e-3, atol=1e-5)


def test_machines_with_copies_of_the_pictures_go_on_together(params, tmp_path):
    """Their files have dates of their own, and only the first machine has the checkpoints."""
    copy = tmp_path / "copy"
    shutil.copytree(params.data_dir, copy, copy_function=shutil.copy)

    def machine(epochs):
        here = params.replace(epochs=epochs)
        if os.environ["RANK"] == "1":
            os.environ["CARVANA_RUNS"], here = str(tmp_path / "elsewhere"), here.replace(data_dir=str(copy))
        make_accelerator()
        pictures = open_data(here)
        check_pictures(pictures)
        return pictures.fingerprint, train(pictures, here)[1]

    (one, history), (other, _) = in_processes(2, lambda: machine(2), tmp_path)
    assert one == other and len(history) == 2
    for _, longer in in_processes(2, lambda: machine(3), tmp_path):
        assert len(longer) == 3
        pd.testing.assert_frame_equal(longer.iloc[:2], history)  # seconds too: nothing was trained again
    assert not (tmp_path / "elsewhere" / "tiny" / "checkpoints").exists()


def test_machines_with_other_pictures_are_refused(params, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(params.data_dir, copy)
    (copy / "train" / "000000000003_02.jpg").unlink()

    def machine():
        here = params.replace(data_dir=str(copy) if os.environ["RANK"] == "1" else params.data_dir)
        make_accelerator()
        with pytest.raises(TrainingError, match="process 1 has other pictures in data_dir than process 0"):
            check_pictures(open_data(here))
        return True

    assert in_processes(2, machine, tmp_path) == [True] * 2


def test_the_net_that_is_kept_is_the_net_that_was_scored(data, params, tmp_path):
    """BatchNorm's statistics differ between processes; those of the main one are scored everywhere, and kept."""
    params = params.replace(ema=0.9, epochs=1)
    history = in_processes(2, lambda: trained(data, params, tmp_path)[0], tmp_path)[1]
    accelerator = make_accelerator("cpu", "float32")
    val = accelerator.prepare(training.make_loader(data, data.rows("val")[:7], params))
    loss, miou = validate(load_model(tmp_path / "last"), val, training.LOSSES[params.loss], accelerator)
    assert history["val_loss"].iloc[-1] == pytest.approx(loss, rel=1e-5)
    assert history["val_miou"].iloc[-1] == pytest.approx(miou, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_all_processes_with_the_same_pictures_named(data, params, tmp_path):
    def run():
        rank, calls = int(os.environ["RANK"]), []

        def breaks(logits, masks):
            calls.append(1)
            return logits.mean() * (float("nan") if rank == 1 and len(calls) == 2 else 1)

        training.LOSSES["bce"] = breaks
        try:
            trained(data, params.replace(loss="bce"))
        except TrainingError as error:
            return str(error)

    first, second = in_processes(2, run, tmp_path)
    assert first == second and "became nan in epoch 1, step 2 (pictures 0000000000" in first
    assert len(first.split("(pictures ")[1].split(")")[0].split(", ")) == 8


def test_a_batch_that_cannot_be_shared_is_refused(data, params, tmp_path):
    with pytest.raises(ParameterError, match="batch_size=8 cannot be shared evenly by num_processes=3"):
        params.replace(num_processes=3)
    with pytest.raises(ParameterError, match="7 training pictures do not fill batch_size=8, which 2 processes"):
        check_batch(data, params.replace(subset=7, num_processes=2))
    check_batch(data, params.replace(num_processes=4))
    check_batch(data, params.replace(subset=7))  # alone, a short batch is a batch

    def run():
        os.environ["CARVANA_RUNS"] = str(tmp_path / os.environ["RANK"])
        with pytest.raises(ParameterError, match="batch_size=8 cannot be shared evenly by num_processes=3"):
            train_run(params)
        return True

    assert in_processes(3, run, tmp_path) == [True] * 3


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes("cuda", 2)
    check_processes("cpu", 64)
    with pytest.raises(ParameterError, match="4 processes on this machine, but 'cuda' serves 2"):
        check_processes("cuda", 4)


def test_batchnorm_is_shared_on_gpus_alone(data, params, monkeypatch):
    """An accelerator that only says that it is elsewhere; the net goes nowhere, and nothing is trained."""
    for device, processes, expected in (("cuda", 2, 18), ("cuda", 1, 0), ("cpu", 2, 0)):
        elsewhere = SimpleNamespace(num_processes=processes, device=torch.device(device), prepare=lambda loader: loader)
        monkeypatch.setattr(training, "make_accelerator", lambda *_, at=elsewhere: at)
        monkeypatch.setattr(training, "make_optimizer", lambda *_: pytest.fail("no optimizer here"))
        net = make_model(params)
        monkeypatch.setattr(net, "to", lambda *_, **__: None)
        with pytest.raises(pytest.fail.Exception, match="no optimizer here"):
            fit(net, data, data.rows("train"), data.rows("val"), params)
        assert sum(isinstance(layer, torch.nn.SyncBatchNorm) for layer in net.modules()) == expected


def test_search_asks_to_be_run_before_a_training_in_many_processes(data, params, tmp_path, monkeypatch):
    asked = params.replace(loss=None, learning_rate=None)
    monkeypatch.setattr(tuning, "score_point", lambda point, *_: point["learning_rate"])
    for storage in ("", f"sqlite:///{tmp_path / 'study.db'}"):
        monkeypatch.setenv("CARVANA_STORAGE", storage)
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ParameterError, match="run 'carvana search'"):
            tuning.with_best(asked, data, search)
        monkeypatch.delenv("WORLD_SIZE")
        table = search(data, asked)
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert search(data, asked).equals(table) and len(table) == 6
        shutil.rmtree(Run("tiny").studies)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in Linux's /proc")
def test_a_killed_process_stops_the_rest_and_the_training_goes_on(data, params, tmp_path):
    """As a notebook trains: the processes are children, and epochs are reported while they run."""
    params, seen, killed = params.replace(epochs=500, num_processes=2), [], []

    def kill_one_after_two_epochs(history):
        seen.append(history)
        if len(history) >= 2 and not killed:
            workers = [pid for child in children(os.getpid()) for pid in children(child)]
            killed.append(workers[-1])
            os.kill(workers[-1], signal.SIGKILL)

    with pytest.raises(
        TrainingError, match=r"2 processes stopped: one was killed \(SIGKILL\).*train\.log.*goes on from the last"
    ):
        train(data, params, kill_one_after_two_epochs)
    log = Run("tiny").train_log.read_text()
    assert re.search(r"rank +: [01] ", log) and "epoch 1: train loss" in log, "which one, and what it said before"
    done = len(load_checkpoint(Run("tiny").last)["history"])
    assert len(killed) == 1 and 2 <= done < 500

    longer = params.replace(epochs=done + 1)
    in_processes(2, lambda: len(train(data, longer)[1]), tmp_path)
    history = pd.read_csv(Run("tiny").history)
    assert len(history) == done + 1
    pd.testing.assert_frame_equal(history.iloc[: len(seen[-1])], seen[-1])  # seconds too: none was trained again


def test_what_stopped_the_processes_is_told_in_a_few_words():
    ended = "[0]:\n  exitcode  : -15 (pid: 6)  (SIGTERM)\nRoot Cause (first observed failure):\n[1]:\n"
    report = f"Failures:\n[1]:\n  exitcode  : -9 (pid: 7)  (SIGKILL)\n{ended}"  # not always the first is the cause
    assert why_stopped(f"error: another process stopped, so\n{report}").startswith("one was killed (SIGKILL)")
    assert why_stopped("error: another process stopped, so\nerror: no disk\nRuntimeError: x") == "no disk"
    assert why_stopped("[rank1]: torch.OutOfMemoryError: CUDA\nlast") == "torch.OutOfMemoryError: CUDA"
    assert why_stopped(ended) == why_stopped("") == "no reason was given"


def test_only_what_a_lost_process_causes_is_called_so(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="connection refused"), process_group():
        raise RunError("the study cannot be opened: connection refused")
    with pytest.raises(RuntimeError, match="shapes"), process_group():
        raise RuntimeError("shapes differ")
    lost = RuntimeError("[gloo] Connection closed by peer\nand a trace")
    with (
        pytest.raises(TrainingError, match=r"see that one's reason \(\[gloo\] Connection closed by peer\)$"),
        process_group(),
    ):
        raise lost


def test_a_log_that_cannot_be_written_is_one_sentence(data, params, runs):
    shutil.rmtree(runs / "tiny")
    (runs / "tiny").write_text("a file where the run's folder should be")
    with pytest.raises(RunError, match="cannot write .*train.log: .*; free or change that place"):
        train(data, params.replace(num_processes=2))


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read \\(Is a directory\\); name the file of a net"):
        load_checkpoint(tmp_path)


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert cores() == 12


def documented() -> list[tuple[int, str, dict]]:
    """The commands of docs/scaling.md: their number of processes, name, and what Typer makes of their options."""
    found = []
    for block in re.findall(r"^```\n(.*?)^```", (ROOT / "docs" / "scaling.md").read_text(encoding="utf8"), re.M | re.S):
        nodes = re.search(r"--nodes=(\d+)", block)
        block = block.replace("\\\n", "").replace("$SLURM_ARRAY_TASK_ID", "1")
        block = block.replace("$SLURM_NNODES", nodes[1] if nodes else "")
        block = block.replace("-m carvana_course", "carvana")  # what a launcher starts is the same command
        for line in re.findall(r"^.*\bcarvana [a-z].*$", block, re.M):
            words = shlex.split(line, comments=True)
            words = shlex.split(words[-1]) if words[:3] == ["srun", "bash", "-c"] else words
            at = words.index("carvana")
            before, name, after = words[:at], words[at + 1], [word for word in words[at + 2 :] if word != "&"]
            options = {"--nnodes": 1, "--nproc-per-node": 1, "--num_processes": 1}
            options |= {key: int(value) for key, value in itertools.pairwise(before) if key in options}
            chosen = get_command(app).commands[name].make_context(name, join_pairs(after)).params
            found.append((int(np.prod(list(options.values()))), name, chosen))
    return found


def test_the_plans_seconds_follow_from_its_formula_and_the_counted_operations(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.training import flops

    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf8")
    rows = re.findall(r"^\| (256 px|full) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) % \| (\d+) s \|$", text, re.M)
    assert len(rows) == 10
    gradient, pictures = 4 * sum(p.numel() for p in make_model(Params(base_channels=64)).parameters()), 3552
    for size, *numbers in rows:
        cards, batch, steps, milliseconds, share, seconds = map(int, numbers)
        computing = batch / cards * flops(64, 256 if size == "256 px" else 1568) / 100e12
        step = computing + 10e-3 + 2 * (cards - 1) / cards * gradient / (200e9 if cards <= 8 else 25e9)
        assert steps == pictures // batch
        assert (milliseconds, share) == (round(1000 * step), round(100 * computing / step)), (size, numbers)
        assert seconds == pytest.approx(5 * steps * step, abs=1), (size, numbers)


def test_documented_commands_are_accepted_by_as_many_processes_as_they_start(monkeypatch):
    monkeypatch.chdir(ROOT)
    found, checked = documented(), []
    assert {name for _, name, _ in found} >= {"train", "run", "search", "batch"}
    for processes, name, chosen in found:
        if name != "batch":
            params = params_of_options(chosen["files"], chosen["pairs"], chosen["name"])
            checked.append(params.replace(num_processes=max(processes, params.num_processes)).num_processes)
    assert checked.count(1) >= 1 and {2, 8, 16, 64} <= set(checked), checked


def options(params) -> list[str]:
    """The parameters as the command line takes them."""
    changed = {name: value for name, value in params.model_dump().items() if value != getattr(Params(), name)}
    return [str(word) for name, value in changed.items() for word in ("-p", name, value)]


def in_shell(words: list, cwd: Path) -> str:
    """What a command prints; it must end well."""
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, env=environment, cwd=cwd, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_machines_train_one_net(params, tmp_path):
    said = in_shell([ROOT / "scripts" / "two_machines.sh", *options(params)], tmp_path)
    assert said.count("epoch 2: train loss") == said.count("best val mIoU") == 1, "one process speaks"
    assert load_checkpoint(Run("tiny").last)["history"][-1]["images"] == len(open_data(params).rows("train")) == 24


def test_accelerate_launch_starts_the_same_training(data, params, tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2]
    launch += ["--num_machines", 1, "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", free_port(), "-m", "carvana_course", "train"]
    said = in_shell([*launch, *options(params)], tmp_path)
    assert said.count("best val mIoU") == 1
    rows = data.rows("train"), data.rows("val")
    history = in_processes(2, lambda: fit(make_model(params), data, *rows, params), tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(Run("tiny").history)[SCORES], history[0][SCORES], rtol=1e-5)


def test_four_processes_predict_a_folder_without_gap_or_overlap_and_go_on(data, params, tmp_path):
    history = fit(make_model(params), data, [0, 1], [2], params, tmp_path)
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(11):
        Image.new("RGB", (40 + i, 30)).save(photos / f"{i:02d}.png")
    assert len(history) == 2

    def predict():
        result = predict_folder(tmp_path / "best", photos, out, device="cpu", batch_size=2)
        return result.predicted, result.done_before

    def written():
        return {path.name: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}

    assert in_processes(4, predict, tmp_path) == [(11, 0)] * 4  # counts over all processes: 11, so none twice
    first = written()
    assert sorted(first) == [f"{i:02d}_mask.png" for i in range(11)]
    for i in range(3, 8):
        (out / "masks" / f"{i:02d}_mask.png").unlink()
    assert in_processes(4, predict, tmp_path) == [(5, 6)] * 4
    second = written()
    assert second.keys() == first.keys() and sum(first[name] == second[name] for name in first) == 6
