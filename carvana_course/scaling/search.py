"""The search of the grid: alone, or together with all machines that share a database.

The environment variable CARVANA_STORAGE names the database; without it a search is the library's own, in a file of the
run.
"""

from contextlib import contextmanager

import pandas as pd
from filelock import FileLock, Timeout

from carvana_course.scaling import in_worker
from carvana_course.scaling.database import database, shown
from carvana_lib import ParameterError, RunError, tuning
from carvana_lib.device import progress
from carvana_lib.diagnosis import stopped
from carvana_lib.runs import code, writing
from carvana_lib.tuning import POINTS, read_trials, study_file


def search(data, params, on_trial=None) -> pd.DataFrame:
    """As `carvana_lib.tuning.search`, which it calls, but together with all who share the database, if there is one.

    `on_trial(table)` is called when there are more trials, also for others'. Raises RunError where the database cannot
    be reached, or where another search is at work in the same file, and ParameterError in a process of a launcher where
    no search has finished: a trial takes one process.
    """
    if in_worker():
        return finished_search(data, params)
    if not database():
        with alone(data, params):
            tell_of_older(read_trials(data, params), study_file(data, params))
            return tuning.search(data, params, on_trial)
    from carvana_course.scaling.study import finished, open_study, work  # Optuna's, which few need

    study = open_study(data, params)
    tell_of_older(finished(study.trials), shown(database()))

    def score(point: dict) -> float:
        return tuning.score_point(point, data, params)

    before = len(finished(study.trials))
    if before:
        print(f"{before} of {len(POINTS)} points found")
    try:
        for table in progress(work(study, score), "grid search", len(POINTS) - before):
            if on_trial:
                on_trial(table)
    except KeyboardInterrupt:
        raise stopped(len(finished(study.trials)), len(POINTS), "point") from None
    return tuning.write_trials(finished(study.trials), data, params)


@contextmanager
def alone(data, params):
    """Keep another search out of this one's file. Raises RunError where one is at work in it."""
    file = study_file(data, params)
    with writing(file):
        try:
            lock = FileLock(file.parent / ".lock").acquire(timeout=0)
        except Timeout:
            remedy = "wait for its end, or let both share one study (CARVANA_STORAGE)"
            raise RunError(f"another search is at work on {file}; {remedy}") from None
    with lock:
        yield


def tell_of_older(trials: list[dict], place) -> None:
    """Say how many of the trials that were found in a place another version of the code has made."""
    older = sum(trial.get("code") != code() for trial in trials)
    if older:
        found = f"{older} of {len(trials)} trials in {place} were made by another version of this code"
        print(f"{found}; delete it to search anew")


def finished_search(data, params) -> pd.DataFrame:
    """The table of a search that has finished, here or in the database. Raises ParameterError where none has."""
    if database():
        from carvana_course.scaling.study import finished, open_study

        study = open_study(data, params)
        if len(finished(study.trials)) == len(POINTS):
            return tuning.write_trials(finished(study.trials), data, params)
    elif len(read_trials(data, params)) == len(POINTS):
        return tuning.tabulate(read_trials(data, params))
    raise ParameterError(
        "learning_rate and loss are not set, and no search has finished: run 'carvana search' with these parameters "
        "first, on as many machines as there are; a trial takes one process"
    )
