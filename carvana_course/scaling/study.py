"""One search of the grid for all machines that share a database: whose turn a point is, what became of the dead.

The environment variable CARVANA_STORAGE names the database; without it a search is the library's own, in a file of the
run. A point is scored by one worker alone: of several trials of a point the first that is not dead counts, and numbers
are given out by the database.
"""

import os
import re
import time
import urllib.parse
import warnings
from contextlib import contextmanager

import optuna
import pandas as pd
from optuna.trial import TrialState

from carvana_lib import ParameterError, RunError, tuning
from carvana_lib.progress import progress
from carvana_lib.tuning import GRID, POINTS, study_file, tabulate

HEARTBEAT = 10  # seconds between a worker's signs of life
GRACE = 60  # seconds after which a silent one is taken for dead
LOOK_EVERY = 1.0  # seconds between looks at what others have finished
ALIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)


def search(data, params, on_trial=None) -> pd.DataFrame:
    """As `carvana_lib.tuning.search`, which it calls, but together with all who share the database, if there is one.

    `on_trial(table)` is called when there are more trials, also for others'. Raises RunError where the database cannot
    be reached.
    """
    if not database():
        return tuning.search(data, params, on_trial)
    study = open_study(data, params)

    def score(point: dict) -> float:
        return tuning.score_point(point, data, params)

    for table in progress(work(study, score), "grid search", len(POINTS) - len(finished(study.trials))):
        if on_trial:
            on_trial(table)
    return keep(study, data, params)


def finished_search(data, params) -> pd.DataFrame:
    """The table of a search that has finished, here or in the database. Raises ParameterError where none has.

    For trainings in many processes, all of which would wait for a trial.
    """
    if database():
        study = open_study(data, params)
        if len(finished(study.trials)) == len(POINTS):
            return keep(study, data, params)
    elif len(tuning.read_trials(data, params)) == len(POINTS):
        return tuning.search(data, params)
    raise ParameterError(
        "learning_rate and loss are not set, and no search has finished: run 'carvana search' with these parameters "
        "first, on as many machines as there are; a trial takes one process"
    )


def keep(study: optuna.Study, data, params) -> pd.DataFrame:
    """Leave the study's trials in the run, as a search of its own would have; the table of them."""
    tuning.write_trials(finished(study.trials), data, params)
    return tuning.search(data, params)


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


def open_study(data, params) -> optuna.Study:
    """The study of these pictures and parameters in the database, new or with the trials that it has.

    Raises RunError where the database cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = database()
    options = {"study_name": study_file(data, params).stem, "direction": "maximize", "load_if_exists": True}
    options["sampler"] = optuna.samplers.GridSampler(GRID, seed=params.seed)
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
    password = urllib.parse.urlsplit(url).password
    if password:
        why = why.replace(password, "***").replace(urllib.parse.unquote(password), "***")
    raise RunError(f"the study at {shown(url)} cannot be opened: {why}; check CARVANA_STORAGE and the server")


@contextmanager
def experimental():
    """Optuna calls its heartbeat experimental, at every call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def work(study: optuna.Study, score):
    """Score what is left of the grid, beside whoever else does, and yield the table of finished trials as it grows.

    Ends when every point is finished, no matter by whom. What a dead worker left is begun anew.
    """
    known = len(finished(study.trials))
    silent = {}
    while True:
        trials = study.trials
        done = finished(trials)
        if len(done) > known:
            known = len(done)
            yield tabulate(done)
        if len(done) == len(POINTS):
            return
        fail_dead_trials(study, trials, silent)
        missing = [n for n in range(len(POINTS)) if not any(is_alive(trial, n) for trial in trials)]
        for number in missing:
            study.enqueue_trial(POINTS[number], user_attrs={"point": number})
        if missing or any(trial.state == TrialState.WAITING for trial in trials):
            score_next(study, score)
        else:
            time.sleep(LOOK_EVERY)


def score_next(study: optuna.Study, score) -> None:
    """Take the next waiting trial, score its point if that is nobody else's, and tell the study."""
    ours = []
    raised = []

    def objective(trial) -> float:
        ours.append(trial.number)
        number = trial.user_attrs.get("point")
        if number is None or trial.number != min(t.number for t in study.trials if is_alive(t, number)):
            raise optuna.TrialPruned  # the point is somebody else's
        point = {name: trial.suggest_categorical(name, values) for name, values in GRID.items()}
        try:
            return score(point)
        except BaseException as error:
            raised.append(error)
            raise

    try:
        study.optimize(objective, n_trials=1)
    except (AssertionError, ValueError):  # Optuna's, of a trial that ended elsewhere; or the scoring's own
        if raised:
            raise raised[0] from None
        if not ours or study.trials[ours[0]].state != TrialState.FAIL:
            raise
        # We were silent for so long, suspended perhaps, that others took us for dead: the point is theirs.


def is_alive(trial, number: int) -> bool:
    """True for a trial of the point that is finished, being worked on, or waiting for it."""
    return trial.user_attrs.get("point") == number and trial.state in ALIVE


def fail_dead_trials(study: optuna.Study, trials: list, silent: dict) -> None:
    """Mark those trials as failed whose worker is no longer there.

    Optuna knows them by their heartbeat, except those that died before the first one; `silent` remembers since when we
    see them.
    """
    with experimental():
        optuna.storages.fail_stale_trials(study)
    now = time.monotonic()
    for trial in trials:
        if trial.state == TrialState.RUNNING and not trial.params:
            since = silent.setdefault(trial.number, now)
            if now - since > GRACE:
                study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def finished(trials: list) -> list[dict]:
    """Those of a study's trials that are finished, as `tuning` keeps them: learning_rate, loss, val_miou, seconds."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return [{**t.params, "val_miou": t.value, "seconds": t.duration.total_seconds()} for t in done]
