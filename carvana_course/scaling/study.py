"""One study of the grid for all who work on it: where its trials lie, whose turn a point is, what became of the dead.

The trials lie in a file of the run, for one search at a time, or in the database that the environment variable
CARVANA_STORAGE names; any number of machines may then work on them at once. A point is evaluated by one of them alone:
of several trials of a point the first that is not dead counts, and numbers are given out by the database.
"""

import itertools
import os
import re
import time
import urllib.parse
import warnings
from contextlib import contextmanager, nullcontext

import optuna
import pandas as pd
from filelock import FileLock, Timeout
from optuna.storages import journal
from optuna.trial import TrialState

from carvana_lib import RunError

HEARTBEAT, GRACE = 10, 60  # seconds between a worker's signs of life, and after which a silent one is taken for dead
LOCK_GRACE = 3  # seconds, after which the lock of a killed process is broken; a living one holds it for milliseconds
POLL = 1.0  # seconds between looks at what others have finished
ALIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)


def database() -> str:
    """The URL in CARVANA_STORAGE, or nothing. Raises RunError, which repeats no part of it, for what is none."""
    text = os.environ.get("CARVANA_STORAGE", "")
    try:
        url = urllib.parse.urlsplit(text)
        if text and (not url.scheme or not url.path.strip("/") or "@" in url.path or url.port == 0):
            raise ValueError
    except ValueError:
        raise RunError(
            "CARVANA_STORAGE is not the URL of a database; it takes postgresql://user:password@host:5432/name, "
            "with %40 for an @ in the password, %2F for a / and so on"
        ) from None
    return re.sub("^postgres(ql)?:", "postgresql+psycopg:", text)


def shown(url: str) -> str:
    """The URL without password, and without options, which could hold one."""
    user, at, rest = url.partition("?")[0].rpartition("@")
    return re.sub(r"(://[^:]*):.*", r"\1", user) + at + rest


def open_study(name: str, file, space: dict, seed: int) -> optuna.Study:
    """The study of that name in the database, or else in the run's file; new, or with the trials that it has.

    Raises RunError where the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url, sampler = database(), optuna.samplers.GridSampler(space, seed=seed)
    options = {"study_name": name, "sampler": sampler, "direction": "maximize", "load_if_exists": True}
    if not url:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = journal.JournalFileOpenLock(str(file), grace_period=LOCK_GRACE)
        lock.acquire(), cut_unfinished_line(file), lock.release()
        backend = journal.JournalFileBackend(str(file), lock_obj=lock)
        return optuna.create_study(storage=optuna.storages.JournalStorage(backend), **options)
    with experimental():
        for attempt in range(3):  # of two that make a database's first study at once, one fails
            try:
                storage = optuna.storages.RDBStorage(
                    url, {"pool_pre_ping": True}, heartbeat_interval=HEARTBEAT, grace_period=GRACE
                )
                return optuna.create_study(storage=storage, **options)
            except Exception as error:  # SQLAlchemy's, the driver's, Optuna's; ImportError where a driver is missing
                why = str(error).splitlines()[0]
                time.sleep(attempt)
    for secret in filter(None, (urllib.parse.urlsplit(url).password,)):
        why = why.replace(secret, "***").replace(urllib.parse.unquote(secret), "***")
    raise RunError(f"the study at {shown(url)} cannot be opened: {why}; check CARVANA_STORAGE and the server")


def cut_unfinished_line(file) -> None:
    """Remove what a killed process or a full disk left of a line; Optuna reads nothing that follows such a line."""
    content = file.read_bytes() if file.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)


@contextmanager
def on_disk(file):
    """Say in one sentence that the study's file cannot be written. Raises RunError."""
    try:
        yield
    except (OSError, AssertionError) as error:  # Optuna trips over its own feet when its file fails
        cause = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        if cause is None:
            raise
        reason = f"cannot write {file}: {cause.strerror or cause}"
        raise RunError(f"{reason}; free or change that place and run again") from None


def turn(file):
    """A lock that a search in the run's file holds for as long as it lives, so that a second one is refused."""
    if database():
        return nullcontext()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{file}.search", timeout=0).acquire()
    except Timeout:
        raise RunError(
            f"another search is at work on {file}; wait for its end, or let both share one study (CARVANA_STORAGE)"
        ) from None


@contextmanager
def experimental():
    """Optuna calls its heartbeat experimental, at every call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def grid_points(space: dict) -> list[dict]:
    """Every combination in a grid."""
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def work(study: optuna.Study, space: dict, evaluate):
    """Evaluate what is left of the grid, beside whoever else does, and yield the table of finished trials as it grows.

    Ends when every point is finished, no matter by whom. What a dead worker left is begun anew.
    """
    points, known, silent = grid_points(space), len(trials(study)), {}
    while True:
        found = study.trials
        if len(table := tabulate(found)) > known:
            known = len(table)
            yield table
        if len(table) == len(points):
            return
        bury_the_dead(study, found, silent)
        missing = [n for n in range(len(points)) if not any(is_alive(trial, n) for trial in found)]
        for number in missing:
            study.enqueue_trial(points[number], user_attrs={"point": number})
        if missing or any(trial.state == TrialState.WAITING for trial in found):
            evaluate_one(study, space, evaluate)
        else:
            time.sleep(POLL)


def evaluate_one(study: optuna.Study, space: dict, evaluate) -> None:
    """Take the next waiting trial, evaluate its point if that is nobody else's, and tell the study."""
    ours, raised = [], []

    def objective(trial) -> float:
        ours.append(trial.number)
        number = trial.user_attrs.get("point")
        if number is None or trial.number != min(t.number for t in study.trials if is_alive(t, number)):
            raise optuna.TrialPruned  # the point is somebody else's
        point = {name: trial.suggest_categorical(name, values) for name, values in space.items()}
        try:
            return evaluate(point)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        study.optimize(objective, n_trials=1)
    except (AssertionError, ValueError):  # Optuna's, of a trial that ended elsewhere; or the evaluation's own
        if raised:
            raise raised[0] from None
        if not ours or study.trials[ours[0]].state != TrialState.FAIL:
            raise
        # We were silent for so long, suspended perhaps, that others took us for dead: the point is theirs.


def is_alive(trial, number: int) -> bool:
    """True for a trial of the point that is finished, being worked on, or waiting for it."""
    return trial.user_attrs.get("point") == number and trial.state in ALIVE


def bury_the_dead(study: optuna.Study, found: list, silent: dict) -> None:
    """Mark those of the study's trials as failed whose worker is no longer there.

    In a run's file these are all that seem to run, since a search has the file to itself. In a database Optuna knows
    them by their heartbeat, except those that died before the first one; `silent` remembers since when we see them.
    """
    running = [t for t in found if t.state == TrialState.RUNNING]
    if database():
        with experimental():
            optuna.storages.fail_stale_trials(study)
        now = time.monotonic()
        running = [t for t in running if not t.params and now - silent.setdefault(t.number, now) > GRACE]
    for trial in running:
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def trials(study: optuna.Study) -> pd.DataFrame:
    """The finished trials of a study, best first: learning_rate, loss (whatever the grid holds), val_miou, seconds."""
    return tabulate(study.trials)


def tabulate(found: list) -> pd.DataFrame:
    """The table of those trials that are finished."""
    done = [t for t in found if t.state == TrialState.COMPLETE]
    rows = [{**t.params, "val_miou": t.value, "seconds": t.duration.total_seconds()} for t in done]
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["val_miou", "seconds"])
    return table.sort_values("val_miou", ascending=False, ignore_index=True)
