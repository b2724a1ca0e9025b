"""The search of the grid: alone, or together with all machines that share a database.

The environment variable CARVANA_STORAGE names the database; without it a search is the library's own, in a file of the
run.
"""

import pandas as pd

from carvana_course.scaling import in_worker
from carvana_course.scaling.database import database
from carvana_lib import ParameterError, tuning
from carvana_lib.device import progress
from carvana_lib.tuning import POINTS


def search(data, params, on_trial=None) -> pd.DataFrame:
    """As `carvana_lib.tuning.search`, which it calls, but together with all who share the database, if there is one.

    `on_trial(table)` is called when there are more trials, also for others'. Raises RunError where the database cannot
    be reached, and ParameterError in a process of a launcher where no search has finished: a trial takes one process.
    """
    if in_worker():
        return finished_search(data, params)
    if not database():
        return tuning.search(data, params, on_trial)
    from carvana_course.scaling.study import finished, open_study, work  # Optuna's, which few need

    study = open_study(data, params)

    def score(point: dict) -> float:
        return tuning.score_point(point, data, params)

    for table in progress(work(study, score), "grid search", len(POINTS) - len(finished(study.trials))):
        if on_trial:
            on_trial(table)
    return tuning.write_trials(finished(study.trials), data, params)


def finished_search(data, params) -> pd.DataFrame:
    """The table of a search that has finished, here or in the database. Raises ParameterError where none has."""
    if database():
        from carvana_course.scaling.study import finished, open_study

        study = open_study(data, params)
        if len(finished(study.trials)) == len(POINTS):
            return tuning.write_trials(finished(study.trials), data, params)
    elif len(tuning.read_trials(data, params)) == len(POINTS):
        return tuning.tabulate(tuning.read_trials(data, params))
    raise ParameterError(
        "learning_rate and loss are not set, and no search has finished: run 'carvana search' with these parameters "
        "first, on as many machines as there are; a trial takes one process"
    )
