"""Grid search over learning rate and loss, and the learning-rate range test."""

import hashlib
import itertools
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from carvana_lib import RunError
from carvana_lib.checkpoints import make_model
from carvana_lib.dataset import make_loader, subsample
from carvana_lib.device import make_accelerator, progress, show_loss
from carvana_lib.diagnosis import enough_memory, stopped
from carvana_lib.losses import LOSSES
from carvana_lib.runs import Run, atomic, code, write_csv, write_json
from carvana_lib.training import fit, make_optimizer, train_step

GRID = {"learning_rate": [1e-4, 3e-4, 5e-4], "loss": ["bce", "bce_dice"]}  # the protocol's, all 6 of them
POINTS = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
TRIAL_COLUMNS = [*GRID, "val_miou", "seconds"]


def study_file(data, params) -> Path:
    """Where the run keeps its finished trials with these pictures and parameters. Used by `search` in 03."""
    decisive = json.dumps(params.of_search() | {"data": data.fingerprint}, sort_keys=True)
    name = hashlib.sha256(decisive.encode()).hexdigest()[:12]
    return Run(params.run_name).studies / f"{name}.jsonl"


def score_point(point: dict, data, params) -> float:
    """A point's val mIoU after `tuning_epochs` with at most `tuning_subset` pictures. Used by `search` in 03."""
    rows = subsample(data.rows("train"), params.tuning_subset, params.seed)
    choice = params.replace(epochs=params.tuning_epochs, patience=None, scheduler="none", ema=0.0, **point)
    with enough_memory(choice):
        history = fit(make_model(choice), data, rows, data.rows("val"), choice)
    return history["val_miou"].iloc[-1]


def read_trials(data, params) -> list[dict]:
    """The finished trials of the run's search with these pictures and parameters, in order. Used by `search` in 03."""
    file = study_file(data, params)
    try:
        lines = file.read_text(encoding="utf8").splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]  # a last one without was cut off
    except ValueError:
        raise RunError(f"{file} is damaged; delete it and search again") from None


def tabulate(trials: list[dict]) -> pd.DataFrame:
    """Trials as a table, best first: learning_rate, loss, val_miou, seconds. Used by `search` in 03."""
    table = pd.DataFrame(trials, columns=TRIAL_COLUMNS)
    return table.sort_values("val_miou", ascending=False, ignore_index=True, kind="stable")


def write_trials(trials: list[dict], data, params) -> pd.DataFrame:
    """Keep finished trials in the run, with tuning.csv and best.json; the table of them. Used by `search` in 03."""
    run = Run(params.run_name)
    with atomic(study_file(data, params)) as temporary:
        temporary.write_text("".join(json.dumps(trial) + "\n" for trial in trials), encoding="utf8")
    table = tabulate(trials)
    write_csv(run.tuning, table)
    write_json(run.best, table[[*GRID, "val_miou"]].iloc[0].to_dict() | {"trials": len(table)})
    return table


def search(data, params, on_trial=None) -> pd.DataFrame:
    """Score each point of the grid; the table of trials, best by validation mIoU first. Finished trials are kept, found
    and not repeated. `on_trial(table)` is called after each. Raises RunError where they cannot be kept, and
    TrainingError when it is stopped. Taught in 03.
    """
    trials = read_trials(data, params)
    if trials:
        print(f"{len(trials)} of {len(POINTS)} points found")
    tried = [{name: trial[name] for name in GRID} for trial in trials]
    for point in progress([point for point in POINTS if point not in tried], "grid search"):
        started = time.perf_counter()
        try:
            score = score_point(point, data, params)
        except KeyboardInterrupt:
            raise stopped(len(trials), len(POINTS), "point") from None
        trials.append(point | {"val_miou": score, "seconds": time.perf_counter() - started, "code": code()})
        table = write_trials(trials, data, params)
        if on_trial:
            on_trial(table)
    return write_trials(trials, data, params)


def with_best(params, data, search=search):
    """Fill in `learning_rate` and `loss` where they are None, with the winner of the search for these very parameters:
    it costs nothing where it has finished, and is made now where it has not, or was made for others. Taught in 04.
    """
    if params.learning_rate is not None and params.loss is not None:
        return params
    best = search(data, params).iloc[0]
    return params.replace(learning_rate=params.learning_rate or best["learning_rate"], loss=params.loss or best["loss"])


def range_test(data, params, loss="bce_dice", lowest=1e-6, highest=1.0, steps: int = 60) -> pd.DataFrame:
    """Raise the learning rate at each step and watch the loss: learning_rate, loss (Smith 2017, section 3.3). Stops
    early once the loss exceeds four times its minimum. Taught in 03.
    """
    choice = params.replace(learning_rate=lowest)
    model = make_model(choice).to(memory_format=torch.channels_last)
    accelerator = make_accelerator(params.device, params.precision, model)
    rows = subsample(data.rows("train"), steps * params.batch_size, params.seed)
    loader = make_loader(data, rows, choice, train=True)
    net, optimizer, loader = accelerator.prepare(model, make_optimizer(model, choice), loader)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))  # pass after pass, as long as it takes
    curve = []
    rates = progress(np.geomspace(lowest, highest, steps), "range test")
    for rate, (images, masks, _) in zip(rates, batches, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        value, _ = train_step(net, optimizer, LOSSES[loss], images, masks, accelerator, params.grad_clip)
        curve.append((rate, value.item()))
        show_loss(rates, value)
        if not value.isfinite() or value.item() > 4 * min(seen for _, seen in curve):
            break
    return pd.DataFrame(curve, columns=["learning_rate", "loss"])
