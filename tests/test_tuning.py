import math

import pandas as pd
import pytest
import torch

from carvana_course.scaling import search as shared
from carvana_lib import RunError, TrainingError, tuning
from carvana_lib.runs import Run, read_json
from carvana_lib.training import make_scheduler
from carvana_lib.tuning import GRID, range_test, search, with_best


@pytest.fixture
def quick(monkeypatch):
    """Trials that do not train: the score is made up from the learning rate, and each is noted."""
    tried = []

    def fit(model, data, train_rows, val_rows, params, *args):
        tried.append((params.learning_rate, params.loss, params.epochs, len(train_rows)))
        return pd.DataFrame({"val_miou": [0.1, params.learning_rate * (1.5 if params.loss == "bce" else 1)]})

    monkeypatch.setattr(tuning, "fit", fit)
    return tried


def test_the_grid_is_searched_once_each_and_the_best_is_kept(data, params, quick):
    table = search(data, params.replace(tuning_epochs=3))
    assert sorted(t[:2] for t in quick) == sorted((lr, loss) for lr in GRID["learning_rate"] for loss in GRID["loss"])
    assert {t[2:] for t in quick} == {(3, 8)}  # tuning_epochs, tuning_subset
    assert len(table) == math.prod(map(len, GRID.values())) == 6
    best = read_json(Run("tiny").best)
    assert (best["learning_rate"], best["loss"]) == (5e-4, "bce") and best["val_miou"] == table["val_miou"].max()
    assert pd.read_csv(Run("tiny").tuning)["val_miou"].is_monotonic_decreasing
    assert tuning.tabulate(tuning.read_trials(data, params.replace(tuning_epochs=3))).equals(table)


def test_a_search_interrupted_again_and_again_goes_on_and_repeats_nothing(data, params, quick, monkeypatch):
    counting, interruptions = tuning.fit, []

    def stopped_twice_at_the_fourth(*args):
        if len(quick) == 3 and len(interruptions) < 2:
            interruptions.append(1)
            raise KeyboardInterrupt
        return counting(*args)

    monkeypatch.setattr(tuning, "fit", stopped_twice_at_the_fourth)
    for _ in range(2):
        with pytest.raises(TrainingError, match="^stopped after point 3 of 6; run the command again to go on$"):
            search(data, params)
    table = search(data, params)
    assert len(table) == len(table.drop_duplicates(["learning_rate", "loss"])) == 6 == len(quick) == len(set(quick))
    search(data, params)
    assert len(quick) == 6  # a finished search is not repeated


def test_a_killed_trial_is_taken_up_again(data, params, quick):
    search(data, params)
    file = tuning.study_file(data, params)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:4]))  # two were never finished
    assert len(search(data, params)) == 6 and len(quick) == 8 and len(set(quick)) == 6


@pytest.mark.parametrize("change", [{"base_channels": 8}, {"augment": "none"}, {"split_by": "image"}])
def test_other_parameters_are_another_search(data, params, quick, change):
    search(data, params)
    search(data, params.replace(**change))
    assert len(quick) == 12


def test_a_damaged_study_is_named(data, params, quick):
    search(data, params)
    file = tuning.study_file(data, params)
    file.write_text("{" + file.read_text())
    with pytest.raises(RunError, match=f"{file.name} is damaged; delete it and search again"):
        search(data, params)


def test_each_finished_trial_is_reported_once(data, params, quick):
    seen = []
    search(data, params, lambda table: seen.append(len(table)))
    assert seen == [1, 2, 3, 4, 5, 6]
    search(data, params, lambda table: seen.append(len(table)))
    assert len(seen) == 6, "nothing new in a search that has finished"


def test_a_second_search_in_the_same_file_is_refused(data, params, quick, monkeypatch):
    counting, refused = tuning.fit, []

    def another_begins(*args):
        if not refused:
            refused.append(1)
            with pytest.raises(RunError, match="another search is at work on .*jsonl; wait.*CARVANA_STORAGE"):
                shared.search(data, params)
        return counting(*args)

    monkeypatch.setattr(tuning, "fit", another_begins)
    assert len(shared.search(data, params)) == 6 == len(set(quick)) == len(quick)
    shared.search(data, params)  # the lock went with the search


def test_a_study_may_lie_in_any_database_of_sqlalchemy(data, params, quick, tmp_path, monkeypatch):
    monkeypatch.setenv("CARVANA_STORAGE", f"sqlite:///{tmp_path / 'study.db'}")
    assert len(shared.search(data, params)) == 6 == len(quick)
    shared.search(data, params.replace(run_name="other"))
    assert len(quick) == 6, "it belongs to no run"
    assert len(search(data, params)) == 6 == len(quick), "and its trials are left in the run, where 04 finds them"


def test_with_best_fills_only_what_is_not_set(data, params, quick):
    both = with_best(params.replace(learning_rate=None, loss=None), data)
    assert (both.learning_rate, both.loss) == (5e-4, "bce")
    assert with_best(params.replace(learning_rate=None, loss="dice"), data).loss == "dice"
    assert with_best(params.replace(learning_rate=0.01, loss=None), data).learning_rate == 0.01
    assert with_best(params, data) is params
    assert len(quick) == 6
    with_best(params.replace(loss=None, image_size=64), data)
    assert len(quick) == 12, "a search that was made for other parameters is not trusted"


def test_a_real_trial_trains(data, params):
    table = search(data, params.replace(tuning_subset=None))
    assert table["val_miou"].between(0, 1).all() and table["val_miou"].nunique() > 1 and (table["seconds"] > 0).all()


def test_the_range_test_rises_to_its_end_or_to_divergence(data, params):
    curve = range_test(data, params, steps=20)
    assert curve["learning_rate"].is_monotonic_increasing and curve["learning_rate"].iloc[0] == pytest.approx(1e-6)
    assert len(curve) <= 20 and curve["loss"].notna().all()


def planned(params, epochs: int) -> list[float]:
    """The learning rate of each epoch, from the scheduler itself."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], params.learning_rate)
    scheduler = make_scheduler(optimizer, params, steps=1)
    rates = []
    for _ in range(epochs):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def test_step_lr_cannot_act_within_five_epochs(params):
    none, step = (planned(params.replace(scheduler=scheduler), 12) for scheduler in ("none", "step"))
    assert none[:5] == step[:5] and step[5] == none[5] / 2 and step[10] == none[10] / 4
