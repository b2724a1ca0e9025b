"""A car of 0.2 % of the picture: the pictures are what they are said to be, and the table says what 03 says."""

import numpy as np

from carvana_course.evidence import rare, results
from carvana_lib.losses import LOSSES
from carvana_lib.runs import read_json


def test_a_far_car_covers_the_share_that_was_asked_for():
    for share in (0.002, 0.02):
        photo = np.full((320, 480, 3), 90, np.uint8)
        mask = np.zeros((320, 480), np.uint8)
        mask[100:220, 120:380] = 1
        photo[mask > 0] = (255, 0, 0)
        street, far = rare.far_away(photo, mask, 3, share)
        assert street.shape == photo.shape and street.dtype == far.dtype == np.uint8
        assert 0.8 * share < far.mean() < 1.25 * share and (street[far > 0][:, 0] > 160).all()
    again, _ = rare.far_away(photo, mask, 3, share)
    other, _ = rare.far_away(photo, mask, 4, share)
    assert (again == street).all() and (other != street).any()
    assert 0.001 < rare.far_example()[1].mean() < 0.003


def test_the_lesson_on_rare_objects_is_what_was_measured():
    record = read_json(results.study_json("rare-object"))
    assert not record["commit"].endswith("-dirty")
    assert {row["loss"] for row in record["rows"]} == set(rare.TRIED) and set(LOSSES) < set(rare.TRIED)
    assert all(len(row["val_miou"]) == rare.EPOCHS for row in record["rows"])
    found = results.rare_object()
    low, high = rare.RATES
    assert list(found.columns) == [low, high] and len(record["rows"]) == found.size * len(rare.RARE_SEEDS)
    assert found.loc["bce"].max() < 0.01, "plain BCE finds nothing"
    assert found.loc["dice", low] < 0.1 < found.loc["bce_dice", low] < found.drop(index=["bce", "dice"])[low].max()
    assert found.drop(index="bce")[high].min() > 0.5, "at the higher rate all others find cars"
