"""New masks from the mask browser: their files, who changed what, and a data folder to train on, without a page."""

import errno
import getpass
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_set

from carvana_course.browser import MaskBrowser, correcting, corrections, review, widget
from carvana_lib import RunError, pairs, reading, runs
from carvana_lib.config import Params
from carvana_lib.data import open_data

SHAPE = (32, 48)


class Page:
    """What stands for the page: it opens an editor, draws and sends."""

    def __init__(self, browser):
        self.editor = browser.correcting.editor
        self.heard = []
        self.editor.send = lambda message, buffers=None: self.heard.append((message, buffers))
        self.editor.receive(None, {"kind": "open"}, [])

    def save(self, mask):
        self.editor.receive(None, {"kind": "save"}, [memoryview(np.packbits(mask).tobytes())])
        return self.heard[-1][0]


@pytest.fixture
def browser(tmp_path):
    return make_browser(tmp_path)


def make_browser(folder, **options):
    """Three pictures with masks, and predictions that are 0.8 in a part of them."""
    table = pd.DataFrame({"image_id": ["a_01", "a_02", "b_01"], "mask": [f"train_masks/{i}.gif" for i in "123"]})
    photos = np.random.default_rng(0).integers(0, 256, (3, *SHAPE, 3), dtype=np.uint8)
    masks = np.zeros((3, *SHAPE), np.uint8)
    masks[:, 8:24, 12:36] = 1
    said = np.zeros((3, *SHAPE), np.float32)
    said[:, 10:24, 12:40] = 0.8
    places = {"review": folder / "review.csv", "corrected": folder / "corrected", "who": "ann"}
    browser = MaskBrowser(table, photos, masks, said, **places | options)
    assert browser.widget
    return browser


def rows_of(browser):
    return pd.read_csv(browser.review, keep_default_na=False)


def test_without_a_folder_for_new_masks_nothing_can_be_corrected(tmp_path):
    for folder, is_there in ((None, False), (tmp_path / "corrected", True)):
        browser = make_browser(tmp_path, corrected=folder)
        shown = [child for row in browser.controls.page.children for child in getattr(row, "children", ())]
        for control in (browser.controls.correct, browser.controls.accept):
            assert (control in shown) == is_there


def test_accept_saves_the_prediction_at_the_threshold(browser, tmp_path):
    browser.controls.accept.click()
    assert (reading.read_mask(tmp_path / "corrected" / "a_01_mask_1.png") == browser.load(0)[2].round()).all()
    browser.controls.threshold.value = 0.9
    browser.controls.accept.click()
    assert not reading.read_mask(tmp_path / "corrected" / "a_01_mask_2.png").any()
    found = rows_of(browser)
    assert found[["image_id", "action", "who", "file", "added", "removed"]].to_numpy().tolist() == [
        ["a_01", "accepted", "ann", f"corrected/a_01_mask_{number}.png", 0, 0] for number in (1, 2)
    ]
    assert found["source"].tolist() == ["prediction at threshold 0.50", "prediction at threshold 0.90"]
    assert pd.to_datetime(found["when"]).dt.tz is not None
    assert "new mask a_01_mask_2.png" in browser.controls.viewer.shown["title"]


def test_correct_opens_a_mask_and_saves_what_was_drawn(browser, tmp_path):
    c = browser.controls
    c.spin.value = True
    c.correct.click()
    assert not c.spin.value and c.surface.layout.display == "" and c.rows[1].layout.display == "none"
    page = Page(browser)
    message, (jpeg, bits) = page.heard[0]
    assert (message["width"], message["height"]) == SHAPE[::-1] and jpeg[:2] == b"\xff\xd8"
    drawn = np.unpackbits(np.frombuffer(bits, np.uint8), count=SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    assert (drawn == browser.load(0)[2].round()).all(), "the prediction, where there is one"
    drawn[10, 12:40] = 0
    drawn[0, 0] = 1
    assert page.save(drawn)["kind"] == "saved"
    path = tmp_path / "corrected" / "a_01_mask_1.png"
    assert (reading.read_mask(path) == drawn).all() and set(np.unique(reading.read_mask(path))) == {0, 1}
    assert rows_of(browser)[["action", "added", "removed"]].to_numpy().tolist() == [["corrected", 1, 28]]
    assert c.surface.layout.display == "none" and c.rows[1].layout.display == "flex" and not browser.correcting.editor
    assert "1 pixels added and 28 removed" in c.status.value
    assert c.start.value == "newest correction"


@pytest.mark.parametrize(
    ("start", "source"),
    [("true mask", "train_masks/1.gif"), ("nothing", "nothing"), ("prediction", "prediction at threshold 0.50")],
)
def test_a_correction_starts_from_what_was_chosen(browser, start, source):
    browser.controls.start.value = start
    browser.controls.correct.click()
    page = Page(browser)
    expected = {"true mask": browser.load(0)[1], "nothing": np.zeros(SHAPE), "prediction": browser.load(0)[2].round()}
    assert (page.editor.mask == expected[start]).all()
    page.save(np.ones(SHAPE, np.uint8))
    assert rows_of(browser)["source"].tolist() == [source]
    browser.controls.correct.click()
    assert browser.correcting.editor.mask.all(), "the newest correction is the next start"
    assert Page(browser).save(np.zeros(SHAPE, np.uint8))["kind"] == "saved"
    assert rows_of(browser)["source"].tolist() == [source, "a_01_mask_1.png"]


def test_cancel_leaves_no_mask(browser, tmp_path):
    browser.controls.correct.click()
    Page(browser).editor.receive(None, {"kind": "cancel"}, [])
    assert browser.controls.surface.children == () and not list((tmp_path / "corrected").iterdir())
    assert not browser.review.exists()


def test_a_photo_without_any_mask_can_be_labelled(tmp_path):
    table = pd.DataFrame({"image_id": ["a_01"]})
    browser = MaskBrowser(
        table, np.zeros((1, *SHAPE, 3), np.uint8), review=tmp_path / "r.csv", corrected=tmp_path / "c"
    )
    assert browser.widget and browser.controls.start.options == ("nothing",)
    browser.controls.correct.click()
    mask = np.eye(*SHAPE, dtype=np.uint8)
    Page(browser).save(mask)
    assert (reading.read_mask(tmp_path / "c" / "a_01_mask_1.png") == mask).all()


def test_what_is_done_can_be_left_out(browser):
    c = browser.controls
    c.accept.click()
    c.to_do.value = True
    assert c.count.value == "of 2" and "a_02" in c.viewer.shown["title"]


# What goes wrong: a sentence, and nothing is lost


def test_a_full_disk_keeps_the_strokes_and_leaves_nothing(browser, tmp_path, monkeypatch):
    browser.controls.correct.click()
    page = Page(browser)
    full = OSError(errno.ENOSPC, "No space left on device")

    def write(*_):
        raise full

    with monkeypatch.context() as broken:
        broken.setattr(Path, "write_bytes", write)
        said = page.save(np.ones(SHAPE, np.uint8))
    assert said["kind"] == "failed" and "No space left" in said["text"] and "strokes are still here" in said["text"]
    assert list((tmp_path / "corrected").iterdir()) == [] and browser.correcting.editor is page.editor
    with monkeypatch.context() as broken:
        broken.setattr(runs, "write_csv", write)
        broken.setattr(review, "write_csv", lambda path, table: runs.write_json(Path("/dev/null/x"), {}))
        assert page.save(np.ones(SHAPE, np.uint8))["kind"] == "failed"
    assert list((tmp_path / "corrected").iterdir()) == [], "no mask of which the review does not tell"
    assert page.save(np.ones(SHAPE, np.uint8))["kind"] == "saved"
    assert [path.name for path in (tmp_path / "corrected").iterdir()] == ["a_01_mask_1.png"]


def test_a_folder_that_cannot_be_written_is_told_before_anybody_draws(tmp_path):
    (tmp_path / "file").write_text("")
    browser = make_browser(tmp_path, corrected=tmp_path / "file" / "corrected")
    for button in (browser.controls.correct, browser.controls.accept):
        button.click()
        assert "cannot be written to" in browser.controls.status.value and "corrected=" in browser.controls.status.value
        assert browser.correcting.editor is None


def test_a_photo_that_has_gone_or_is_too_large_is_told(tmp_path, monkeypatch):
    browser = make_browser(tmp_path, original=lambda row: tmp_path / "train" / f"{row['image_id']}.jpg")
    browser.controls.correct.click()
    assert "a_01 cannot be corrected" in browser.controls.status.value
    assert "a_01.jpg is not a readable picture (No such file" in browser.controls.status.value
    monkeypatch.setattr(correcting, "MOST_PIXELS", 1000)
    browser = make_browser(tmp_path)
    browser.controls.correct.click()
    assert "48x32 pixels is too large to draw on" in browser.controls.status.value
    assert browser.correcting.editor is None


def test_a_mask_of_another_size_than_the_photo_is_refused(tmp_path):
    large = np.zeros((2 * SHAPE[0], 2 * SHAPE[1], 3), np.uint8)
    browser = make_browser(tmp_path, original=lambda row: large)
    browser.controls.start.value = "true mask"
    browser.controls.correct.click()
    assert "its true mask is 48x32, the photo is 96x64" in browser.controls.status.value
    browser.controls.accept.click()  # a prediction is stretched, as it is shown
    assert reading.read_mask(tmp_path / "corrected" / "a_01_mask_1.png").shape == (64, 96)


def test_a_missing_package_is_told_and_leaves_the_strip(monkeypatch, capsys):
    for name in ("controls", "correcting", "editor", "viewer"):
        monkeypatch.delitem(sys.modules, f"carvana_course.browser.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    browser = MaskBrowser(pd.DataFrame({"image_id": ["a_01"]}), np.zeros((1, *SHAPE, 3), np.uint8))
    with pytest.raises(RunError, match="pip install anywidget"):
        browser.widget  # noqa: B018  makes the controls
    monkeypatch.setattr(widget, "is_live", lambda: True)
    with pytest.raises(NotImplementedError):  # by which IPython goes on to the strip
        browser._ipython_display_()
    assert "pip install anywidget" in capsys.readouterr().out and "image/jpeg" in browser._repr_mimebundle_()[0]


@pytest.mark.parametrize("image_id", ["a/b", "..", "a\nb", ""])
def test_a_name_that_is_no_files_name_is_refused(tmp_path, image_id):
    with pytest.raises(RunError, match="cannot be the name of a file"):
        corrections.save_mask(tmp_path / "c", image_id, np.ones(SHAPE, np.uint8))


# Several people


def test_numbers_do_not_collide(tmp_path):
    def save(number):
        return corrections.save_mask(tmp_path, "a_01", np.full(SHAPE, number % 2, np.uint8))

    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(save, range(24)))
    assert len(set(paths)) == 24 and len(list(tmp_path.iterdir())) == 24
    assert corrections.newest_corrections(tmp_path)["a_01"].name == "a_01_mask_24.png"
    (tmp_path / "a_01_mask_25.png").touch()  # somebody else writes it just now
    assert corrections.newest_corrections(tmp_path)["a_01"].name == "a_01_mask_24.png"
    assert save(0).name == "a_01_mask_26.png"


def test_two_people_keep_each_others_rows(tmp_path):
    ann = make_browser(tmp_path)
    bob = make_browser(tmp_path, who="bob")
    ann.controls.mark.value = True
    ann.controls.save.click()
    bob.controls.next.click()
    bob.controls.accept.click()
    bob.controls.note.value = "glass"
    bob.controls.save.click()
    ann.controls.accept.click()
    ann.controls.mark.value = False
    ann.controls.save.click()
    found = rows_of(ann)
    assert found[["image_id", "action", "who", "note"]].to_numpy().tolist() == [
        ["a_02", "marked", "bob", "glass"],
        ["a_02", "accepted", "bob", ""],
        ["a_01", "accepted", "ann", ""],
    ]
    bob.controls.save.click()
    assert rows_of(bob).equals(found), "who did not change a mark does not bring it back, or sign it anew"


def test_reviews_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "review.csv").write_text("image_id,note,view,iou\na_01,tyre,1,0.5\nold_01,gone,2,0.25\n")
    browser = make_browser(tmp_path)
    assert browser.marks == {"a_01": "tyre", "old_01": "gone"}
    browser.controls.accept.click()
    browser.controls.save.click()
    found = rows_of(browser)
    assert found["action"].tolist() == ["marked", "marked", "accepted"] and found["who"].tolist() == ["", "", "ann"]
    assert found["iou"].tolist() == ["", 0.25, ""] or found["iou"].astype(str).tolist() == ["", "0.25", ""]


def test_an_account_without_a_name_is_unknown(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert review.user_name() == "unknown"


# The next training


def test_a_new_data_folder_has_the_newest_masks(tmp_path):
    source = write_set(tmp_path / "source")  # three cars from two sides
    (source / "metadata.csv").write_text("id,make\ncar0,X\n")
    shape = reading.read_photo(source / "train" / "car0_01.jpg").shape[:2]
    drawn = np.zeros(shape, np.uint8)
    drawn[:9, :20] = 1
    corrections.save_mask(tmp_path / "c", "car0_01", 1 - drawn)
    corrections.save_mask(tmp_path / "c", "car0_01", drawn)
    corrections.save_mask(tmp_path / "c", "car2_02", drawn)
    (source / "train_masks" / "car1_02_mask.gif").unlink()
    (source / "train_masks" / "car2_02_mask.gif").unlink()
    before = {path: path.read_bytes() for path in source.rglob("*.*")}
    gathered = corrections.write_data_folder(tmp_path / "next", source, tmp_path / "c")
    assert gathered == (2, 3, 1)
    data = open_data(Params(data_dir=str(tmp_path / "next"), image_size=32, strict=True))
    assert len(data.table) == 5 and (data.folder / "metadata.csv").exists()
    masks = data.table.set_index("image_id")["mask"]
    assert (data.read_mask(masks["car0_01"]) == drawn).all() and (data.read_mask(masks["car2_02"]) == drawn).all()
    assert (data.read_mask(masks["car0_02"]) == reading.read_mask(source / "train_masks" / "car0_02_mask.gif")).all()
    shutil.rmtree(tmp_path / "next" / "train")
    assert {path: path.read_bytes() for path in source.rglob("*.*")} == before
    with pytest.raises(RunError, match="exists, and is not written over"):
        corrections.write_data_folder(tmp_path / "next", source, tmp_path / "c")
    some = corrections.write_data_folder(tmp_path / "some", source, tmp_path / "c", images=["car0_02", "car1_02"])
    assert some == (0, 1, 1) and pairs.find_pairs(tmp_path / "some")["image_id"].tolist() == ["car0_02"]


def test_whoever_begins_has_no_masks_yet(tmp_path):
    source = write_set(tmp_path / "source")
    shutil.rmtree(source / "train_masks")
    corrections.save_mask(tmp_path / "c", "car1_01", np.ones((32, 48), np.uint8))
    assert corrections.write_data_folder(tmp_path / "next", source, tmp_path / "c") == (1, 0, 5)
