"""Grid search over learning rate and loss through Optuna, and the learning-rate range test."""

import hashlib
import itertools
import json

import numpy as np
import optuna
import pandas as pd
import torch
from optuna.storages import journal
from optuna.trial import TrialState

from carvana_lib.dataset import make_loader, subsample
from carvana_lib.frontend import progress
from carvana_lib.hardware import make_accelerator
from carvana_lib.losses import LOSSES
from carvana_lib.runs import Run, write_csv, write_json
from carvana_lib.training import fit, make_model, make_scheduler

GRID = {"learning_rate": [1e-4, 3e-4, 5e-4], "loss": ["bce", "bce_dice"]}  # the protocol's, all 6 of them
SHAPES_SEARCH = (
    "seed",
    "image_size",
    "base_channels",
    "batch_size",
    "weight_decay",
    "grad_clip",
    "val_fraction",
    "test_fraction",
    "tuning_epochs",
    "tuning_subset",
    "precision",
)  # another value is another study


def grid_points() -> list[dict]:
    """Every combination in the grid."""
    return [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]


def open_study(data, params) -> optuna.Study:
    """The run's study in its journal file, new or with the trials that an earlier, interrupted search has finished."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shape = json.dumps({name: getattr(params, name) for name in SHAPES_SEARCH} | {"data": data.fingerprint})
    run = Run(params.run_name)
    run.folder.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(
        journal.JournalFileBackend(str(run.study), lock_obj=journal.JournalFileOpenLock(str(run.study)))
    )
    return optuna.create_study(
        storage=storage,
        study_name=hashlib.sha256(shape.encode()).hexdigest()[:12],
        sampler=optuna.samplers.GridSampler(GRID, seed=params.seed),
        direction="maximize",
        load_if_exists=True,
    )


def search(data, params, on_trial=None) -> pd.DataFrame:
    """Train each point of the grid for `tuning_epochs` on at most `tuning_subset` pictures; best by validation mIoU.

    Writes tuning.csv and best.json and returns the table, best first: learning_rate, loss, val_miou, seconds.
    Finished trials are not repeated. `on_trial(table)` is called after each.
    """
    study, run = open_study(data, params), Run(params.run_name)
    rows = subsample(data.rows("train"), params.tuning_subset, params.seed)

    def objective(trial) -> float:
        choice = params.replace(
            epochs=params.tuning_epochs,
            scheduler="none",
            ema=0.0,
            **{name: trial.suggest_categorical(name, values) for name, values in GRID.items()},
        )
        history = fit(make_model(choice), data, rows, data.rows("val"), choice)
        return history["val_miou"].iloc[-1]

    def report(study, trial):
        if on_trial:
            on_trial(trials(study))

    finished = trials(study)[list(GRID)].to_dict("records")
    missing = [point for point in grid_points() if point not in finished]
    waiting = [t.system_attrs.get("fixed_params") for t in study.trials if t.state == TrialState.WAITING]
    for point in missing:  # named one by one, since the sampler would take a trial that was interrupted for done
        if point not in waiting:
            study.enqueue_trial(point)
    for _ in progress(missing, "grid search"):
        study.optimize(objective, n_trials=1, callbacks=[report])
    table = trials(study)
    write_csv(run.tuning, table)
    write_json(run.best, table[["learning_rate", "loss", "val_miou"]].iloc[0].to_dict() | {"trials": len(table)})
    return table


def trials(study) -> pd.DataFrame:
    """The finished trials of a study, best first."""
    done = [t for t in study.trials if t.state == TrialState.COMPLETE]
    rows = [{**t.params, "val_miou": t.value, "seconds": t.duration.total_seconds()} for t in done]
    table = pd.DataFrame(rows, columns=[*GRID, "val_miou", "seconds"])
    return table.sort_values("val_miou", ascending=False, ignore_index=True)


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
