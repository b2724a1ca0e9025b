"""One grid search on several machines: workers that share a study in PostgreSQL, some of which are killed."""

import collections
import glob
import multiprocessing
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import free_port
from typer.testing import CliRunner

from carvana_course.cli import app
from carvana_course.scaling import study
from carvana_course.scaling.database import database, shown
from carvana_course.scaling.search import search
from carvana_lib import RunError, tuning
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.runs import Run
from carvana_lib.tuning import GRID, with_best

PASSWORD = "p@ss/word-" + secrets.token_hex(8)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL server that asks for a password: the start of its URLs."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    programs = [shutil.which("initdb") or "", *programs]
    if not programs[-1]:
        pytest.skip("no PostgreSQL: Debian's package is called postgresql")
    owner = {}
    if os.getuid() == 0:  # which PostgreSQL refuses to run as
        owner = {"user": "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"}
    folder, programs = Path(tempfile.mkdtemp(prefix="carvana-postgres-")), Path(programs[-1]).parent
    (folder / "password").write_text(PASSWORD)
    for path in (folder, folder / "password"):
        shutil.chown(path, owner.get("user", os.getuid()))
    port = free_port()
    quiet = {"check": True, "capture_output": True, "cwd": "/", **owner}
    words = [programs / "initdb", "-D", folder / "data", "-U", "learner", "-A", "scram-sha-256", "-E", "UTF8", "-N"]
    subprocess.run([*words, "--no-locale", f"--pwfile={folder / 'password'}"], **quiet)
    words = [programs / "postgres", "-D", folder / "data", "-p", str(port), "-k", "", "-h", "127.0.0.1", "-F"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd="/", **owner)
    try:
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + 60
        while subprocess.run(ready).returncode:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"postgresql://learner:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:{port}/"
    finally:
        process.send_signal(signal.SIGINT)  # ends its connections, then itself
        process.wait(timeout=60)
        shutil.rmtree(folder)


@pytest.fixture
def storage(server, monkeypatch):
    """A new database, named in CARVANA_STORAGE."""
    import psycopg

    name = f"carvana_{secrets.token_hex(4)}"
    with psycopg.connect(f"{server}postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    monkeypatch.setenv("CARVANA_STORAGE", f"{server}{name}")
    return f"{server}{name}"


def join(log: Path, seconds: float) -> None:
    """Make trials that note their beginning and end in `log`, sleep so long, and score the learning rate."""

    def fit(model, data, train_rows, val_rows, params, *args):
        for what in ("begin", "end"):
            with open(log, "a") as file:
                file.write(f"{os.getpid()} {what} {params.learning_rate} {params.loss}\n")
            time.sleep(seconds if what == "begin" else 0)
        return pd.DataFrame({"val_miou": [params.learning_rate * (1.5 if params.loss == "bce" else 1)]})

    tuning.fit, study.HEARTBEAT, study.GRACE, study.LOOK_EVERY = fit, 1, 3, 0.1


def noted(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def worker(data_dir, log: Path, seconds: float, runs: Path) -> multiprocessing.Process:
    """Another machine: a forked process with a runs folder of its own."""

    def run():
        os.environ["CARVANA_RUNS"] = str(runs)
        join(log, seconds)
        data = open_data(small(data_dir))
        assert len(search(data, small(data_dir), lambda table: print(len(table), "of 6", flush=True))) == 6

    process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
    process.start()
    return process


def small(data_dir) -> Params:
    return Params(data_dir=str(data_dir), image_size=32, base_channels=4, precision="float32", device="cpu")


@pytest.fixture
def own(monkeypatch):
    """Let `join` change what it changes for one test."""
    for module, name in ((tuning, "fit"), (study, "HEARTBEAT"), (study, "GRACE"), (study, "LOOK_EVERY")):
        monkeypatch.setattr(module, name, getattr(module, name))


def test_workers_share_a_study_one_is_killed_and_each_point_is_finished_once(
    folder, storage, own, tmp_path, runs, capfd
):
    params, log = small(folder), tmp_path / "log"
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copy)  # its files have other dates, as a second download's
    victim = worker(folder, log, 1000, tmp_path / "victim")
    while not noted(log):
        assert victim.is_alive()
        time.sleep(0.05)
    others = [worker(copy, log, 0.3, tmp_path / f"other-{i}") for i in range(2)]
    victim.kill()
    join(log, 0.3)
    seen = []
    table = search(open_data(params), params, lambda table: seen.append(len(table)))
    for other in others:
        other.join(timeout=60)
        assert other.exitcode == 0

    points = {(str(rate), loss) for rate in GRID["learning_rate"] for loss in GRID["loss"]}
    begun, ended = ([(who, *p) for who, what, *p in noted(log) if what == kind] for kind in ("begin", "end"))
    assert sorted(point for _, *point in ended) == sorted(map(list, points)), "every point once"
    twice = [point for point, times in collections.Counter(tuple(p) for _, *p in begun).items() if times == 2]
    assert len(begun) == 7 and twice == [tuple(begun[0][1:])], "only what the killed worker had begun"
    assert seen == sorted(seen) and seen[-1] == 6 == len(table) == len(pd.read_csv(Run(params.run_name).tuning))
    assert (table["learning_rate"].iloc[0], table["loss"].iloc[0]) == (5e-4, "bce")
    assert with_best(params, open_data(params)).loss == "bce" and len(noted(log)) == 13, "finished: nothing runs"
    fresh = params.replace(run_name="fresh")
    assert with_best(fresh, open_data(fresh), search).loss == "bce" and len(noted(log)) == 13, "nor elsewhere"

    words = [f"{name}={getattr(params, name)}" for name in ("image_size", "base_channels", "precision", "device")]
    found = CliRunner().invoke(app, ["search", *(w for word in words for w in ("-p", word)), "-p", f"data_dir={copy}"])
    assert found.exit_code == 0 and found.output.count("bce") == 6, found.output
    written = [path for place in (runs, tmp_path) for path in place.rglob("*") if path.is_file()]
    assert len(written) > 10
    captured = capfd.readouterr()
    spoken = found.output + captured.out + captured.err
    assert "6 of 6" in spoken, "the others saw the whole grid finished too"
    for secret in (PASSWORD, storage, storage.split(":")[2].split("@")[0]):
        assert secret not in spoken and not any(secret.encode() in path.read_bytes() for path in written)


def test_a_worker_that_was_suspended_loses_its_trial_and_goes_on(folder, storage, own, tmp_path):
    """As a laptop that slept: others took it for dead, and its answer comes too late."""
    params, log = small(folder), tmp_path / "log"
    data = open_data(params)
    sleeper = worker(folder, log, 1, tmp_path / "sleeper")
    while not noted(log):
        assert sleeper.is_alive()
        time.sleep(0.02)
    os.kill(sleeper.pid, signal.SIGSTOP)
    join(log, 0)
    table = search(data, params)
    assert len(table) == 6 and [what for _, what, *_ in noted(log)].count("begin") == 7
    os.kill(sleeper.pid, signal.SIGCONT)
    sleeper.join(timeout=60)
    assert sleeper.exitcode == 0, "it found the whole grid finished"
    ended = [(who, *point) for who, what, *point in noted(log) if what == "end"]
    assert len(ended) == 7 and ended[-1][0] == str(sleeper.pid), "it did finish what it had begun"
    pd.testing.assert_frame_equal(search(data, params), table)


def test_workers_that_begin_at_once_share_the_points(folder, storage, tmp_path):
    """All of them make the database's tables, the study and its six points at the same time."""
    log = tmp_path / "log"
    open_data(small(folder))
    workers = [worker(folder, log, 0.05, tmp_path / f"runs-{i}") for i in range(4)]
    for process in workers:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert len(noted(log)) == 12 and len({tuple(line[1:]) for line in noted(log)}) == 12


def test_a_trial_that_died_before_its_first_heartbeat_is_taken_up_again(folder, storage, own, tmp_path):
    params, log = small(folder), tmp_path / "log"
    data = open_data(params)
    join(log, 0)
    left = study.open_study(data, params)
    left.enqueue_trial({"learning_rate": 1e-4, "loss": "bce"}, user_attrs={"point": 0})
    with pytest.warns(UserWarning, match="Heartbeat"):
        left.ask()
    started = time.monotonic()
    assert len(search(data, params)) == 6 and len(noted(log)) == 12
    assert time.monotonic() - started > study.GRACE


def test_a_database_that_cannot_be_used_is_named_without_its_password(folder, storage, own, monkeypatch):
    params = small(folder)
    data = open_data(params)
    wrong = storage.replace(storage.split(":")[2].split("@")[0], "hunter%402")
    gone = "postgresql://u:hunter%402@127.0.0.1:9/none?password=hunter%402"
    for url, place in ((wrong, shown(storage)), (gone, "postgresql://u@127.0.0.1:9/none")):
        monkeypatch.setenv("CARVANA_STORAGE", url)
        with pytest.raises(RunError, match="cannot be opened") as caught:
            search(data, params)
        assert "hunter" not in str(caught.value) and "\n" not in str(caught.value)
        assert place.split("//")[1] in str(caught.value) and caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "hello",
        "://x",
        "postgresql://u:hunter2@host",
        "postgresql://u:12/hunter2@host/db",
        "postgresql://u:hunter#2@host/db",
        "postgresql://u:hunter2@host:0/db",
    ],
)
def test_what_is_no_database_is_refused_and_not_repeated(url, monkeypatch):
    monkeypatch.setenv("CARVANA_STORAGE", url)
    with pytest.raises(RunError, match="is not the URL of a database; it takes postgresql://") as caught:
        database()
    assert "hunter" not in str(caught.value)


def test_a_url_is_shown_without_secrets(monkeypatch):
    monkeypatch.delenv("CARVANA_STORAGE", raising=False)
    assert database() == ""
    monkeypatch.setenv("CARVANA_STORAGE", "postgres://u:pw@host:5432/db?sslkey=x")
    assert database() == "postgresql+psycopg://u:pw@host:5432/db?sslkey=x"
    assert shown(database()) == "postgresql+psycopg://u@host:5432/db"
    assert shown("sqlite:////tmp/a.db") == "sqlite:////tmp/a.db"
