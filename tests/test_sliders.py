"""Chapter 03: its sliders and range tests do what they say, and its sentences say what was measured."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from carvana_course.evidence import results
from carvana_course.exercises.tuning import RANGE_TESTS
from carvana_course.show import loss_plots, pictures, rate_plots
from carvana_course.show.sliders import Slider
from carvana_lib.metrics import iou
from carvana_lib.tuning import GRID

CELLS = {cell["id"]: cell for cell in nbformat.read(ROOT / "notebooks" / "03_tuning.ipynb", 4).cells}


def printed(cell: str) -> str:
    """What a cell of the chapter printed, or showed as plain text."""
    outputs = CELLS[cell].outputs
    return "".join(output.get("text") or output.data["text/plain"] for output in outputs)


def alt(cell: str) -> str:
    """The description of the picture that a cell of the chapter shows."""
    (described,) = [kind["alt"] for output in CELLS[cell].outputs for kind in output.get("metadata", {}).values()]
    return described


def draw(*values):
    """A grey field for each value."""
    return pictures.picture_grid([np.full((8, 8, 3), 20 * value, np.uint8) for value in values], alt=f"<{values}>")


def test_a_slider_draws_each_value_once_and_describes_it():
    asked = []

    def noted(*values):
        asked.append(values)
        return draw(*values)

    slider = Slider("grey", [1, 2, 3], noted, first=2, still=(1, 3))
    assert slider.widget and "&lt;(2,)&gt;." in slider.picture.value and "role='status'" in slider.picture.value
    first = slider.picture.value
    slider.slider.value = 3
    assert "&lt;(3,)&gt;." in slider.picture.value
    slider.slider.value = 2
    assert slider.picture.value == first and asked == [(2,), (3,)], "what was drawn is kept"


def test_where_nobody_can_move_it_a_slider_is_a_still_of_some_values(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    slider = Slider("grey", [1, 2, 3], draw, first=2, still=(1, 3))
    data, metadata = slider._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/jpeg"} and data["text/plain"] == "Slider: grey from 1 to 3"
    assert metadata == {"image/jpeg": {"alt": "<(1, 3)>."}}
    with pytest.raises(NotImplementedError):
        slider._ipython_display_()
    with pytest.raises(ValueError, match="9 is not one of the values"):
        Slider("grey", [1, 2, 3], draw, first=9, still=(1,))


def test_a_range_test_is_read_up_to_where_it_breaks():
    _, steepest, breaks = rate_plots.read_range_test(RANGE_TESTS["A"])
    assert 3e-4 < steepest < 2e-3 and 1e-2 < breaks < 5e-2
    late_luck = RANGE_TESTS["A"].copy()
    late_luck.loc[late_luck.index[-3:], "loss"] = 0.0  # lower than ever, long after it broke
    assert rate_plots.read_range_test(late_luck)[1:] == (steepest, breaks)
    falling = pd.DataFrame({"learning_rate": np.geomspace(1e-6, 1, 61), "loss": np.linspace(0.7, 0.2, 61)})
    assert rate_plots.read_range_test(falling)[2] == 1.0, "it never breaks"
    ends_in_nan = pd.concat([falling, pd.DataFrame({"learning_rate": [2.0], "loss": [np.nan]})], ignore_index=True)
    assert rate_plots.read_range_test(ends_in_nan)[1:] == rate_plots.read_range_test(falling)[1:]
    assert "nan" not in rate_plots.draw_range_test(ends_in_nan).alt


def test_forty_steps_arrive_below_the_border_and_leave_above_it():
    """Across the valley the curvature is 25, so the border is 2 / 25 = 0.08."""
    assert len(rate_plots.descend(0.05)) == 41
    after = {rate: rate_plots.valley_loss(rate_plots.descend(rate)[-1]) for rate in (0.005, 0.05, 0.079, 0.081)}
    start = rate_plots.valley_loss(np.array(rate_plots.START))
    assert after[0.05] < after[0.005] < start and after[0.079] < start < after[0.081]


def test_the_pictures_say_where_carvanas_cars_are():
    fig = loss_plots.loss_curves({"a": ([0.0, 1.0], [1.0, 2.0])}, "share", "loss", "A net", carvana=True)
    assert fig.axes[0].get_title() == "A net" and "Carvana: 9 % to 41 %" in fig.axes[0].get_legend_handles_labels()[1]
    assert fig.alt.startswith("A net: loss over share") and fig.alt.endswith(
        "from 0.09 to 0.41, where Carvana's cars are."
    )


def test_the_formulas_of_chapter_03_give_what_it_prints():
    overlap, dice = map(float, re.findall(r"0[.]\d{3}", printed("03-iou")))
    assert dice == pytest.approx(2 * overlap / (1 + overlap), abs=1e-3), "the one follows from the other"
    assert f"threshold 0.5: IoU {overlap:.3f}" in alt("03-threshold")
    low, middle, high = map(float, re.findall(r"IoU (0[.]\d+)", alt("03-threshold")))
    assert low < middle > high and "the best is in between" in CELLS["03-bce-text"].source
    assert printed("03-dice").endswith(f"was {1 - dice:.3f}\n") and iou(1, 1, 1) == pytest.approx(1 / 3)


def test_the_pulls_of_chapter_03_are_those_it_prints():
    pulls = dict(re.findall(r"^(\w+): (.*)$", printed("03-pulls"), re.M))
    few, half = (re.findall(r"\d+[.]\d+(?= for)", pulls[loss]) for loss in ("bce", "dice"))
    seen = CELLS["03-pulls-seen"].source
    assert few == ["0.016", "0.26"] and "0.016 times as hard" in seen
    assert float(half[0]) == pytest.approx(1, abs=0.05) and "about as hard as all of it" in seen
    assert f"{float(few[1]):.2f} and {float(half[1]):.1f}" in seen


def test_what_chapter_03_says_of_real_photographs_is_what_was_measured():
    seen = CELLS["03-photos-seen"].source
    record = results.results_by_seed("grid-small")[0]
    searched = f"{record['params']['tuning_subset']} of Carvana's {record['metrics']['n_train']} training photos"
    assert searched in CELLS["03-photos-text"].source
    trials = pd.DataFrame(record["grid"]).pivot(index="loss", columns="learning_rate", values="val_miou")
    assert (trials.diff(axis=1).dropna(axis=1) > 0).all(axis=None) and "With either loss" in seen.replace(
        "with", "With"
    )
    assert trials.max().idxmax() == max(GRID["learning_rate"]) == 5e-4 and "the winner is 5e-4, the highest" in seen
    protocol, higher = (results.scores_by_seed(name) for name in ("protocol-small", "rate-small"))
    removed = results.error_removed(protocol, higher).dropna()
    assert (
        len(removed) == 3 and removed.between(0.32, 0.45).all() and "a third or more with each of three seeds" in seen
    )
    winner = results.scores_by_seed("grid-small")[0]
    assert protocol[0] < winner < higher[0] and "is better still" in seen
    assert results.in_percent(removed) in printed("03-photos-rate")
    assert f"the grid's winner {winner:.4f}, 1e-3 {higher[0]:.4f}" in printed("03-photos-rate")
