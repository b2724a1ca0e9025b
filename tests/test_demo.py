"""The demo page as `make demo` serves it: Voila, the net of the course, a photo that is dropped, and what is saved."""

import re
import socket
import time

import cv2
import nbformat
import numpy as np
import pytest
from conftest import ROOT, SCREENSHOTS, jupyter_server
from test_upload import drop, encoded, find_widget, give, saved, seen, slide, wait_for_text

from carvana_course.deployment import cutout, predictions
from carvana_course.net import load_small_net
from carvana_lib import prediction
from carvana_lib.reading import read_photo

PHOTO = sorted((ROOT / "sample" / "train").glob("*_05.jpg"))[-1]
TIMES = {}  # seconds, printed at the end


@pytest.fixture(scope="module")
def demo(chromium, tmp_path_factory):
    """(the page, its address, all that it asked the network for)."""
    home = tmp_path_factory.mktemp("voila")
    (line,) = re.findall(r"^demo:.*\n\t@\$\(BIN\)/voila \$\(ARGS\) (.*)$", (ROOT / "Makefile").read_text(), re.M)
    with jupyter_server(["voila", *line.split()], home, "/voila/static/main.js", cwd=ROOT) as address:
        page = chromium.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(60_000)
        asked = []
        page.on("requestfinished", lambda request: asked.append(request.url))
        started = time.perf_counter()
        page.goto(address)
        find_widget(page)
        TIMES["the upload is there"] = time.perf_counter() - started
        yield page, int(address.rpartition(":")[2]), asked
        page.close()
        print({name: round(seconds, 2) for name, seconds in TIMES.items()})


def screenshot(page, name: str):
    SCREENSHOTS.mkdir(exist_ok=True)
    page.mouse.move(1, 1)
    page.screenshot(path=SCREENSHOTS / f"demo_{name}.png", full_page=True)


def test_the_upload_is_there_soon_and_nothing_else_is(demo):
    page, _, asked = demo
    assert TIMES["the upload is there"] < 30
    assert page.widget.bounding_box()["y"] < 300 and page.locator("h1").inner_text().startswith("Cut out a car")
    assert page.evaluate("document.documentElement.scrollHeight") <= 900, "it does not fit a screen"
    assert not page.locator(".jp-RenderedImage img").is_visible()  # the still
    assert page.get_by_text("load_small_net()").count() == 0  # the code
    assert all(re.match(r"http://127\.0\.0\.1|blob:|data:", address) for address in asked)
    screenshot(page, "example")


def test_a_drop_shows_mask_overlay_and_cut_out_at_once(demo):
    page = demo[0]
    photo = cv2.resize(read_photo(PHOTO), (1918, 1280))  # as large as Carvana's
    content = encoded(photo, "JPEG", quality=95)
    seconds = []
    for name in ("first.jpg", "second.jpg", "third.jpg"):
        started = time.perf_counter()
        drop(page.widget.locator(".zone").first, (name, content))
        wait_for_text(page, f"{name}, 1918 x 1280 pixels")
        page.widget.get_by_role("img", name=f"{name}: cut out").wait_for()
        seconds.append(time.perf_counter() - started)
    TIMES["pictures after a drop"] = sorted(seconds)[1]
    assert min(seconds) < 10
    boxes = [image.bounding_box() for image in page.widget.locator("figure img").all()]
    assert len({round(box["y"]) for box in boxes}) == 1, "they do not stand beside each other"
    assert [picture.shape[:2] for picture in seen(page)] == [(641, 960)] * 3
    screenshot(page, "photo")


def test_what_is_saved_is_right_to_the_pixel(demo, tmp_path):
    """Also at another threshold, and before another background, of which the middle is seen in its own shape."""
    page = demo[0]
    photo = read_photo(PHOTO)
    give(page, PHOTO.name, PHOTO.read_bytes())
    wait_for_text(page, f"{PHOTO.name}, 480 x 320 pixels")
    ground = np.random.default_rng(0).integers(0, 256, (8, 32, 3), dtype=np.uint8)
    ground = cv2.resize(ground, (1600, 400), interpolation=cv2.INTER_CUBIC)
    give(page, "hills.png", encoded(ground), "background")
    wait_for_text(page, f"{PHOTO.name}, 480 x 320 pixels")
    screenshot(page, "background")
    slide(page, "threshold", 30)
    mask, alone, new = saved(page, tmp_path)

    net, frame = load_small_net()
    logits = prediction.photo_logits(net, photo, frame) - np.float32(np.log(0.8 / 0.2))
    assert (mask == predictions.render("mask", None, logits)).all() and 0.05 < (mask > 0).mean() < 0.5
    assert (mask < predictions.render("mask", None, prediction.photo_logits(net, photo, frame))).any()
    probability = prediction.sigmoid(logits)
    assert (alone == cutout.cut_out(photo, probability)).all()
    middle = ground[:, 500:1100]  # 3:2, as the photo
    assert (
        new == cutout.composite(photo, probability, cv2.resize(middle, (480, 320), interpolation=cv2.INTER_AREA))
    ).all()
    shown_mask, _, shown = seen(page)
    assert (shown_mask == mask).all() and np.abs(shown.astype(int) - new).mean() < 3
    slide(page, "threshold", -30)


def test_an_error_keeps_the_earlier_result(demo):
    page = demo[0]
    give(page, "mine.jpg", PHOTO.read_bytes())
    wait_for_text(page, "mine.jpg, 480 x 320 pixels")
    before = seen(page)
    drop(page.widget.locator("figure").first, ("notes.jpg", b"text that was renamed"))
    wait_for_text(page, "notes.jpg is no JPEG, PNG or WebP picture")
    assert page.widget.get_by_role("alert").inner_text().endswith("Below is still mine.jpg.")
    assert all((now == then).all() for now, then in zip(seen(page), before, strict=True))
    screenshot(page, "fault")


def test_a_phone_wide_page_cuts_nothing_off(demo):
    page = demo[0]
    page.set_viewport_size({"width": 560, "height": 900})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 560
    for part in page.widget.locator("button, figure img, label, figcaption").all():
        box = part.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 560
    screenshot(page, "narrow")
    page.set_viewport_size({"width": 1300, "height": 900})


def test_it_listens_on_this_machine_only(demo):
    with socket.socket() as other:  # 127.0.0.2 is this machine too, but not the address that was asked for
        assert other.connect_ex(("127.0.0.2", demo[1])) != 0


def test_the_notebook_is_short_and_executed():
    cells = nbformat.read(ROOT / "notebooks" / "demo.ipynb", 4).cells
    assert [cell.cell_type for cell in cells] == ["markdown", "code"] and cells[1].source.count("\n") < 10
    (output,) = cells[1].outputs
    assert "image/jpeg" in output.data and output.metadata["image/jpeg"]["alt"]
