"""Six runs with a fault each: the numbers tell what the exercise says they tell, and can be made again."""

import pytest
from conftest import ROOT

from carvana_course.evidence import diagnoses
from carvana_course.evidence.results import study_json, study_rows
from carvana_course.exercises.diagnosis import CAUSE_OF_RUN, six_runs
from carvana_course.show import histories
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.runs import read_json

RECORD = read_json(study_json("diagnoses"))
RUNS = study_rows("diagnoses").set_index("fault").to_dict("index")


def test_every_cause_has_its_run_and_its_letter():
    assert list(RUNS) == list(diagnoses.RUN_FAULTS)
    assert not RECORD["commit"].endswith("-dirty")
    assert sorted(CAUSE_OF_RUN.values()) == sorted(RUNS)
    curves, table = six_runs()
    assert "".join(curves) == "".join(table["run"]) == "ABCDEF"


def test_two_columns_give_two_faults_away_and_no_other():
    for cause, run in RUNS.items():
        last = run["val_loss"][-1]
        depends_on_neighbours = abs(run["one_at_a_time"] - last) > 1e-4
        assert depends_on_neighbours == (cause == "eval() forgotten"), cause
        new_cars_are_far_worse = run["new_cars"] > 2 * last
        assert new_cars_are_far_worse == (cause == "leak"), cause


def test_the_curves_give_the_others_away():
    for cause, run in RUNS.items():
        turned_up = run["val_loss"][-1] > 1.3 * min(run["val_loss"]) and run["train_loss"][-1] < 0.1
        assert turned_up == (cause == "overfitting"), cause
        assert (max(run["train_loss"]) > 1) == (cause == "learning rate too high"), cause
    early = RUNS["stopped too early"]
    assert early["val_loss"] == sorted(early["val_loss"], reverse=True) and early["val_loss"][-1] > 0.4
    fine = RUNS["nothing wrong"]
    assert max(fine["val_loss"][-1], fine["new_cars"]) < 0.1


def test_a_run_can_be_made_again():
    data = open_data(Params(data_dir=str(ROOT / "sample"), **diagnoses.SMALL))
    again = diagnoses.train_with_fault(data, **diagnoses.RUN_FAULTS["overfitting"] | {"epochs": 1})
    recorded = RUNS["overfitting"]
    assert again["pictures"] == recorded["pictures"] == 16
    assert again["train_loss"] == pytest.approx(recorded["train_loss"][:1], rel=0.02)


@pytest.mark.parametrize("live", [True, False])
def test_the_last_curves_take_the_place_of_those_that_grew(live, monkeypatch):
    cleared = []
    monkeypatch.setattr(histories, "is_live", lambda: live)
    monkeypatch.setattr("IPython.display.clear_output", lambda wait: cleared.append(wait))
    monkeypatch.setattr(histories, "learning_curves", lambda history: history)
    assert histories.final_curves("curves") == "curves" and len(cleared) == int(live)
