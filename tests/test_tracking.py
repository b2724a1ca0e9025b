"""Trackers: each epoch once, in files of the run, through interruptions; and never worth a training."""

import importlib.util
import os

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from carvana_course.scaling import tracking
from carvana_course.scaling.processes import train
from carvana_lib import ParameterError
from carvana_lib.data import open_data
from carvana_lib.runs import Run


def logged(folder, name: str = "val_miou"):
    """(epochs, values) that TensorBoard's files in a folder hold."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    found = events.Scalars(name)
    return [event.step for event in found], [event.value for event in found]


def test_each_epoch_is_logged_once_through_an_interruption(params, monkeypatch):
    params = params.replace(tracker="tensorboard", epochs=4)
    data = open_data(params)

    def stop_after_two(history):
        if len(history) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(data, params, stop_after_two)
    _, history = train(data, params)
    epochs, values = logged(Run("tiny").tracking)
    assert epochs == [1, 2, 3, 4] and values == pytest.approx(history["val_miou"].tolist())
    assert logged(Run("tiny").tracking, "images")[1] == [24] * 4
    assert list(Run("tiny").tracking.glob("tensorboard/*/hparams.yml"))
    assert not set(tracking.OFFLINE) & set(os.environ) and "MLFLOW_TRACKING_URI" not in os.environ

    train(data, params)  # the same once more
    assert logged(Run("tiny").tracking)[0] == [1, 2, 3, 4]
    train(data, params.replace(learning_rate=5e-3, epochs=1))  # another, for which the first moves aside
    assert logged(Run("tiny").tracking)[0] == [1] and logged(Run("tiny").earlier / "1" / "tracking")[0] == [1, 2, 3, 4]


def test_a_tracker_that_comes_later_gets_the_epochs_before_it(params):
    data = open_data(params)
    train(data, params)
    assert not Run("tiny").tracking.exists()
    train(data, params.replace(tracker="tensorboard", epochs=3))
    assert logged(Run("tiny").tracking)[0] == [1, 2, 3]


def test_a_tracker_that_is_not_installed_is_named_before_training(params, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else found(name))
    with pytest.raises(
        ParameterError, match="^tracker='mlflow' needs the package mlflow; run 'pip install mlflow', or"
    ):
        train(open_data(params), params.replace(tracker="mlflow"))
    assert not Run("tiny").last.exists()


def test_a_tracker_that_fails_is_told_once_and_the_training_goes_on(params, monkeypatch, capsys):
    class Full:
        def __init__(self, **arguments):
            raise OSError(28, "No space left on device")

    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Full)
    _, history = train(open_data(params), params.replace(tracker="tensorboard"))
    said = capsys.readouterr().out
    assert len(history) == 2 and said.count("tracker='tensorboard' failed and keeps no more epochs") == 1
    assert "No space left on device" in said
