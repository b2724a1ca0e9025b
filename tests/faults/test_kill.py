"""Killed at random moments.

Each operation is killed (SIGKILL) at moments drawn evenly over the seconds that it takes undisturbed, and started
again, until it ends by itself; then the next round begins in an empty folder. After every kill all artefacts that
have a final name must be whole; at every end they must be those of a run that was never disturbed, bit for bit.
"""

import random
import time
from itertools import count

import pandas as pd
import psutil
import pytest

from . import notebooks
from .conftest import FULL, artefacts, pick

KILLS = pick(6, 100)
PATIENCE = 100  # seconds more than undisturbed; a busy disk alone has been seen to take 30


@pytest.mark.parametrize("operation", ["prepare", "train", "tune", "predict", "unpack"])
def test_it_ends_as_if_never_killed(operation, orders, server, tally, tmp_path):
    order, draw, folders = orders[operation], random.Random(operation), (tmp_path / f"{n}" for n in count())
    undisturbed = server(operation, **order(whole := next(folders)))
    assert undisturbed.ended == "done", undisturbed.says
    expected = artefacts(server, whole)
    kills = rounds = left = 0
    to = next(folders)
    while True:
        moment = draw.uniform(0, undisturbed.seconds) if kills < KILLS else None
        outcome = server(operation, **order(to), kill_after=moment, timeout=undisturbed.seconds + PATIENCE)
        assert outcome.ended in ("killed", "done"), f"after {kills} kills: {outcome}"
        found = artefacts(server, to)
        if outcome.ended == "killed":
            kills, left = kills + 1, left + len(found)
        else:
            assert found == expected, f"after {kills} kills"
            rounds, to = rounds + 1, next(folders)
            if kills >= KILLS:
                break
    seen = f"{rounds} rounds to the end, each with the {len(expected)} artefacts of an undisturbed run"
    tally(f"{operation} ({undisturbed.seconds:.2f} s)", kills, f"{seen}; {left:,} artefacts left by kills, all whole")


def test_a_lock_that_a_killed_search_held_stops_nobody(server, tiny, tally, tmp_path):
    assert server("tune_quickly", params=tiny, runs=tmp_path).value == 6
    (study,) = (tmp_path / "tiny" / "studies").glob("*.jsonl")
    study.unlink()
    study.with_name(".lock").touch()
    outcome = server("tune_quickly", params=tiny, runs=tmp_path, timeout=25)
    assert outcome.ended == "done", outcome
    tally("search beside the locks of a killed one", 1, f"it waited and went on; {outcome.seconds:.0f} s in all")


def test_a_study_that_was_cut_off_anywhere_goes_on(server, tiny, tally, tmp_path):
    """A study with half a line at its end loses that line and no more."""
    assert server("tune_quickly", params=tiny, runs=tmp_path).value == 6
    (journal,) = (tmp_path / "tiny" / "studies").glob("*.jsonl")
    whole = journal.read_bytes()
    ends = random.Random(0).sample(range(len(whole)), pick(8, 100))
    for end in ends:
        journal.write_bytes(whole[:end])
        outcome = server("tune_quickly", params=tiny, runs=tmp_path)
        assert outcome.ended == "done" and outcome.value == 6, f"cut off after {end} of {len(whole)} bytes: {outcome}"
        assert whole[:end].count(b"\n") <= journal.read_bytes().count(b"\n")
    tally("study of the search cut off", len(ends), "the search took up what was whole and came to its six trials")


def test_an_executed_copy_that_was_cut_off_is_left_out(server, tiny, tally, tmp_path):
    """papermill, run by hand, writes its copy in place."""
    assert server("executed", params=tiny, runs=tmp_path).ended == "done"
    copy = tmp_path / "tiny" / "notebooks" / "05_scores.ipynb"
    whole, ends = copy.read_text(), pick([0, 0.5], [0, 0.01, *(n / 10 for n in range(1, 10)), 0.99])
    for end in ends:
        (copy.parent / "04_training.ipynb").write_text(whole[: int(end * len(whole))])
        outcome = server("report", params=tiny, runs=tmp_path)
        assert outcome.ended == "done", outcome
        page = (tmp_path / "tiny" / "report.html").read_text()
        assert ">05_scores<" in page and ">04_training<" not in page
    tally("executed notebook cut off", len(ends), "left out of the report")


def test_a_batch_goes_on_and_its_kernels_die_with_it(server, tiny, tally, tmp_path):
    """Two sets through one short notebook; the kernel that was computing must not go on by itself."""
    order = {"files": notebooks.write_sets(tmp_path, tiny), "notebooks": notebooks.write(tmp_path / "books")}
    seconds = server("batch", runs=tmp_path / "whole", **order).seconds if FULL else 3.0  # it takes longer than that
    draw, kills = random.Random(0), 0
    for number in range(pick(1, 100)):
        runs, moment = tmp_path / f"{number}", draw.uniform(0.3, seconds)
        if server("batch", runs=runs, kill_after=moment, **order).ended == "killed":
            kills += 1
        deadline = time.monotonic() + PATIENCE
        while alive := kernels(runs):
            assert time.monotonic() < deadline, f"kernels of a killed batch go on: {alive}"
            time.sleep(0.05)
        outcome = server("batch", runs=runs, timeout=seconds + PATIENCE, **order)
        assert outcome.ended == "done" and outcome.value == [], outcome
        assert artefacts(server, runs)
        table = pd.read_csv(runs / "comparison.csv")
        assert table[["seed", "test_miou"]].to_numpy().tolist() == [[0, 0.5], [1, 1.5]]
        assert all((runs / f"sets-seed-{seed}" / "report.html").exists() for seed in (0, 1))
    assert kills
    tally("batch of two sets", kills, "both sets finished and compared each time; no kernel outlived its batch")


def kernels(runs) -> list[int]:
    """Processes that were told to write to this folder of runs."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CARVANA_RUNS") == str(runs) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            pass
    return found
