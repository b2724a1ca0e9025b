"""Experiment trackers: each epoch goes to one of Accelerate's too, into files of the run. Nothing asks the network.

Whoever has a server says so where its tracker looks for that: MLFLOW_TRACKING_URI, WANDB_MODE=online.
"""

import importlib.util
import os
import time
from contextlib import ExitStack, contextmanager

import pandas as pd
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from carvana_lib import ParameterError
from carvana_lib.runs import Run, remove

PROJECT = "carvana"  # under which MLflow and W&B list the runs
OFFLINE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}


def check_tracker(params) -> None:
    """Raise ParameterError, with the line for pip, where the package of the tracker is missing."""
    name = params.tracker
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ParameterError(
            f"tracker='{name}' needs the package {name}; run 'pip install {name}', or set tracker='none'"
        )


@contextmanager
def tracked(params, on_epoch=None):
    """Give a training the `on_epoch` to call: the one that came, and before it the tracker's, if there is one."""
    if params.tracker == "none":
        yield on_epoch
        return
    log = EpochLog(params)

    def report(history: pd.DataFrame) -> None:
        log.add(history)
        if on_epoch:
            on_epoch(history)

    try:
        yield report
    finally:
        log.close()


@contextmanager
def default_settings(values: dict[str, str]):
    """Set those variables that the environment lacks, and take them away at the end."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


class EpochLog:
    """The history of a training in its tracker. A training that goes on goes on in the same log.

    A tracker that fails is told and left alone, since a training is worth more than its log.
    """

    def __init__(self, params):
        self.params = params
        self.run = Run(params.run_name)
        self.tracker = None
        self.failed = False
        self.settings = ExitStack()
        self.logged = 0  # epochs

    def add(self, history: pd.DataFrame) -> None:
        """Log the epochs that the log does not have yet; a training that goes on begins by telling of earlier ones."""
        if self.failed:
            return
        try:
            if self.tracker is None:  # only now does Accelerate know which process is the main one
                self.open(len(history) == 1)
            for row in history[history["epoch"] > self.logged].to_dict("records"):
                self.tracker.log({name: float(value) for name, value in row.items()}, step=int(row["epoch"]))
                self.logged = int(row["epoch"])
                self.note.write_text(f"{identity(self.tracker)}\n{self.logged}")
        except Exception as error:  # of any kind: a disk's, a server's, a database's
            self.give_up(error)

    def open(self, begins: bool) -> None:
        """Open the log of this training, a new one where it `begins` or was not logged before."""
        name = self.params.tracker
        folder = self.run.tracking
        folder.mkdir(parents=True, exist_ok=True)
        self.note = folder / f"{name}.run"  # under which the tracker knows this training, and how many epochs of it
        known = None
        if self.note.exists() and not begins:
            known, _, logged = self.note.read_text().partition("\n")
            self.logged = int(logged or 0)
        place = {"MLFLOW_TRACKING_URI": f"sqlite:///{mlflow_file(folder, known).as_posix()}"}
        self.settings.enter_context(default_settings(OFFLINE | place))
        if name == "tensorboard":
            if known is None:
                remove(folder / name)
            arguments = {"run_name": name, "logging_dir": folder}
        elif name == "mlflow":
            arguments = {"experiment_name": PROJECT, "run_name": self.run.name, "run_id": known}
        else:
            arguments = {"run_name": PROJECT, "name": self.run.name, "id": known, "dir": folder}
        self.tracker = LOGGER_TYPE_TO_CLASS[name](**arguments)
        self.tracker.start()
        if known is None:
            self.tracker.store_init_configuration(self.params.model_dump())

    def close(self) -> None:
        """Let the tracker write what it still holds."""
        try:
            if self.tracker and not self.failed:
                self.tracker.finish()
        except Exception as error:
            self.give_up(error)
        self.settings.close()

    def give_up(self, error: Exception) -> None:
        """Say that the training goes on without its tracker."""
        self.failed = True
        why = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"tracker='{self.params.tracker}' failed and keeps no more epochs of this training, which goes on: {why}")


def mlflow_file(folder, known: str | None):
    """MLflow's file of a training that it knows, or of a new one.

    It has a name of its own: MLflow holds a file open whose run was set aside, and would go on writing there.
    """
    found = sorted(folder.glob("mlflow-*.db"))
    if known is not None and found:
        return found[-1]
    return folder / f"mlflow-{time.strftime('%Y%m%d-%H%M%S')}.db"


def identity(tracker) -> str:
    """How a tracker calls the training; TensorBoard's has no name but its folder."""
    if tracker.name == "mlflow":
        return tracker.tracker.info.run_id
    if tracker.name == "wandb":
        return tracker.tracker.id
    return tracker.name
