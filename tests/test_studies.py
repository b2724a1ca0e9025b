"""The studies behind results/*.json run on a tiny set, and the JSONs that are there hold what the page says."""

import numpy as np
import pytest

from carvana_course.evidence import leak, small_cars, validation_gap, wide_grid
from carvana_course.evidence.experiments import Experiment
from carvana_course.evidence.results import RESULTS, leak_gains, study_json, wide_grid_scores
from carvana_course.evidence.studies import STUDIES, run_study
from carvana_lib import ParameterError, RunError
from carvana_lib.data import open_data
from carvana_lib.evaluation import trained


@pytest.fixture
def tiny(params, monkeypatch):
    """Every experiment has the tiny set's parameters."""
    values = params.replace(learning_rate=1e-3, loss="bce_dice", epochs=1).model_dump()
    for name in ("run_name", "seed"):
        values.pop(name)

    def read(path):
        return Experiment(name=path.stem, about="tiny", values=values)

    for module in (leak, small_cars, validation_gap, wide_grid):
        monkeypatch.setattr(module, "read_experiment", read)
    return params


def test_both_splits_are_scored_on_the_same_pictures_and_learn_as_many(tiny, monkeypatch):
    monkeypatch.setattr(leak, "LEAK_CARS", 3)
    monkeypatch.setattr(leak, "LEAK_EPOCHS", 2)
    rows = list(leak.compare_splits(tiny.data_dir))
    assert [row["split"] for row in rows] == ["image", "car"] * 5
    for by_image, by_car in zip(rows[::2], rows[1::2], strict=True):
        assert by_image["by_car"].keys() == by_car["by_car"].keys() and len(by_image["by_car"]) == 3
        assert len(by_image["each_epoch"]) == 2
        assert by_image["miou"] == pytest.approx(np.mean(list(by_image["by_car"].values())))
        assert by_image["miou"] == pytest.approx(by_image["each_epoch"][-1], abs=0.01)


def test_only_the_leaking_net_sees_the_cars_that_are_scored(tiny, monkeypatch):
    seen = []
    fit = leak.fit

    def watched(model, data, rows, scored, params):
        seen.append((set(data.table["car_id"].iloc[rows]), set(data.table["car_id"].iloc[scored]), len(rows)))
        assert set(data.table["view"].iloc[rows] % 2) == {1} and set(data.table["view"].iloc[scored] % 2) == {0}
        return fit(model, data, rows, scored, params)

    monkeypatch.setattr(leak, "fit", watched)
    params = tiny.replace(learning_rate=1e-3, loss="bce", epochs=1)
    list(leak.train_with_leak(open_data(params), params, cars=3, passes=2))
    (leaking, scored, many), (honest, again, as_many) = seen
    assert leaking == scored == again and not honest & scored and many == as_many


def test_the_wide_grid_holds_the_grid_and_goes_on(tiny):
    rows = list(wide_grid.search_wide(tiny.data_dir))
    assert len(rows) == 3 * 2 * len(wide_grid.WIDE["learning_rate"])
    assert set(wide_grid.GRID["learning_rate"]) < set(wide_grid.WIDE["learning_rate"])
    assert all(0 <= row["val_miou"] <= 1 for row in rows)


def test_padded_cars_cover_the_share_and_stay_the_photo():
    photo = np.full((64, 96, 3), 200, np.uint8)
    mask = np.zeros((64, 96), np.uint8)
    mask[16:48, 24:72] = 1
    photo[mask > 0] = (255, 0, 0)
    small, found = small_cars.pad_to_share(photo, mask)
    assert small.shape == photo.shape and found.shape == mask.shape and set(np.unique(found)) == {0, 1}
    assert 0.8 * small_cars.SMALL_SHARE < found.mean() < 1.25 * small_cars.SMALL_SHARE
    assert (small[found > 0][:, 1] < 150).all() and (small[0] == 200).all(), "the edge is drawn out"
    same, untouched = small_cars.pad_to_share(photo, mask, share=0.5)
    assert (same == photo).all() and (untouched == mask).all(), "a photo is never enlarged"


def test_small_cars_are_trained_with_each_loss(tiny, monkeypatch):
    monkeypatch.setattr(small_cars, "SMALL_SEEDS", (0,))
    monkeypatch.setattr(small_cars, "SMALL_RATES", (1e-3,))
    rows = list(small_cars.train_on_small_cars(tiny.data_dir))
    assert [row["loss"] for row in rows] == ["bce", "dice", "bce_dice"] and all(row["by_car"] for row in rows)


def test_figures_of_validation_differ_by_what_is_named(tiny, monkeypatch):
    monkeypatch.setattr(validation_gap, "SIZES_TRIED", ("protocol-small",))
    assert list(validation_gap.compare_figures(tiny.data_dir)) == [], "nothing has been trained"
    values = tiny.replace(learning_rate=1e-3, loss="bce_dice", epochs=1, run_name="protocol-small-seed0")
    trained(open_data(values), values)
    rows = {row["figure"]: row["value"] for row in validation_gap.compare_figures(tiny.data_dir)}
    assert rows["validation, as it is"] == pytest.approx(rows["averaged: per image"])
    assert rows["after epoch 1"] == pytest.approx(rows["validation, as it is"], abs=0.005)
    assert rows["BatchNorm in training mode"] != rows["validation, as it is"]
    assert rows["augmentation left on"] != rows["validation, as it is"]
    again = {row["figure"]: row["value"] for row in validation_gap.compare_figures(tiny.data_dir)}
    assert again == rows, "scoring in training mode leaves the net as it was"


def test_an_unknown_study_is_explained():
    with pytest.raises(ParameterError, match="no study 'lek'; there are diagnoses, fine-tuning, leak"):
        run_study("lek")


def test_the_page_names_the_studies_that_have_not_been_run():
    page = (RESULTS / "README.md").read_text("utf8")
    missing = [name for name in STUDIES if not study_json(name).exists()]
    assert f"Not run yet: {', '.join(f'`{name}`' for name in sorted(missing))}." in page


def test_a_study_without_rows_keeps_what_was_there(monkeypatch, tmp_path):
    monkeypatch.setitem(STUDIES, "leak", lambda folder: iter(()))
    monkeypatch.setattr("carvana_course.evidence.results.RESULTS", tmp_path)
    with pytest.raises(RunError, match="found nothing to score"):
        run_study("leak")
    assert not list(tmp_path.iterdir())


def test_what_is_said_of_leak_and_wide_grid():
    gains = leak_gains()
    assert len(gains) == 5 and set(gains["augment"]) == {"none"}
    assert gains["gain"].min() > 0.02 and gains["gain"].max() < 0.07, "two to six hundredths, with each seed"
    scores = wide_grid_scores()
    winners = scores.groupby("seed").max().idxmax(axis=1)
    assert len(winners) == 3 and set(winners) <= {5e-4, 1e-3}, "the winner is 5e-4 or 1e-3"
