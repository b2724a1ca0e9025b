"""The search of the grid: alone, or together with all machines that share a database.

The environment variable CARVANA_STORAGE names the database; without it a search is the library's own, in a file of the
run.
"""

import os
import re
import urllib.parse

import pandas as pd

from carvana_lib import ParameterError, RunError, tuning
from carvana_lib.progress import progress
from carvana_lib.tuning import POINTS


def search(data, params, on_trial=None) -> pd.DataFrame:
    """As `carvana_lib.tuning.search`, which it calls, but together with all who share the database, if there is one.

    `on_trial(table)` is called when there are more trials, also for others'. Raises RunError where the database cannot
    be reached.
    """
    if not database():
        return tuning.search(data, params, on_trial)
    from carvana_course.scaling.study import finished, open_study, work  # Optuna's, which few need

    study = open_study(data, params)

    def score(point: dict) -> float:
        return tuning.score_point(point, data, params)

    for table in progress(work(study, score), "grid search", len(POINTS) - len(finished(study.trials))):
        if on_trial:
            on_trial(table)
    return keep(finished(study.trials), data, params)


def finished_search(data, params) -> pd.DataFrame:
    """The table of a search that has finished, here or in the database. Raises ParameterError where none has.

    For trainings in many processes, all of which would wait for a trial.
    """
    if database():
        from carvana_course.scaling.study import finished, open_study

        study = open_study(data, params)
        if len(finished(study.trials)) == len(POINTS):
            return keep(finished(study.trials), data, params)
    elif len(tuning.read_trials(data, params)) == len(POINTS):
        return tuning.search(data, params)
    raise ParameterError(
        "learning_rate and loss are not set, and no search has finished: run 'carvana search' with these parameters "
        "first, on as many machines as there are; a trial takes one process"
    )


def keep(trials: list[dict], data, params) -> pd.DataFrame:
    """Leave finished trials in the run, as a search of its own would have; the table of them."""
    tuning.write_trials(trials, data, params)
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
