"""Numbers that go wrong.

A loss that becomes infinite names its very pictures and leaves the last checkpoint; steps that are far too large are
told although the loss stays finite; want of memory names the parameters to lower.
"""

import re

import pandas as pd
import pytest
import torch

from carvana_course.scaling import processes
from carvana_course.scaling.divergence import divergence
from carvana_lib import TrainingError, training, tuning
from carvana_lib.config import Params
from carvana_lib.dataset import EpochSampler
from carvana_lib.runs import Run
from carvana_lib.training import train

from .conftest import pick


@pytest.fixture(params=["inf", "-inf", "nan"])
def broken_step(request, monkeypatch, params):
    """Break the loss once, at a step of the third epoch; (epoch, step, what it becomes)."""
    good, seen, at = training.LOSSES[params.loss], [], 3 * 2 + 1  # three batches an epoch, each seen by training alone

    def loss(logits, masks):
        seen.append(logits.requires_grad)
        return good(logits, masks) * (float(request.param) if seen[-1] and sum(seen) == at + 1 else 1)

    monkeypatch.setitem(training.LOSSES, params.loss, loss)
    return 3, 2, request.param


def test_an_infinite_loss_names_its_pictures_and_keeps_the_checkpoint(data, params, broken_step, tally):
    params = params.replace(epochs=4)
    run = Run(params.run_name)
    rows, (epoch, step, value) = data.rows("train"), broken_step
    sampler = EpochSampler(len(rows), params.seed)
    sampler.set_epoch(epoch - 1)
    order = [position for _, position in sampler][(step - 1) * params.batch_size : step * params.batch_size]
    kept = []
    with pytest.raises(TrainingError, match=f"became {value} in epoch {epoch}, step {step} ") as caught:
        train(data, params, lambda history: kept.append(run.last.read_bytes()))
    named = re.search(r"\(pictures (.*?)\)", str(caught.value))[1].split(", ")
    assert named == data.table["image_id"].iloc[rows[order]].tolist()
    assert len(kept) == 2 and run.last.read_bytes() == kept[-1]
    tally(f"a loss of {value}", 1, f"training stops and names the step's {len(named)} pictures; the checkpoint is kept")


@pytest.mark.parametrize("loss", pick(["bce_dice"], ["bce", "dice", "bce_dice"]))
def test_steps_that_are_too_large_are_told(data, params, loss, tally, capsys):
    large = params.replace(learning_rate=1.0, loss=loss, epochs=3, run_name="large")
    processes.train(data, large)
    assert re.search(r"^training diverged: .*; lower learning_rate=1$", capsys.readouterr().out, re.M)
    processes.train(data, params.replace(loss=loss, epochs=3))
    assert "diverged" not in capsys.readouterr().out
    tally(f"learning rate 1.0 with {loss}", 1, "'training diverged: ...; lower learning_rate=1'; 0.001 is no diverging")


def test_a_validation_loss_that_is_no_number_is_told():
    history = pd.DataFrame({"val_loss": [0.4, float("nan")], "val_miou": [0.7, 0.0]})
    assert "val_loss is nan" in divergence(history, Params(learning_rate=1.0))


def cuda_is_full():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def memory_is_full():
    torch.empty(2**58, dtype=torch.uint8)  # what torch's own allocator says to this on a CPU


@pytest.mark.parametrize("fault", [cuda_is_full, memory_is_full])
def test_want_of_memory_says_what_to_lower(data, params, fault, tally, monkeypatch):
    train(data, params.replace(epochs=1))
    kept = Run(params.run_name).last.read_bytes()
    monkeypatch.setitem(training.LOSSES, params.loss, lambda *_: fault())
    says = r"too little memory for batch_size=8, image_size=32 and base_channels=4; lower them in this order"
    with pytest.raises(TrainingError, match=says):
        train(data, params)
    assert Run(params.run_name).last.read_bytes() == kept
    monkeypatch.setitem(tuning.GRID, "loss", [params.loss])
    with pytest.raises(TrainingError, match=says):
        tuning.search(data, params)
    tally(f"{fault.__name__.replace('_', ' ')}", 2, "training and search name batch_size, image_size, base_channels")


def test_a_training_that_finds_no_car_is_told_apart_from_steps_that_are_too_large():
    blind = pd.DataFrame({"val_loss": [0.3, 0.1, 0.02], "val_miou": [0.0, 0.001, 0.0]})
    assert "set loss='dice' or 'bce_dice' and a higher learning_rate" in divergence(blind, Params(learning_rate=1e-4))
    wild = pd.DataFrame({"val_loss": [0.9, 0.8, 0.7], "val_miou": [0.0, 0.0, 0.0]})
    assert divergence(wild, Params(learning_rate=1.0)).endswith("lower learning_rate=1")
