"""The mask browser: what is composed, what each control does, and the widget in a real browser."""

import base64
import io
import itertools
import json
import re
import time
import urllib.request

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SCREENSHOTS
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient
from PIL import Image

from carvana_course.browser import MaskBrowser, layers
from carvana_course.browser.ordering import arrange, find_cars
from carvana_course.show import pictures
from carvana_lib import metrics

rng = np.random.default_rng(0)


def car(shape=(32, 48), shift=0):
    """(photo, mask, probability): noise, a rectangle, and the rectangle moved to the right as its soft prediction."""
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 4 : 3 * shape[0] // 4, shape[1] // 4 : 3 * shape[1] // 4] = 1
    probability = cv2.GaussianBlur(np.roll(mask, shift, axis=1).astype(np.float32), (5, 5), 1)
    return photo, mask, probability


# Pictures


def test_masks_are_tinted_like_everywhere_in_the_course():
    photo, mask, probability = car(shift=5)
    for opacity in (0.0, 0.3, 1.0):
        expected = pictures.overlay(photo, mask, layers.COLORS["true"], opacity)
        assert (layers.compose(photo, mask, probability, layers.TRUE, opacity) == expected).all()
    for threshold in (0.1, 0.5, 0.9):
        expected = pictures.overlay(photo, probability >= threshold, layers.COLORS["predicted"], 0.5)
        assert (layers.compose(photo, mask, probability, layers.PREDICTED, 0.5, threshold) == expected).all()


def test_the_photo_stays_as_it_is():
    photo, mask, probability = car()
    assert (layers.compose(photo, mask, probability, layers.PHOTO) == photo).all()
    pictures = [layers.compose(photo, mask, probability, layer).tobytes() for layer in layers.LAYERS]
    assert len(set(pictures)) == len(layers.LAYERS)  # no layer is another's twin


def test_the_error_map_is_that_of_the_course():
    photo, mask, probability = car(shift=5)
    for threshold in (0.2, 0.8):
        expected = pictures.error_map(photo, mask, probability >= threshold).astype(int)
        found = layers.compose(photo, mask, probability, layers.ERRORS, threshold=threshold)
        assert np.abs(found - expected).max() <= 1  # its grey is rounded before the tint


def test_the_heat_map_shows_the_probability():
    photo, mask, probability = car(shift=5)
    assert (layers.compose(photo, mask, probability, layers.HEAT, opacity=0) == photo).all()
    full = layers.compose(photo, mask, probability, layers.HEAT, opacity=1)
    assert (full == layers.HEAT_COLORS[(255 * probability).round().astype(int), 0]).all()


def test_the_cut_out_keeps_the_car_and_changes_the_rest():
    photo, mask, probability = car(shift=5)
    green = np.full((2, 2, 3), (0, 200, 0), np.uint8)
    found = layers.compose(photo, mask, None, layers.CUT_OUT, background=green)
    assert (found[mask == 1] == photo[mask == 1]).all() and (found[mask == 0] == (0, 200, 0)).all()
    found = layers.compose(photo, mask, probability, layers.CUT_OUT, threshold=0.7)
    assert (found[probability >= 0.7] == photo[probability >= 0.7]).all()
    assert (layers.STUDIO[:, :, 0].min() <= found[probability < 0.7]).all()


def test_contours_lie_on_the_outline():
    photo, mask, _ = car((64, 96))
    changed = (layers.compose(photo, mask, None, layers.CONTOURS) != photo).any(-1)
    near = cv2.dilate(mask, np.ones((7, 7))) - cv2.erode(mask, np.ones((7, 7)))
    assert changed.any() and not (changed & (near == 0)).any()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.sampled_from(layers.LAYERS),
    st.booleans(), st.booleans(), st.floats(0, 1), st.floats(0, 1), st.integers(0, 9),
)  # fmt: skip
def test_any_sizes_and_any_masks_compose(height, width, tall, wide, layer, has_mask, has_probability, o, t, seed):
    draw = np.random.default_rng(seed)
    photo = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = draw.integers(0, 2, (tall, wide), dtype=np.uint8) if has_mask else None
    if has_mask and seed % 3 == 0:
        mask[:] = 0
    probability = draw.random((wide, tall), dtype=np.float32) if has_probability else None
    before = photo.copy()
    picture = layers.compose(photo, mask, probability, layer, o, t)
    assert picture.shape == photo.shape and picture.dtype == np.uint8 and (photo == before).all()
    assert layers.encode_jpeg(picture)[:2] == b"\xff\xd8"
    score = layers.mask_score(mask, probability, t)
    assert score is None if not (has_mask and has_probability) else 0 <= score[0] <= score[1] <= 1
    if layer not in layers.available(has_mask, has_probability):
        assert (picture == photo).all()


def test_empty_masks():
    photo, mask, _ = car()
    nothing = np.zeros_like(mask)
    for layer in (layers.TRUE, layers.PREDICTED, layers.CONTOURS):
        assert (layers.compose(photo, nothing, nothing.astype(np.float32), layer) == photo).all()
    assert layers.mask_score(nothing, nothing.astype(np.float32)) == (1, 1)
    assert layers.mask_score(mask, nothing.astype(np.float32)) == (0, 0)


def test_scores_are_those_of_the_metrics():
    _, mask, probability = car(shift=7)
    for threshold in (0.2, 0.5, 0.8):
        said, truth = probability >= threshold, mask > 0
        counts = (said & truth).sum(), (said & ~truth).sum(), (~said & truth).sum()
        expected = float(metrics.iou(*counts)), float(metrics.dice(*counts))
        assert layers.mask_score(mask, probability, threshold) == pytest.approx(expected)


def test_bytes_and_floats_agree_at_one_half():
    exact = np.array([[0.0, 0.25, 0.4981, 0.5, 0.502, 1.0]], np.float32)
    stored = pictures.as_probability((exact * 255).round().astype(np.uint8))
    assert ((stored >= 0.5) == (exact >= 0.5)).all()


def test_wrong_arrays_are_explained():
    with pytest.raises(ValueError, match=r"sigmoid"):
        pictures.as_probability(np.array([[-3.0, 4.0]]))
    with pytest.raises(ValueError, match=r"sigmoid"):
        pictures.as_probability(np.array([[np.nan, 0.5]]))
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8, this one is \(3, 8, 8\) float64"):
        pictures.as_photo(np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match=r"mask must be \(H, W\)"):
        pictures.as_mask(np.zeros((4, 4, 4)))
    with pytest.raises(ValueError, match="unknown layer 'mist'"):
        layers.compose(*car(), layer="mist")
    assert pictures.as_photo(np.zeros((5, 4), np.uint8)).shape == (5, 4, 3)
    assert pictures.as_probability(np.zeros((1, 5, 4))).shape == pictures.as_mask(np.zeros((5, 4, 1))).shape == (5, 4)


# The order of the pictures


def make_table(cars=3, views=4):
    rows = [
        {"image_id": f"car{c}_{v:02d}", "car_id": f"car{c}", "view": v, "make": f"Make{c % 2}", "model": f"M{c}",
         "iou": round(0.5 + 0.4 * ((7 * c + 3 * v) % 10) / 10, 3), "fp": (5 * c + v) % 7}
        for c in range(cars) for v in range(1, views + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_sorting_and_filtering():
    table = make_table()
    table.loc[3, "iou"] = np.nan
    order = arrange(table, "iou")
    assert table["iou"][order].dropna().is_monotonic_increasing and order[-1] == 3
    assert table["fp"][arrange(table, "fp", largest_first=True)].is_monotonic_decreasing
    assert table["make"][arrange(table, "make")].is_monotonic_increasing
    assert (arrange(table) == np.arange(12)).all()
    assert set(table["view"][arrange(table, view=2)]) == {2} and set(table["make"][arrange(table, make="Make1")]) == {
        "Make1"
    }
    below = arrange(table, iou_below=0.7)
    assert (table["iou"][below] < 0.7).all() and len(below) == (table["iou"] < 0.7).sum()
    assert arrange(table, view=2, make="Make1", iou_below=0.1).size == 0


# The widget, driven from Python as the page would drive it


@pytest.fixture
def browser(tmp_path):
    table = make_table()
    photos = rng.integers(0, 256, (12, 24, 36, 3), dtype=np.uint8)
    masks, probabilities = zip(*[car((24, 36), shift=i)[1:] for i in range(12)], strict=True)

    def probability(row):
        return None if row["image_id"] == "car1_02" else probabilities[row.name]

    browser = MaskBrowser(table, photos, np.stack(masks), probability, review=tmp_path / "marks" / "review.csv")
    assert browser.widget
    return browser


def seen(browser, i=0):
    """The shown picture as an array."""
    jpeg = browser.controls.viewer.shown["pictures"][i]["jpeg"]
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)


def said(browser) -> str:
    """The title."""
    return browser.controls.viewer.shown["title"]


def is_showing(browser, position, layer, opacity=0.5, threshold=0.5, i=0):
    assert browser.position == position and browser.table["image_id"][position] in said(browser)
    picture = browser.controls.viewer.shown["pictures"][i]
    assert picture["layer"] == layer and bool(picture["outlines"]) == (layer == layers.CONTOURS)
    if layer == layers.CONTOURS:  # lines of the page over the photo
        layer = layers.PHOTO
    expected = browser.compose(position, layer, opacity, threshold)
    assert np.abs(seen(browser, i) - layers_jpeg(expected)).max() == 0


def layers_jpeg(picture):
    return np.asarray(Image.open(io.BytesIO(layers.encode_jpeg(picture)))).astype(int)


def test_every_control_changes_the_picture(browser):
    c = browser.controls
    is_showing(browser, 0, layers.ERRORS)
    c.next.click()
    is_showing(browser, 1, layers.ERRORS)
    c.previous.click()
    c.previous.click()
    is_showing(browser, 11, layers.ERRORS)  # around the end
    c.number.value = 5
    is_showing(browser, 4, layers.ERRORS)
    c.view_slider.value = 6
    is_showing(browser, 6, layers.ERRORS)
    c.view.value = 7
    is_showing(browser, 7, layers.ERRORS)
    c.play.value = 0  # the spin comes round
    is_showing(browser, 4, layers.ERRORS)
    assert (c.number.value, c.view_slider.value, c.view.value, c.play.max) == (5, 4, 4, 3)
    for layer in browser.layers:
        c.layer.value = layer
        is_showing(browser, 4, layer)
        assert c.opacity.disabled == (layer not in (layers.TRUE, layers.PREDICTED, layers.HEAT))
    c.layer.value, c.opacity.value = layers.HEAT, 0.8
    is_showing(browser, 4, layers.HEAT, 0.8)
    c.layer.value, c.threshold.value = layers.PREDICTED, 0.85
    is_showing(browser, 4, layers.PREDICTED, 0.8, 0.85)
    c.beside.value = layers.PHOTO
    is_showing(browser, 4, layers.PREDICTED, 0.8, 0.85)
    is_showing(browser, 4, layers.PHOTO, 0.8, 0.85, i=1)
    c.beside.value = "none"
    assert len(c.viewer.shown["pictures"]) == 1


def test_search_sort_and_filter(browser):
    c = browser.controls
    c.view_slider.value = 2
    c.car.value = "m2"
    assert browser.position == 10 and ">1 of 1<" in c.found.value  # car2, and the same view
    c.car.value = "Rolls"
    assert browser.position == 10 and "no car with &#x27;Rolls&#x27;" in c.found.value and c.next_hit.disabled
    c.car.value = "make0"
    assert browser.position == 2 and ">1 of 2<" in c.found.value
    c.next_hit.click()
    assert browser.position == 10 and ">2 of 2<" in c.found.value
    browser.hear("again", None)
    assert browser.position == 2 and ">1 of 2<" in c.found.value
    c.car.value = ""
    assert browser.position == 2 and "><" in c.found.value and c.next_hit.disabled
    c.sort.value = "iou"
    assert browser.position == browser.table["iou"].idxmin() and c.number.value == 1 and not c.largest.value
    c.sort.value = "fp"
    assert browser.position == browser.table["fp"].idxmax() and c.largest.value
    c.only_view.value = 3
    assert c.count.value == "of 3" and [label for label, _ in c.view_slider.options] == ["3"]
    c.only_make.value, c.below.value = "Make1", 0.0
    assert browser.position is None and "no picture passes" in said(browser)
    assert c.viewer.shown["pictures"][0]["jpeg"] is None and c.viewer.shown["strip"] == []
    buttons = (c.previous, c.next, c.spin, c.mark, c.note, c.accept, c.correct)
    assert all(control.disabled for control in buttons)
    c.next.click()
    browser.mark()
    for kind in ("step", "turn", "go", "layer", "mark", "spin", "larger"):
        browser.hear(kind, 1)
    assert browser.position is None and not browser.marks and not c.spin.value
    c.below.value, c.only_view.value, c.only_make.value = 1, "all", "all"
    assert c.count.value == "of 12" and c.viewer.shown["pictures"][0]["jpeg"]
    assert not any(control.disabled for control in buttons)


def test_the_title_says_what_is_known_and_what_is_missing(browser):
    c = browser.controls
    iou, dice = browser.score(0, 0.5)
    assert said(browser) == f"car0_01 · view 1 · Make0 M0 · IoU {iou:.4f} · Dice {dice:.4f}"
    c.threshold.value = 0.9
    assert f"IoU {browser.score(0, 0.9)[0]:.4f}" in said(browser) and browser.score(0, 0.9) != (iou, dice)
    browser.show(5)
    assert "car1_02" in said(browser) and "no prediction" in said(browser) and "IoU" not in said(browser)


def test_marks_are_kept_exported_and_found_again(browser):
    c = browser.controls
    c.mark.value = True
    c.next.click()
    assert not c.mark.value
    c.note.value = "mirror, or is it a wing? <b>"
    assert c.mark.value and browser.marks == {"car0_01": "", "car0_02": "mirror, or is it a wing? <b>"}
    c.save.click()
    saved = pd.read_csv(browser.review, keep_default_na=False)
    assert saved["image_id"].tolist() == ["car0_01", "car0_02"] and saved["note"][1].startswith("mirror, or")
    assert {"view", "iou"} <= set(saved)
    again = MaskBrowser(browser.table, browser.sources["photo"], review=browser.review)
    assert again.marks == browser.marks and again.widget and again.controls.mark.value
    again.controls.mark.value = False
    assert "car0_01" not in again.marks


def test_marks_that_cannot_be_written_are_told(browser, tmp_path):
    (tmp_path / "file").write_text("")
    browser.review = tmp_path / "file" / "review.csv"
    browser.controls.save.click()
    assert "cannot write" in browser.controls.status.value
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match="image_id and note"):
        MaskBrowser(browser.table, browser.sources["photo"], review=tmp_path / "other.csv")


@pytest.mark.parametrize("content", ["", "\n", "image_id,note\n"])
def test_an_empty_file_of_marks_is_no_marks(browser, content, tmp_path):
    (tmp_path / "empty.csv").write_text(content)
    assert MaskBrowser(browser.table, browser.sources["photo"], review=tmp_path / "empty.csv").marks == {}


def test_a_broken_file_is_told_and_passed(tmp_path):
    def photo(row):
        if row["view"] == 2:
            raise OSError("<i>truncated</i>")
        return np.zeros((8, 9, 3), np.uint8)

    browser = MaskBrowser(make_table(), photo, review=tmp_path / "r.csv")
    assert browser.widget and browser.strip().data
    browser.controls.next.click()
    assert "cannot be shown: <i>truncated" in said(browser)
    browser.controls.next.click()
    assert "car0_03" in said(browser) and seen(browser).shape == (8, 9, 3)


def test_text_from_the_table_never_becomes_html(tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    table = pd.DataFrame({"image_id": [evil], "make": [evil], "model": [evil], "iou": [0.5], "dice": [0.6]})
    browser = MaskBrowser(table, np.zeros((1, 8, 8, 3), np.uint8), review=tmp_path / evil.replace("/", ""))
    assert browser.widget
    browser.controls.mark.value = True
    browser.controls.save.click()
    for control in vars(browser.controls).values():
        if type(control).__name__ == "HTML":
            assert "<img" not in control.value
    assert "IoU 0.5000" in said(browser)


def test_arrays_are_found_by_the_column_row(tmp_path):
    table = make_table().assign(row=lambda t: t.index + 3).iloc[[4, 2]]
    photos = np.stack([np.full((8, 8, 3), i, np.uint8) for i in range(15)])
    browser = MaskBrowser(table, photos, review=tmp_path / "r.csv")
    assert [browser.load(i)[0].max() for i in range(2)] == [7, 5]
    with pytest.raises(ValueError, match="photo has 5 pictures, but the table's rows go up to 7"):
        MaskBrowser(table, photos[:5])


# What is done to a table before it is shown, and the pictures, numbered from 0, that its rows then mean; None: refused
PAIRINGS = {
    "as it was": (lambda t: t, list(range(12))),
    "filtered": (lambda t: t[t["view"] == 3], [2, 6, 10]),
    "sorted": (lambda t: t.sort_values("view", kind="stable"), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]),
    "shuffled": (lambda t: t.sample(frac=1, random_state=0), [6, 11, 4, 10, 2, 8, 1, 7, 9, 3, 0, 5]),
    "one row": (lambda t: t.iloc[[5]], [5]),
    "another type of index": (
        lambda t: t.iloc[::-1].set_axis(np.arange(11, -1, -1, np.uint8)),
        list(range(11, -1, -1)),
    ),
    "a column row": (lambda t: t.assign(row=11 - t.index).set_index(t["view"].to_numpy()), list(range(11, -1, -1))),
    "row after a merge": (lambda t: t.assign(row=t.index.astype(float)).iloc[[4]], [4]),
    "the same row twice": (lambda t: t.assign(row=t.index).iloc[[4, 4]], [4, 4]),
    "head": (lambda t: t.head(5), None),
    "filtered, a new index": (lambda t: t[t["view"] == 3].reset_index(drop=True), None),
    "sorted, the old index a column": (lambda t: t.sort_values("view").reset_index(), None),
    "put together of two": (lambda t: pd.concat([t.head(6), t.head(6)]), None),
    "named by id": (lambda t: t.set_index("image_id", drop=False), None),
    "two levels": (lambda t: t.set_index(["car_id", "view"], drop=False), None),
    "negative": (lambda t: t.set_axis(range(-1, 11)), None),
    "halves": (lambda t: t.set_axis(np.arange(12) / 2), None),
    "beyond the arrays": (lambda t: t.set_axis(range(1, 13)), None),
    "row of text": (lambda t: t.assign(row=t.index.astype(str)), None),
    "row with a gap": (lambda t: t.assign(row=t.index.where(t.index != 3)), None),
    "row with another gap": (lambda t: t.assign(row=pd.array([None, *range(11)], dtype="Int64")), None),
    "row below 0": (lambda t: t.assign(row=t.index - 1), None),
}


@pytest.mark.parametrize("name", PAIRINGS)
def test_rows_keep_their_pictures(name, tmp_path):
    change, expected = PAIRINGS[name]
    table = change(make_table())
    photos = np.stack([np.full((8, 8, 3), i, np.uint8) for i in range(12)])
    if expected is None:
        with pytest.raises(ValueError, match=r"column row|go up to 12; give the table a column row"):
            MaskBrowser(table, photos)
        MaskBrowser(table, lambda row: photos[0], review=tmp_path / "r.csv")  # a function needs no number
        return
    browser = MaskBrowser(table, photos, review=tmp_path / "r.csv")
    assert [browser.load(i)[0].max() for i in range(len(table))] == expected
    assert browser.table["image_id"].tolist() == table["image_id"].tolist()


def test_a_function_gets_the_row_by_its_label(tmp_path):
    table = make_table()
    shown = table[table["view"] == 3]
    photos = np.stack([np.full((8, 8, 3), i, np.uint8) for i in range(12)])
    browser = MaskBrowser(shown, lambda row: photos[row.name], review=tmp_path / "r.csv")
    assert [browser.load(i)[0].max() for i in range(3)] == [2, 6, 10]


def test_wrong_calls_are_explained():
    photos = np.zeros((12, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="0 rows"):
        MaskBrowser(make_table().head(0), photos)
    with pytest.raises(ValueError, match="unknown layer 'heat map'"):
        MaskBrowser(make_table(), photos, layer=layers.HEAT)
    with pytest.raises(ValueError, match="cannot sort by 'loss'"):
        MaskBrowser(make_table(), photos, sort="loss")


def test_memory_is_bounded_and_neighbours_are_there_already(browser):
    for future in browser.ahead.futures:
        future.result()
    before = browser.cached_jpeg.cache_info()
    browser.controls.next.click()
    after = browser.cached_jpeg.cache_info()
    assert after.hits > before.hits
    for _ in range(200):
        browser.controls.threshold.value = round(rng.random(), 2)
        browser.controls.next.click()
    assert browser.cached_jpeg.cache_info().currsize <= 64 and browser.cached_load.cache_info().currsize <= 6


def test_five_thousand_rows_open_quickly(tmp_path):
    table, photo = make_table(cars=320, views=16), np.zeros((32, 48, 3), np.uint8)
    start = time.perf_counter()
    browser = MaskBrowser(table, lambda row: photo, sort="iou", review=tmp_path / "r.csv")
    assert browser.widget and time.perf_counter() - start < 5  # benchmarks/browser.py measures it: far below a second


def test_without_a_reader_it_is_a_small_strip(browser, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    fresh = MaskBrowser(
        browser.table, browser.sources["photo"], browser.sources["mask"], browser.sources["probability"]
    )
    bundle, again = fresh._repr_mimebundle_()[0], fresh._repr_mimebundle_()[0]
    assert bundle == again and set(bundle) == {"text/plain", "image/jpeg"} and fresh.controls is None
    assert bundle["text/plain"] == "MaskBrowser of 12 pictures"
    strip = Image.open(io.BytesIO(base64.b64decode(bundle["image/jpeg"])))
    assert strip.width > 600 and len(bundle["image/jpeg"]) < 300_000
    with pytest.raises(NotImplementedError):  # by which IPython goes on to the bundle
        fresh._ipython_display_()


def test_a_headless_notebook_gets_the_strip_alone(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    source = """
import numpy as np
import pandas as pd
from carvana_course.browser import MaskBrowser
browser = MaskBrowser(pd.DataFrame({"image_id": ["a"]}), np.zeros((1, 8, 8, 3), np.uint8))
display(browser)
browser
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"]
    assert all(set(output.data) == {"text/plain", "image/jpeg"} for output in outputs)


# The widget in JupyterLab, in Chromium

PICTURE = "img.carvana-picture"
EVIL = "<img src=x onerror=window.hacked=1>"
CELL = f"""
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
from carvana_lib import pairs, reading
from carvana_course.browser import MaskBrowser

folder = Path({str(ROOT / "sample")!r})
table = pairs.find_pairs(folder).head(48)
metadata = pd.read_csv(folder / "metadata.csv", dtype=str).rename(columns={{"id": "car_id"}})
table = table.merge(metadata, on="car_id", how="left")
table.loc[table["car_id"] == table["car_id"][32], ["make", "model"]] = {EVIL!r}

def photo(row):
    return reading.read_photo(folder / row["image"])

def mask(row):
    return reading.read_mask(folder / row["mask"])

def probability(row):
    if row.name == 47:
        return None
    moved = np.roll(mask(row), (2 + row["view"] // 2, row["view"]), axis=(0, 1)).astype(np.float32)
    return cv2.GaussianBlur(moved, (0, 0), 5)

table["iou"] = np.linspace(0.95, 0.55, 48).round(3)
browser = MaskBrowser(table, photo, mask, probability, review="marks/review.csv",
                      original=lambda row: cv2.resize(photo(row), None, fx=2, fy=2))
"""


def run_notebook(page, address: str, seconds: float = 120):
    """Open a notebook, run all its cells, and return the place of its mask browser once it is there."""
    page.set_default_timeout(seconds * 1000)
    page.goto(address)
    page.locator(".jp-CodeCell").first.wait_for()
    page.get_by_text("| Idle").wait_for()  # the status bar: before, cells would not run
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    widget = page.locator(".widget-vbox", has=page.get_by_role("button", name="save marks")).last
    widget.locator(PICTURE).first.wait_for()
    widget.scroll_into_view_if_needed()
    return widget


@pytest.fixture(scope="module")
def page(chromium, lab):
    """The page with a small notebook that has been run."""
    address, folder = lab
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL + "browser")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "browser.ipynb")
    page = chromium.new_page(viewport={"width": 1500, "height": 1000})
    page.widget = run_notebook(page, address("browser.ipynb"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The same browser in this process, to say what the page should show."""
    namespace = {}
    exec(CELL, namespace)
    return namespace["browser"]


def pixels(widget, i: int = 0) -> np.ndarray:
    """(H, W, 3) of the picture that the page shows, at its own size."""
    url = (
        widget.locator(PICTURE)
        .nth(i)
        .evaluate(
            """async image => {
            for (let left = 100; ; left--) {  // the kernel may replace the picture while it is decoded
                try { await image.decode(); break; }
                catch (error) { if (!left) throw error; await new Promise(again => setTimeout(again, 20)); }
            }
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext('2d').drawImage(image, 0, 0);
            return canvas.toDataURL('image/png');
        }"""
        )
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")).astype(int)


def wait_for(condition, what: str, seconds: float = 60):
    """Wait until `condition()` holds; the page and the kernel need some milliseconds to agree."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


def shows(page, expected, i: int = 0):
    """Wait until the page shows a picture within JPEG's error of the expected array."""

    def same():
        try:
            found = pixels(page.widget, i)
        except Exception:  # replaced while it was read
            return False
        return found.shape == expected.shape and np.abs(found - expected).mean() < 4

    wait_for(same, "the expected picture")


def title(page) -> str:
    return page.widget.locator("b[role=status]").inner_text()


def screenshot(page, name: str):
    SCREENSHOTS.mkdir(exist_ok=True)
    page.mouse.move(1, 1)
    page.widget.screenshot(path=SCREENSHOTS / f"{name}.png")


def control(page, label: str):
    return page.widget.get_by_label(label, exact=True)


def test_jupyterlab_shows_the_first_picture(page, model):
    shows(page, model.compose(0, layers.ERRORS, 0.5, 0.5))
    assert title(page) == model.title(0, 0.5) and "IoU 0." in title(page)
    screenshot(page, "error_map")


def test_the_view_slider_turns_the_car(page, model):
    handle = page.widget.locator(".noUi-handle").nth(1)
    for step in (1, 2, 3):
        handle.press("ArrowRight")
        shows(page, model.compose(step, layers.ERRORS, 0.5, 0.5))
    assert "view 4" in title(page) and control(page, "picture").input_value() == "4"
    control(page, "view").select_option("1")
    shows(page, model.compose(0, layers.ERRORS, 0.5, 0.5))


def test_spin_turns_it_round_and_stops(page, model):
    button, views = page.widget.get_by_role("button", name="spin"), set()
    button.press("Space")
    wait_for(lambda: views.add(title(page).split(" · ")[1]) or len(views) >= 6, "six views")
    button.press("Space")
    time.sleep(0.5)
    stopped = title(page)
    time.sleep(0.6)
    assert title(page) == stopped
    control(page, "view").select_option("1")
    wait_for(lambda: "view 1 " in title(page), "view 1")


def test_layers_opacity_and_threshold(page, model):
    for layer in layers.LAYERS:
        control(page, "layer").select_option(layer)
        shows(page, model.compose(0, layer, 0.5, 0.5))
        screenshot(page, layer.replace(" ", "_"))
    control(page, "layer").select_option(layers.PREDICTED)
    before = title(page)
    for threshold in ("0.2", "0.85"):
        control(page, "threshold").fill(threshold)
        control(page, "threshold").press("Enter")
        shows(page, model.compose(0, layers.PREDICTED, 0.5, float(threshold)))
        wait_for(lambda t=threshold: title(page) == model.title(0, float(t)), "the IoU at that threshold")
    assert title(page) != before
    handle = page.widget.locator(".noUi-handle").nth(3)
    handle.press("ArrowLeft")
    wait_for(lambda: title(page) == model.title(0, 0.84), "the slider's threshold")
    control(page, "opacity").fill("0.9")
    control(page, "opacity").press("Enter")
    shows(page, model.compose(0, layers.PREDICTED, 0.9, 0.84))
    control(page, "threshold").fill("0.5")
    control(page, "opacity").fill("0.5")
    control(page, "opacity").press("Enter")
    shows(page, model.compose(0, layers.PREDICTED, 0.5, 0.5))


def test_two_layers_side_by_side(page, model):
    control(page, "layer").select_option(layers.CONTOURS)
    control(page, "beside it").select_option(layers.HEAT)
    shows(page, model.compose(0, layers.CONTOURS, 0.5, 0.5))
    shows(page, model.compose(0, layers.HEAT, 0.5, 0.5), i=1)
    screenshot(page, "side_by_side")
    control(page, "beside it").select_option("none")
    wait_for(lambda: not page.widget.locator(PICTURE).nth(1).is_visible(), "one picture")


def button(page, name: str):
    """The button that says just this, beside an icon."""
    return page.widget.locator("button", has_text=re.compile(rf"^\s*{name}\s*$"))


def press(page, keys: str):
    for key in keys.split():
        page.keyboard.press(key)


def cells(page) -> tuple:
    """What the notebook is made of, and whether its browser still stands there."""
    counts = [page.locator(kind).count() for kind in (".jp-Cell", ".jp-CodeCell", ".jp-MarkdownCell", ".jp-RawCell")]
    return *counts, page.locator(".carvana-viewer").is_visible(), page.locator(".jp-mod-editMode").count()


def first_picture(page, layer=layers.ERRORS):
    """Back to how the browser began."""
    control(page, "layer").select_option(layer)
    control(page, "beside it").select_option("none")
    control(page, "picture").fill("1")
    control(page, "picture").press("Enter")
    wait_for(lambda: "view 1 " in title(page) and frames(page) == [layer], "the first picture")


def frames(page) -> list[str]:
    """The layers that are shown, from left to right, as their captions say."""
    shown = page.widget.locator("figcaption").all()
    return [caption.get_attribute("title").split(" · ")[0] for caption in shown if caption.is_visible()]


def test_keys_do_what_the_help_line_says_and_none_reaches_jupyterlab(page, model):
    first_picture(page)
    before = cells(page)
    assert before == (1, 1, 0, 0, True, 0)
    page.widget.locator(PICTURE).first.click()
    assert "m mark" in page.widget.inner_text() and page.evaluate("document.activeElement.role") == "application"
    for key, position in (("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowDown", 1), ("ArrowUp", 0), ("n", 1), ("p", 0)):
        page.keyboard.press(key)
        wait_for(lambda p=position: title(page) == model.title(p, 0.5), f"{key} to step")
    press(page, "n n n n p n")
    shows(page, model.compose(4, layers.ERRORS, 0.5, 0.5))
    wait_for(lambda: control(page, "picture").input_value() == "5", "the kernel to follow")
    for number, layer in enumerate(layers.LAYERS, 1):
        page.keyboard.press(str(number))
        wait_for(lambda wanted=layer: frames(page) == [wanted], f"{number} to choose {layer}")
    mark = control(page, "mark for review")
    page.keyboard.press("m")
    wait_for(mark.is_checked, "the mark")
    page.keyboard.press("m")
    wait_for(lambda: not mark.is_checked(), "no mark")
    said = title(page)
    page.keyboard.press("Space")
    wait_for(lambda: title(page) != said, "the spin")
    page.keyboard.press("Space")
    for focus in (page.widget.locator(PICTURE).first, button(page, "flicker").locator("..")):
        focus.click()  # the notebook is in command mode: each of these would change it
        press(page, "a b x d d z c v y r m m Shift+M Shift+ArrowDown Shift+Enter Control+Enter Alt+Enter o l h 0 0")
        assert cells(page) == before
    button(page, "next").focus()
    press(page, "m m b a x d d y")
    layer = control(page, "layer")
    layer.select_option(layers.TRUE)
    layer.focus()
    page.keyboard.press("ArrowDown")
    wait_for(lambda: frames(page) == [layers.PREDICTED], "the arrow to choose in the list")
    note = control(page, "note")
    note.focus()
    page.keyboard.type("mabxdd 1 np+-0f")
    assert note.input_value() == "mabxdd 1 np+-0f" and cells(page) == before
    note.fill("")
    page.keyboard.press("Escape")
    assert page.widget.evaluate("widget => !widget.contains(document.activeElement)")
    page.widget.locator(PICTURE).first.click()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.title") == "zoom out (-)"
    assert cells(page) == before
    first_picture(page)


def papers(page) -> list[tuple]:
    """Where each picture lies in its frame: width, left and top in frames."""
    return page.widget.evaluate(
        """widget => [...widget.querySelectorAll('.paper')].map(paper => {
            const box = paper.parentElement.getBoundingClientRect(), at = paper.getBoundingClientRect();
            return [at.width / box.width, (at.left - box.left) / box.width, (at.top - box.top) / box.height];
        }).filter(place => !place.some(Number.isNaN))"""
    )


def test_zoom_and_pan_keep_both_sides_in_step(page, model):
    first_picture(page, layers.CONTOURS)
    control(page, "beside it").select_option(layers.ERRORS)
    wait_for(lambda: len(frames(page)) == 2, "two pictures")
    picture = page.widget.locator(PICTURE).first
    picture.click()
    page.keyboard.press("+")
    assert [place[0] for place in papers(page)] == pytest.approx([1.5, 1.5])
    page.keyboard.press("-")
    box = page.widget.locator(".frame").first.bounding_box()
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"]
    page.mouse.move(x, y)
    for _ in range(8):
        page.mouse.wheel(0, -100)
    wait_for(lambda: papers(page)[0][0] > 4, "the wheel")
    left, right = papers(page)
    assert left == pytest.approx(right, abs=1e-3) and left[0] == pytest.approx(1.2**8, rel=0.01)
    assert (0.4 - left[1]) / left[0] == pytest.approx(0.4, abs=0.01)  # the point below the mouse stays there
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=3)
    page.mouse.up()
    after = papers(page)
    assert after[0] == pytest.approx(after[1], abs=1e-3)
    assert after[0][1] - left[1] == pytest.approx(60 / box["width"], abs=0.01)
    assert after[0][2] - left[2] == pytest.approx(40 / box["height"], abs=0.01)
    wait_for(lambda: pixels(page.widget, 1).shape == (640, 960, 3), "the photo's own size")
    screenshot(page, "zoomed")
    page.keyboard.press("n")
    wait_for(lambda: title(page) == model.title(1, 0.5), "the next picture")
    assert papers(page) == after, "the same place of the next picture"
    wait_for(lambda: pixels(page.widget, 1).shape == (640, 960, 3), "the next photo's own size")
    page.keyboard.press("0")
    assert papers(page) == [[1, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("zoom", [0, 2])
def test_contours_are_one_or_two_pixels_wide_at_any_size(page, model, zoom):
    first_picture(page, layers.CONTOURS)
    page.widget.locator(PICTURE).first.click()
    press(page, " ".join(["+"] * zoom) or "0")
    page.wait_for_timeout(300)
    shot = page.widget.locator(".frame").first.screenshot()
    shown = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    widths = []
    for row in shown[::3]:
        orange = (row[:, 0] > 170) & (row[:, 2] < 90) & (row[:, 1] > 90) & (row[:, 1] < 200)
        edges = np.flatnonzero(np.diff(np.r_[0, orange, 0]))
        widths += (edges[1::2] - edges[::2]).tolist()
    assert len(widths) > 20 and 1 <= np.median(widths) <= 2, np.unique(widths, return_counts=True)
    page.keyboard.press("0")


def test_flicker_shows_two_layers_in_one_place(page):
    first_picture(page)
    page.widget.locator(PICTURE).first.click()
    page.keyboard.press("f")
    wait_for(lambda: len(frames(page)) == 2, "a layer to compare with")
    seen = []
    wait_for(lambda: seen.append(frames(page)[0]) or set(seen) == {layers.ERRORS, layers.PHOTO}, "both in one place")
    wait_for(lambda: frames(page)[0] == layers.PHOTO, "the other layer")
    screenshot(page, "flicker")
    flicker = button(page, "flicker")
    assert flicker.get_attribute("aria-pressed") == "true"
    page.keyboard.press("f")
    page.wait_for_timeout(1200)
    assert frames(page) == [layers.ERRORS, layers.PHOTO] and flicker.get_attribute("aria-pressed") == "false"
    page.emulate_media(reduced_motion="reduce")
    page.keyboard.down("f")
    page.wait_for_timeout(1200)
    assert frames(page) == [layers.PHOTO, layers.PHOTO]
    page.keyboard.up("f")
    assert frames(page) == [layers.ERRORS, layers.PHOTO]
    page.emulate_media(reduced_motion="no-preference")


def test_thumbnails_show_the_neighbours(page, model):
    first_picture(page)
    page.wait_for_function("document.querySelectorAll('.strip img').length === 9")
    strip = page.widget.locator(".strip button")
    assert strip.nth(4).get_attribute("aria-current") == "true" and strip.count() == 9
    assert strip.nth(3).get_attribute("aria-label").startswith("picture 48, ")
    screenshot(page, "thumbnails")
    strip.nth(6).click()
    shows(page, model.compose(2, layers.ERRORS, 0.5, 0.5))
    wait_for(lambda: control(page, "picture").input_value() == "3", "the controls")
    page.keyboard.press("ArrowRight")  # the focus did not go with the thumbnail
    shows(page, model.compose(3, layers.ERRORS, 0.5, 0.5))


def places(page) -> list[tuple]:
    """Where the controls stand on the page."""
    buttons = [button(page, name) for name in ("next", "spin", "flicker", "save marks")]
    boxes = [found.bounding_box() for found in (*buttons, control(page, "opacity"), control(page, "only make"))]
    return [(box["x"], box["y"]) for box in boxes]


def test_controls_do_not_jump(page, model):
    first_picture(page)
    before = places(page)
    for layer in layers.LAYERS:
        control(page, "layer").select_option(layer)
        wait_for(lambda wanted=layer: frames(page) == [wanted], layer)
        assert places(page) == before, layer
    for number in ("33", "48", "9"):  # a long title, no prediction
        control(page, "picture").fill(number)
        control(page, "picture").press("Enter")
        wait_for(lambda n=number: title(page) == model.title(int(n) - 1, 0.5), number)
        assert places(page) == before, number
    control(page, "only marked").check()
    wait_for(lambda: "no picture passes" in title(page), "an empty list")
    assert places(page) == before
    for name in ("previous", "next", "spin", "flicker"):
        assert button(page, name).is_disabled(), name
    screenshot(page, "nothing_to_show")
    control(page, "only marked").uncheck()
    wait_for(lambda: title(page) == model.title(0, 0.5), "all pictures")
    assert places(page) == before


def test_it_is_readable_in_the_dark_theme(page):
    def choose_theme(name):
        page.get_by_role("menuitem", name="Settings", exact=True).click()
        page.locator(".lm-Menu-item", has_text="Theme").first.click()
        page.locator(".lm-Menu-item", has_text=name).first.click()

    control(page, "layer").select_option(layers.HEAT)
    choose_theme("JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    colors = """viewer => ['.title', '.keys', '.bar button', '.ticks'].map(
        name => getComputedStyle(viewer.querySelector(name)).color)"""
    page.wait_for_timeout(500)
    screenshot(page, "dark")
    for color in page.locator(".carvana-viewer").evaluate(colors):
        assert sum(map(int, re.findall(r"\d+", color)[:3])) > 400, color
    choose_theme("JupyterLab Light")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'true'")
    first_picture(page)


def test_keyboard_alone_is_enough(page, model):
    control(page, "layer").select_option(layers.ERRORS)
    control(page, "view").select_option("1")
    page.widget.get_by_role("button", name="previous").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    shows(page, model.compose(1, layers.ERRORS, 0.5, 0.5))
    page.keyboard.press("Enter")
    shows(page, model.compose(2, layers.ERRORS, 0.5, 0.5))
    page.keyboard.press("Tab")
    page.keyboard.type("4\n")
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.labels?.[0] || document.activeElement).textContent.trim()"))
    assert {"view", "spin", "layer", "beside it", "threshold", "find car", "sort by", "only view", "only make",
            "IoU below", "mark for review", "note", "save marks"} <= reached  # fmt: skip


def test_search_sort_filter(page, model):
    search = control(page, "find car")
    search.fill(model.table["car_id"][16][:6])
    search.press("Enter")
    wait_for(lambda: model.table["car_id"][16] in title(page), "the second car")
    search.fill("0")
    search.press("Enter")
    status = page.widget.locator(".widget-html span[role=status]").first
    first, second = find_cars(model.table, model.order, "0")
    wait_for(lambda: status.inner_text() == "1 of 2" and first in title(page), "how many there are")
    search.press("Enter")
    wait_for(lambda: status.inner_text() == "2 of 2" and second in title(page), "the next of them")
    button(page, "next hit").click()
    wait_for(lambda: status.inner_text() == "1 of 2" and first in title(page), "the first again")
    search.fill("Rolls")
    search.press("Enter")
    wait_for(lambda: "no car with 'Rolls'" in status.inner_text(), "that there is none")
    search.fill("")
    search.press("Enter")
    control(page, "sort by").select_option("iou")
    wait_for(lambda: title(page) == model.title(47, 0.5) and "no prediction" in title(page), "the worst picture")
    control(page, "only view").select_option("3")
    control(page, "IoU below").fill("0.8")
    control(page, "IoU below").press("Enter")
    worst = [i for i in range(47, -1, -1) if model.table["view"][i] == 3 and model.table["iou"][i] < 0.8]
    wait_for(lambda: title(page) == model.title(worst[0], 0.5), "the worst picture of view 3")
    wait_for(lambda: f"of {len(worst)}" in page.widget.inner_text(), "their number")
    control(page, "IoU below").fill("0")
    control(page, "IoU below").press("Enter")
    wait_for(lambda: "no picture passes" in title(page), "an empty list")
    for label, value in (("only view", "all"), ("sort by", "table order")):
        control(page, label).select_option(value)
    control(page, "IoU below").fill("1")
    control(page, "IoU below").press("Enter")
    wait_for(lambda: title(page) == model.title(0, 0.5), "all pictures")


def test_marks_reach_the_file(page, lab):
    control(page, "mark for review").check()
    control(page, "note").fill("tyre, missed")
    page.widget.get_by_role("button", name="save marks").click()
    wait_for(lambda: "1 marked, saved to" in page.widget.inner_text(), "the file")
    saved = pd.read_csv(lab[1] / "marks" / "review.csv")
    assert saved[["view", "note"]].to_numpy().tolist() == [[1, "tyre, missed"]]


def test_text_cannot_run_in_the_page(page, model):
    control(page, "view").select_option("1")
    search = control(page, "find car")
    search.fill("onerror")
    search.press("Enter")
    wait_for(lambda: EVIL in title(page), "the text as text")
    assert page.evaluate("window.hacked") is None and page.locator("img[src=x]").count() == 0


def test_a_step_is_fast_and_narrow_windows_wrap(page, model):
    control(page, "picture").fill("1")
    control(page, "picture").press("Enter")
    wait_for(lambda: title(page) == model.title(0, 0.5), "the first picture")
    seconds = page.widget.evaluate(
        """async widget => {
            const image = widget.querySelector('img.carvana-picture');
            const next = [...widget.querySelectorAll('button')].find(b => b.textContent.includes('next'));
            const seconds = [];
            for (let i = 0; i < 25; i++) {
                const start = performance.now(), before = image.src;
                next.click();
                while (image.src === before || !image.complete) await new Promise(requestAnimationFrame);
                seconds.push((performance.now() - start) / 1000);
            }
            return seconds;
        }"""
    )
    print(
        f"a step from click to picture: median {1000 * np.median(seconds):.0f} ms, worst {1000 * max(seconds):.0f} ms"
    )
    assert np.median(seconds) < 2  # a machine that is not broken; how fast it is, is a matter for the benchmark
    control(page, "beside it").select_option(layers.PHOTO)
    for width in (1400, 1100, 700):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(500)
        box = page.widget.bounding_box()
        left, right = [frame.bounding_box() for frame in page.widget.locator(".frame").all()]
        assert left["y"] == right["y"] and left["width"] == right["width"] and left["x"] + left["width"] < right["x"]
        for part in page.widget.locator("img.carvana-picture, input, select, button, .noUi-base").all():
            if part.is_visible():
                inner = part.bounding_box()
                assert inner["x"] + inner["width"] <= box["x"] + box["width"] + 4  # margins
        screenshot(page, f"narrow_{width}")
    page.set_viewport_size({"width": 1500, "height": 1000})


QUIZ = """
from carvana_course.exercises import quiz
quiz("leak")
"""
UPLOAD = """
from carvana_course.deployment.upload import PhotoUpload
from carvana_lib.frame import Frame
from carvana_lib.model import UNet
PhotoUpload(UNet(4).eval(), Frame.of(64), photo(table.iloc[0]))
"""


def visible(page, text: str) -> bool:
    return any(found.is_visible() for found in page.get_by_text(text).all())


def pictures_in(page) -> int:
    """How many stills the page shows."""
    return sum(image.is_visible() for image in page.locator(".jp-RenderedImage img").all())


def end_kernels(address: str):
    """Stop the kernels of the server that has this address."""
    server, _, rest = address.partition("/lab/")
    token = rest.partition("?")[2].split("&")[0]
    with urllib.request.urlopen(f"{server}/api/kernels?{token}") as answer:
        kernels = json.load(answer)
    for kernel in kernels:
        request = urllib.request.Request(f"{server}/api/kernels/{kernel['id']}?{token}", method="DELETE")
        urllib.request.urlopen(request).close()


def test_a_saved_notebook_shows_stills_where_its_widgets_were(chromium, lab):
    address, folder = lab
    cells = [nbformat.v4.new_code_cell(source) for source in (CELL + "browser", QUIZ, UPLOAD)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "saved.ipynb")
    page = chromium.new_page(viewport={"width": 1500, "height": 2500})
    run_notebook(page, address("saved.ipynb"))
    button = page.get_by_role("button", name="choose a photo")
    button.wait_for()
    assert pictures_in(page) == 0 and not visible(page, "Answer") and page.get_by_role("radio").count() == 3
    page.keyboard.press("Control+s")
    wait_for(lambda: "widget-view+json" in (folder / "saved.ipynb").read_text(), "the file")
    page.reload()
    button.wait_for()
    wait_for(lambda: pictures_in(page) == 0, "the widgets, for their kernel runs on")
    page.close()

    end_kernels(address("saved.ipynb"))
    saved = nbformat.read(folder / "saved.ipynb", 4)
    saved.cells[0].source += "  # changed by someone else, so that JupyterLab does not trust it"
    nbformat.write(saved, folder / "foreign.ipynb")
    for name in ("saved.ipynb", "foreign.ipynb"):
        page = chromium.new_page(viewport={"width": 1500, "height": 2500})
        page.goto(address(name))
        page.get_by_text("| Idle").wait_for()
        wait_for(lambda p=page: pictures_in(p) == 2 and visible(p, "Answer"), "the stills")
        assert page.locator(".widget-box").count() == 0 and not visible(page, "not found") and not visible(page, "VBox")
        page.close()


@pytest.mark.parametrize("name", ["01_data", "05_evaluation"])
def test_the_notebooks_show_it(chromium, lab, name):
    address, folder = lab
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    small = {"base_channels": 4, "epochs": 1, "image_size": 64, "learning_rate": 1e-3, "loss": '"bce_dice"'}
    for parameter, value in small.items():  # the same cells on a tiny net
        notebook.cells[1].source += f"\n{parameter} = {value}"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / f"{name}.ipynb")
    page = chromium.new_page(viewport={"width": 1500, "height": 1000})
    page.widget = run_notebook(page, address(f"{name}.ipynb"), seconds=300)
    assert pixels(page.widget).std() > 10
    screenshot(page, name)
    for change in ("view", "layer", *(["threshold"] if name.startswith("05") else [])):
        before, said = pixels(page.widget), title(page)
        if change == "view":
            page.widget.locator(".noUi-handle").nth(1).press("ArrowLeft" if "view 16" in said else "ArrowRight")
        elif change == "layer":
            control(page, "layer").select_option(layers.CUT_OUT)
        else:
            control(page, "threshold").fill("0.95")
            control(page, "threshold").press("Enter")
        wait_for(lambda b=before: (pixels(page.widget) != b).any(), f"{change} to change the picture")
        if change != "layer":
            wait_for(lambda s=said: title(page) != s, f"{change} to change the title")
    control(page, "note").fill("look again")
    page.widget.get_by_role("button", name="save marks").click()
    wait_for(lambda: "1 marked, saved to" in page.widget.inner_text(), "the marks")
    page.close()


def test_marks_outside_a_filtered_table_keep_what_was_known_of_them(tmp_path):
    table = pd.DataFrame({"image_id": ["a", "b", "c"], "car_id": ["x", "x", "y"], "iou": [0.1, 0.2, 0.3]})
    photos = np.zeros((3, 8, 8, 3), np.uint8)
    whole = MaskBrowser(table, photos, review=tmp_path / "marks.csv")
    whole.marks = {"a": "odd", "c": ""}
    whole.write_marks()
    part = MaskBrowser(table[table["iou"] > 0.15], photos, review=tmp_path / "marks.csv")
    part.marks["b"] = "too"
    part.write_marks()
    saved = pd.read_csv(tmp_path / "marks.csv").set_index("image_id")
    assert saved["car_id"].to_dict() == {"a": "x", "c": "y", "b": "x"} and saved["iou"].tolist() == [0.1, 0.3, 0.2]


# Brush and eraser in JupyterLab: strokes of a real mouse, to the pixel

DRAW = f"""
from pathlib import Path
import cv2
import numpy as np
import pandas as pd
from carvana_lib import reading
from carvana_course.browser import MaskBrowser

path = next(iter(sorted(Path({str(ROOT / "sample")!r}, "train").iterdir())))
photo = cv2.resize(reading.read_photo(path), (1918, 1280))
mask = np.zeros((1280, 1918), np.uint8)
mask[400:800, 500:1400] = 1
table = pd.DataFrame({{"image_id": ["car_01"]}})
browser = MaskBrowser(table, photo[None], mask[None], corrected="corrected", review="draw.csv", who="ann")
browser
"""


def stroked(mask, points, size, value):
    """What a stroke of the brush from point to point makes of a mask: each pixel whose centre is near enough."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    found = mask.copy()
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((columns - x0) * (x1 - x0) + (rows - y0) * (y1 - y0)) / length2
        along = along.clip(0, 1)
        near = (columns - x0 - along * (x1 - x0)) ** 2 + (rows - y0 - along * (y1 - y0)) ** 2 <= (size / 2) ** 2
        found[near] = value
    return found


def test_a_mask_is_corrected_with_the_mouse(chromium, lab):
    address, folder = lab
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(DRAW)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "draw.ipynb")
    page = chromium.new_page(viewport={"width": 1500, "height": 1000})
    outside = []
    page.on("request", lambda request: outside.append(request.url) if "127.0.0.1" not in request.url else None)
    page.widget = run_notebook(page, address("draw.ipynb"))
    page.widget.get_by_role("button", name="correct").click()
    started = time.perf_counter()
    surface = page.get_by_role("application")
    surface.wait_for()
    page.get_by_text("0 strokes").wait_for()
    print(f"a photo of 1918 x 1280 opens in {time.perf_counter() - started:.2f} s")

    expected = np.zeros((1280, 1918), np.uint8)
    expected[400:800, 500:1400] = 1
    page.get_by_role("slider", name="size").fill("21")

    def stroke(points, size, value):
        """Drag the mouse, and do the same to the expected mask; the page says where its picture is."""
        box = surface.evaluate("canvas => canvas.getBoundingClientRect().toJSON()")
        scale = 1918 / box["width"]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()
        in_photo = [((x - box["left"]) * scale, (y - box["top"]) * scale) for x, y in points]
        return stroked(expected, in_photo, size, value)

    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    x, y = round(box["x"] + 0.2 * box["width"]), round(box["y"] + 0.3 * box["height"])
    expected = stroke([(x, y), (x + 120, y), (x + 200, y + 90)], 21, 1)
    page.keyboard.press("e")
    page.get_by_text("eraser, 21 px · 1 stroke").wait_for()
    expected = stroke([(x + 60, y + 60), (x + 61, y + 150)], 21, 0)
    stroke([(x + 5, y + 200), (x + 300, y + 220)], 21, 0)
    page.keyboard.press("Control+z")
    page.get_by_text("eraser, 21 px · 2 strokes").wait_for()
    page.keyboard.press("b")
    page.keyboard.press("[")
    page.get_by_text("brush, 18 px").wait_for()
    page.get_by_role("button", name="zoom in").click()
    page.get_by_role("button", name="zoom in").click()
    expected = stroke([(x + 50, y + 20), (x + 90, y + 100)], 18, 1)
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "brush.png")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="keep drawing").click()
    page.get_by_role("button", name="save mask").click()
    wait_for(lambda: (folder / "corrected" / "car_01_mask_1.png").exists(), "the mask")
    page.get_by_text("pixels added").wait_for()
    page.widget.locator(PICTURE).first.wait_for()
    saved = cv2.imread(str(folder / "corrected" / "car_01_mask_1.png"), cv2.IMREAD_UNCHANGED)
    assert saved.shape == (1280, 1918) and set(np.unique(saved)) == {0, 255}
    differ = np.count_nonzero((saved > 0) != (expected > 0))
    assert differ <= 2, f"{differ} pixels differ"  # whose centres lie on a stroke's edge, but for rounding
    (row,) = pd.read_csv(folder / "draw.csv").to_dict("records")
    assert (row["action"], row["who"], row["file"]) == ("corrected", "ann", "corrected/car_01_mask_1.png")
    first = np.zeros((1280, 1918), bool)
    first[400:800, 500:1400] = True
    assert (row["added"], row["removed"]) == ((saved > 0)[~first].sum(), (saved == 0)[first].sum())

    page.widget.get_by_role("button", name="correct").click()  # by keyboard alone, and given up
    page.get_by_text("0 strokes").wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.get_by_text("0 strokes").wait_for()  # there is car already
    page.keyboard.press("e")
    page.keyboard.press("Space")
    page.get_by_text("1 stroke").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="discard the strokes").click()
    page.widget.locator(PICTURE).first.wait_for()
    assert len(list((folder / "corrected").iterdir())) == 1 and page.locator(".jp-CodeCell").count() == 1
    assert not outside
    page.close()
