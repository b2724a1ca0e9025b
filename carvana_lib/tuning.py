"""Grid search over learning rate and loss, and the learning-rate range test."""

import hashlib
import itertools
import json

import numpy as np
import optuna
import pandas as pd
import torch

from carvana_course.scaling.processes import in_worker
from carvana_course.scaling.study import grid_points, on_disk, open_study, trials, turn, work
from carvana_lib import ParameterError
from carvana_lib.dataset import make_loader, subsample
from carvana_lib.device import make_accelerator
from carvana_lib.losses import LOSSES
from carvana_lib.progress import progress
from carvana_lib.runs import Run, write_csv, write_json
from carvana_lib.training import enough_memory, fit, make_model, make_scheduler

GRID = {"learning_rate": [1e-4, 3e-4, 5e-4], "loss": ["bce", "bce_dice"]}  # the protocol's, all 6 of them
SHAPES_SEARCH = (
    "seed",
    "image_size",
    "base_channels",
    "batch_size",
    "weight_decay",
    "grad_clip",
    "augment",
    "split_by",
    "val_fraction",
    "test_fraction",
    "start_from",
    "tuning_epochs",
    "tuning_subset",
    "precision",
)  # another value is another study


def study_of(data, params) -> optuna.Study:
    """The study of these pictures and parameters, new or with the trials that earlier searches finished.

    Raises RunError where the study's database cannot be reached.
    """
    shape = json.dumps({name: getattr(params, name) for name in SHAPES_SEARCH} | {"data": data.fingerprint})
    name = hashlib.sha256(shape.encode()).hexdigest()[:12]
    return open_study(name, Run(params.run_name).study, GRID, params.seed)


def search(data, params, on_trial=None) -> pd.DataFrame:
    """Train each point of the grid for `tuning_epochs` on at most `tuning_subset` pictures; best by validation mIoU.

    Writes tuning.csv and best.json and returns the table, best first: learning_rate, loss, val_miou, seconds.
    Finished trials are not repeated. `on_trial(table)` is called when there are more; where machines share the study,
    also for theirs. Raises RunError where the study cannot be opened, or is at work elsewhere.
    """
    run = Run(params.run_name)
    rows = subsample(data.rows("train"), params.tuning_subset, params.seed)

    def evaluate(point: dict) -> float:
        if in_worker():
            raise ParameterError(
                "learning_rate and loss are not set, and no search has finished: run 'python -m carvana_course search' "
                "with these parameters first, on as many machines as there are; a trial takes one process"
            )
        choice = params.replace(epochs=params.tuning_epochs, scheduler="none", ema=0.0, **point)
        with enough_memory(choice):
            history = fit(make_model(choice), data, rows, data.rows("val"), choice)
        return history["val_miou"].iloc[-1]

    with on_disk(run.study), turn(run.study):
        study = study_of(data, params)
        left = len(grid_points(GRID)) - len(trials(study))
        for table in progress(work(study, GRID, evaluate), "grid search", left):
            if on_trial:
                on_trial(table)
    table = trials(study)
    write_csv(run.tuning, table)
    write_json(run.best, table[["learning_rate", "loss", "val_miou"]].iloc[0].to_dict() | {"trials": len(table)})
    return table


def read_table(params) -> pd.DataFrame:
    """tuning.csv of a run, or an empty table where no search was made."""
    path = Run(params.run_name).tuning
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=[*GRID, "val_miou", "seconds"])


def with_best(params, data):
    """Fill in `learning_rate` and `loss` where they are None, with the winner of the search for these very parameters.

    A search that has finished costs nothing; one that has not, or that was made for others, is made now.
    """
    if params.learning_rate is not None and params.loss is not None:
        return params
    best = search(data, params).iloc[0]
    return params.replace(learning_rate=params.learning_rate or best["learning_rate"], loss=params.loss or best["loss"])


def range_test(
    data, params, loss: str = "bce_dice", lowest: float = 1e-6, highest: float = 1.0, steps: int = 60
) -> pd.DataFrame:
    """Raise the learning rate at each step and watch the loss: learning_rate, loss (Smith 2017, section 3.3).

    Stops early once the loss exceeds four times its minimum.
    """
    accelerator, choice = make_accelerator(params), params.replace(learning_rate=lowest)
    model = make_model(choice).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lowest, weight_decay=params.weight_decay, fused=True)
    rows = subsample(data.rows("train"), steps * params.batch_size, params.seed)
    net, optimizer, loader = accelerator.prepare(model, optimizer, make_loader(data, rows, choice, train=True))
    batches = itertools.chain.from_iterable(itertools.repeat(loader))  # pass after pass, as long as it takes
    curve = []
    for rate, (images, masks, _) in zip(np.geomspace(lowest, highest, steps), batches, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        value = LOSSES[loss](net(images), masks)
        optimizer.zero_grad()
        accelerator.backward(value)
        accelerator.clip_grad_norm_(net.parameters(), params.grad_clip)
        optimizer.step()
        curve.append((rate, value.item()))
        if not value.isfinite() or value.item() > 4 * min(seen for _, seen in curve):
            break
    return pd.DataFrame(curve, columns=["learning_rate", "loss"])


def planned_learning_rates(params, epochs: int, scheduler: str) -> list[float]:
    """The learning rate of each epoch under a scheduler, from the scheduler itself."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], params.learning_rate)
    schedule, rates = make_scheduler(optimizer, params.replace(scheduler=scheduler), steps=1), []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates
