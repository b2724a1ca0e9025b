"""The study of a search that machines share, in Optuna's database: whose turn a point is, what became of the dead.

A point is scored by one worker alone: of several trials of a point the first that is not dead counts, and numbers are
given out by the database.
"""

import time
import urllib.parse
import warnings
from contextlib import contextmanager

import optuna
from optuna.trial import TrialState

from carvana_course.scaling.database import database, shown
from carvana_lib import RunError
from carvana_lib.runs import code
from carvana_lib.tuning import GRID, POINTS, study_file, tabulate

HEARTBEAT = 10  # seconds between a worker's signs of life
GRACE = 60  # seconds after which a silent one is taken for dead
LOOK_EVERY = 1.0  # seconds between looks at what others have finished
ALIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE)


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
        trial.set_user_attr("code", code())
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
    """Those of a study's trials that are finished, as `tuning` keeps them."""
    rows = []
    for trial in trials:
        if trial.state == TrialState.COMPLETE:
            made = {"seconds": trial.duration.total_seconds(), "code": trial.user_attrs.get("code")}
            rows.append({**trial.params, "val_miou": trial.value, **made})
    return rows
