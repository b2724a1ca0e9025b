"""The reader's own photo: what is taken and refused, and the widget in JupyterLab and as a page with Voila."""

import base64
import datetime
import html
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import pytest
import torch
from conftest import ROOT, SCREENSHOTS, free_port
from PIL import Image

from carvana_course.deployment.upload import PhotoUpload, read_upload
from carvana_lib import DataError
from carvana_lib.frame import Frame

EVIL = "<img src=x onerror=window.hacked=1>.png"
CELL = """
import numpy as np
import torch
from carvana_course.deployment.upload import PhotoUpload
from carvana_lib.frame import Frame

class Red(torch.nn.Module):
    stride = 16

    def forward(self, images):  # the car is what is red
        return (images[:, :1].float() - images[:, 1:2] - 80) / 8

example = np.full((200, 300, 3), 200, np.uint8)
example[60:160, 50:250] = (200, 30, 30)
own = PhotoUpload(Red(), Frame.of(256), example)
"""
namespace = {}
exec(CELL, namespace)


def scene(width: int = 300, height: int = 200, color=(180, 20, 20)) -> np.ndarray:
    """(height, width, 3) uint8: a red box in the middle of a light grey picture."""
    photo = np.full((height, width, 3), 210, np.uint8)
    photo[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = color
    return photo


def encoded(picture: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def large_png(megabytes: float) -> bytes:
    side = int((megabytes * 1e6 / 3) ** 0.5) + 1
    return encoded(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8), compress_level=0)


# What is taken


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_taken_whatever_their_name(kind):
    found = read_upload("holiday.txt", encoded(scene(), kind))
    assert found.dtype == np.uint8 and np.abs(found.astype(int) - scene()).mean() < 3


def test_a_phones_picture_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    assert read_upload("phone.jpg", encoded(scene(300, 200), "JPEG", exif=exif)).shape == (300, 200, 3)


@pytest.mark.parametrize(
    "content", [b"just text", b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", encoded(scene(), "GIF"), encoded(scene(), "TIFF")]
)
def test_other_files_are_refused_by_content(content):
    with pytest.raises(DataError, match=r"^car\.jpg is no JPEG, PNG or WebP picture, .*save it as one of these$"):
        read_upload("car.jpg", content)


def test_damaged_files_are_named():
    with pytest.raises(DataError, match=r"half\.png is not a readable picture"):
        read_upload("half.png", encoded(scene())[:200])


def test_too_many_bytes_or_pixels_are_refused():
    with pytest.raises(DataError, match=r"^big\.png has 9\.\d MB, at most 9 are taken; make it smaller$"):
        read_upload("big.png", large_png(9.2))
    for side in (7_500, 16_000):  # 56 and 256 million pixels in some kilobytes; at the second Pillow itself gives up
        bomb = io.BytesIO()
        Image.new("1", (side, side)).save(bomb, "PNG")
        started = time.perf_counter()
        with pytest.raises(DataError, match="^bomb.png has more than 50 million pixels; make it smaller$"):
            read_upload("bomb.png", bomb.getvalue())
        assert len(bomb.getvalue()) < 100_000 and time.perf_counter() - started < 1


# The widget, driven from Python as the page would drive it


@pytest.fixture
def own():
    own = PhotoUpload(namespace["Red"](), Frame.of(256), namespace["example"])
    assert own.widget
    return own


def choose(own, name: str, content: bytes, button: str = "button"):
    now = datetime.datetime.now()
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": now}
    getattr(own, button).value = (file,)


def results(own) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(the pictures shown, the pictures to save)."""
    found = re.findall(r"(src|href)='data:image/\w+;base64,([^']+)'", own.result.value)
    arrays = [(kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))) for kind, data in found]
    return [array for kind, array in arrays if kind == "src"], [array for kind, array in arrays if kind == "href"]


def check_results(pictures, files, photo, ground=None):
    """The three pictures and two files must be those of a photo made by `scene`, before a ground of one colour."""
    red = photo[..., 0] > photo[..., 1].astype(int) + 80
    inside, outside = (photo.shape[0] // 2, photo.shape[1] // 2), (10, 10)
    original, overlay, cut = (picture.astype(int) for picture in pictures)
    assert original.shape == overlay.shape == cut.shape == photo.shape
    assert np.abs(original - photo).mean() < 4 and np.abs(cut[inside] - photo[inside]).max() < 12
    assert overlay[inside][2] > photo[inside][2] + 60 and np.abs(overlay[outside] - photo[outside]).max() < 6
    if ground is None:
        assert cut[outside].std() < 6 and cut[outside].mean() > 222  # the wall of the studio is lighter
    else:
        assert np.abs(cut[outside] - ground).max() < 8
    mask, alone = files
    assert mask.shape == photo.shape[:2] and set(np.unique(mask)) == {0, 255} and ((mask > 0) == red).mean() > 0.99
    assert alone.shape == (*photo.shape[:2], 4) and ((alone[..., 3] >= 128) == (mask > 0)).all()
    assert (alone[inside][:3] == photo[inside]).all() and not alone[outside].any()


def test_it_begins_with_the_example(own):
    check_results(*results(own), namespace["example"])
    assert re.search(r"role='status'.*>the example, 300 x 200 pixels: the car is 3\d% of the picture", own.status.value)


def test_a_chosen_photo_takes_its_place(own):
    photo = scene(360, 240)
    choose(own, "mine.png", encoded(photo))
    check_results(*results(own), photo)
    assert "mine.png, 360 x 240 pixels: the car is 25% of the picture" in own.status.value
    assert "download='mine_mask.png'" in own.result.value and "download='mine_cut-out.png'" in own.result.value
    assert re.findall(r"alt='([^']+)'", own.result.value) == [
        "mine.png: the photo", "mine.png: the mask over it", "mine.png: cut out, its shadow kept"
    ]  # fmt: skip


def test_a_chosen_background_stays_for_the_next_photos(own):
    blue, green = (20, 40, 200), (20, 120, 60)
    choose(own, "sea.png", encoded(np.full((90, 50, 3), blue, np.uint8)), "ground_button")
    check_results(*results(own), namespace["example"], blue)
    assert "the example, 300 x 200 pixels" in own.status.value
    choose(own, "mine.png", encoded(scene(360, 240)))
    check_results(*results(own), scene(360, 240), blue)
    choose(own, "wood.jpg", encoded(np.full((2000, 3000, 3), green, np.uint8), "JPEG"), "ground_button")
    check_results(*results(own), scene(360, 240), green)
    assert "download='mine_mask.png'" in own.result.value
    for name, content in {"a.jpg": b"text", "b.png": large_png(9.2), EVIL: b"text"}.items():
        choose(own, name, content, "ground_button")
        assert "role='alert'" in own.status.value and html.escape(name) in own.status.value and own.result.value == ""
    choose(own, "next.png", encoded(scene()))
    check_results(*results(own), scene(), green)  # the last background that was one


def test_a_choice_that_is_taken_back_changes_nothing(own):
    choose(own, "mine.png", encoded(scene()))
    before = own.status.value, own.result.value
    own.button.value = ()
    assert (own.status.value, own.result.value) == before


def test_large_photos_are_shown_small_and_saved_whole(own):
    photo = scene(2400, 1600)
    choose(own, "large.jpg", encoded(photo, "JPEG"))
    pictures, files = results(own)
    assert {picture.shape for picture in pictures} == {(640, 960, 3)}
    assert [file.shape for file in files] == [(1600, 2400), (1600, 2400, 4)]


def test_faults_are_one_sentence_and_the_next_photo_works(own):
    for name, content in {"a.jpg": b"text", "b.png": large_png(9.2), "c.png": encoded(scene())[:150]}.items():
        choose(own, name, content)
        assert re.match(rf"<div role='alert'[^>]*>{name} [^<.]+\.?[^<]*</div>$", own.status.value)
        assert own.result.value == ""
    choose(own, "d.png", encoded(scene()))
    assert "role='status'" in own.status.value and len(results(own)[0]) == 3


def test_what_the_page_refuses_is_told_each_time(own):
    script, refused = own.widget.children[-1].children
    assert "9000000" in script.value and "'" not in script.value.partition("onerror='")[2][:-2]
    for name, content in {"b c.png": large_png(12), EVIL: large_png(12)}.items():
        for _ in range(2):
            refused.value = f"{len(content)} {name}"  # as the page types it
            assert "role='alert'" in own.status.value and refused.value == ""
            assert f">{html.escape(name)} has 12.0 MB, at most 9 are taken; make it smaller<" in own.status.value
            own.tell("")


def test_no_car_is_said(own):
    choose(own, "grey.png", encoded(scene(color=(90, 90, 90))))
    assert "no car found" in own.status.value and not results(own)[1][0].any()


def test_a_net_that_fails_is_told(own):
    class Broken(torch.nn.Module):
        stride = 16

        def forward(self, images):
            raise MemoryError

    own.model = Broken()
    choose(own, "car.png", encoded(scene()))
    assert own.status.value.endswith(">MemoryError</div>")


def test_a_file_name_never_becomes_html(own):
    for content in (encoded(scene()), b"text", encoded(scene())[:150]):
        choose(own, EVIL.replace("'", '"'), content)
        shown = own.status.value + own.result.value
        assert "<img src=x" not in shown and html.escape(EVIL.removesuffix(".png")) in shown
    choose(own, "a' onclick='alert(1)", encoded(scene()))
    assert "' onclick" not in own.result.value + own.status.value


def test_without_a_reader_it_is_a_still(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    own = PhotoUpload(namespace["Red"](), Frame.of(256), namespace["example"])
    bundle = own._repr_mimebundle_()[0]
    assert bundle == own._repr_mimebundle_()[0] and set(bundle) == {"text/plain", "image/jpeg"} and own.controls is None
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle["image/jpeg"]))).convert("RGB")).astype(int)
    middle = strip[strip.shape[0] * 3 // 5]
    assert strip.shape[1] > 3 * strip.shape[0] and len(bundle["image/jpeg"]) < 200_000
    blue = [middle[strip.shape[1] * place // 6][2] for place in (1, 3, 5)]
    assert blue[0] < 60 and blue[1] > 100 and blue[2] < 60  # red, tinted, red again
    with pytest.raises(NotImplementedError):  # by which IPython goes on to the bundle
        own._ipython_display_()


# The widget in Chromium


def write_notebook(path, last: str):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL + last)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def in_lab(chromium, lab):
    """A page of JupyterLab with the widget."""
    address, folder = lab
    write_notebook(folder / "own.ipynb", "own")
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(address("own.ipynb"))
    page.locator(".jp-CodeCell").first.wait_for()
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    yield find_widget(page)
    page.close()


@pytest.fixture(scope="module")
def in_voila(chromium, tmp_path_factory):
    """The same notebook as a page, served with the repository's voila.json."""
    folder, home = tmp_path_factory.mktemp("page"), tmp_path_factory.mktemp("voila")
    write_notebook(folder / "own.ipynb", "own")
    port = free_port()
    shutil.copy(ROOT / "voila.json", folder)
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "CARVANA_RUNS")
    environment = os.environ | {name: str(home / name) for name in names}
    command = [sys.executable, "-m", "voila", "own.ipynb", "--no-browser", f"--port={port}"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        page = chromium.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(120_000)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/voila/static/main.js", timeout=5).close()
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
        page.goto(f"http://127.0.0.1:{port}/")
        yield find_widget(page), port
        page.close()
    finally:
        server.terminate()
        server.wait(30)


def find_widget(page):
    """The page, once the widget with its example is there: page.widget."""
    page.on("filechooser", lambda chooser: None)  # keeps Playwright listening, else it may miss one that opens at once
    button = page.get_by_role("button", name="choose a photo")
    page.widget = page.locator(".widget-vbox", has=button).last
    page.widget.locator("figure img").nth(2).wait_for()
    return page


def give(page, name: str, content: bytes, button: str = "choose a photo"):
    """Choose a file as a reader would."""
    with page.expect_file_chooser() as chooser:
        page.widget.get_by_role("button", name=button).click()
    chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


def wait_for_text(page, text: str):
    page.widget.get_by_text(text).wait_for()


def seen(page) -> list[np.ndarray]:
    """The pictures that the page shows, at their own size."""
    sources = page.widget.locator("figure img").evaluate_all(
        """async images => {
            for (const image of images) await image.decode();
            return images.map(image => image.src);
        }"""
    )
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))) for source in sources]


def saved(page, folder) -> list[np.ndarray]:
    """What the two links save."""
    arrays = []
    for name in ("save the mask (PNG)", "save the cut-out (PNG)"):
        with page.expect_download() as download:
            page.widget.get_by_role("link", name=name).click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        arrays.append(np.asarray(Image.open(path)))
    return arrays


def screenshot(page, name: str):
    SCREENSHOTS.mkdir(exist_ok=True)
    page.mouse.move(1, 1)
    page.widget.screenshot(path=SCREENSHOTS / f"upload_{name}.png")


def test_jupyterlab_shows_mask_and_cut_out(in_lab, tmp_path):
    screenshot(in_lab, "example")
    photo = scene(330, 220)
    give(in_lab, "mine.png", encoded(photo))
    wait_for_text(in_lab, "mine.png, 330 x 220 pixels: the car is 25% of the picture")
    check_results(seen(in_lab), saved(in_lab, tmp_path), photo)
    assert sorted(os.listdir(tmp_path)) == ["mine_cut-out.png", "mine_mask.png"]
    screenshot(in_lab, "photo")


def test_jupyterlab_says_what_is_wrong(in_lab):
    alert = in_lab.widget.get_by_role("alert")
    give(in_lab, "notes.jpg", b"text that was renamed")
    wait_for_text(in_lab, "notes.jpg is no JPEG, PNG or WebP picture")
    assert alert.count() == 1 and in_lab.widget.locator("figure").count() == 0
    screenshot(in_lab, "fault")
    give(in_lab, "large.png", large_png(9.2))
    wait_for_text(in_lab, "large.png has 9.2 MB, at most 9 are taken; make it smaller")
    assert alert.count() == 1
    for _ in range(2):  # more than a message may have: it would end the connection, and the button would be dead
        give(in_lab, f"{EVIL}", large_png(12))
        wait_for_text(in_lab, f"{EVIL} has 12.0 MB, at most 9 are taken; make it smaller")
        assert alert.count() == 1 and in_lab.evaluate("window.hacked") is None
        give(in_lab, "small.jpg", b"text", "choose a background")
        wait_for_text(in_lab, "small.jpg is no JPEG")
    give(in_lab, "large.jpg", large_png(11), "choose a background")
    wait_for_text(in_lab, "large.jpg has 11.0 MB, at most 9 are taken; make it smaller")
    assert in_lab.evaluate("/native code/.test(HTMLInputElement.prototype.click)")
    give(in_lab, "good.jpg", encoded(scene(), "JPEG"))
    wait_for_text(in_lab, "good.jpg, 300 x 200 pixels")
    assert alert.count() == 0 and len(seen(in_lab)) == 3


def test_jupyterlab_takes_a_background(in_lab, tmp_path):
    photo, blue = scene(340, 230), (20, 40, 200)
    give(in_lab, "mine.png", encoded(photo))
    wait_for_text(in_lab, "mine.png, 340 x 230 pixels")
    in_studio = seen(in_lab)[2]
    give(in_lab, "notes.jpg", b"text that was renamed", "choose a background")
    wait_for_text(in_lab, "notes.jpg is no JPEG, PNG or WebP picture")
    give(in_lab, "sea.png", encoded(np.full((200, 300, 3), blue, np.uint8)), "choose a background")
    wait_for_text(in_lab, "mine.png, 340 x 230 pixels")
    check_results(seen(in_lab), saved(in_lab, tmp_path), photo, blue)
    assert np.abs(in_studio[10, 10].astype(int) - blue).max() > 100
    screenshot(in_lab, "background")


def test_jupyterlab_does_not_run_a_file_name(in_lab):
    for content, button in [(b"text", "choose a photo"), (b"text", "choose a background"), (encoded(scene()), None)]:
        give(in_lab, EVIL, content, button or "choose a photo")
        wait_for_text(in_lab, EVIL)
    in_lab.wait_for_timeout(300)
    assert in_lab.evaluate("window.hacked") is None and in_lab.locator("img[src=x]").count() == 0


def test_jupyterlab_takes_a_second_photo_while_it_works_on_the_first(in_lab):
    for name in ("first.png", "second.png"):
        give(in_lab, name, encoded(scene(2400, 1600)))
    wait_for_text(in_lab, "second.png, 2400 x 1600 pixels")


def test_jupyterlab_by_keyboard_and_for_screen_readers(in_lab):
    button = in_lab.widget.get_by_role("button", name="choose a photo")
    for key in ("Enter", "Space"):
        button.focus()
        with in_lab.expect_file_chooser() as chooser:
            in_lab.keyboard.press(key)
        chooser.value.set_files({"name": f"{key}.png", "mimeType": "", "buffer": encoded(scene())})
        wait_for_text(in_lab, f"{key}.png, 300 x 200 pixels")
    assert in_lab.evaluate("document.activeElement.textContent.includes('choose a photo')"), "the focus was lost"
    reached = []
    for _ in range(3):
        in_lab.keyboard.press("Tab")
        reached.append(in_lab.evaluate("document.activeElement.textContent").strip(" (0123456789)"))
    assert reached == ["choose a background", "save the mask (PNG", "save the cut-out (PNG"]
    assert in_lab.widget.get_by_role("img", name="Space.png: the mask over it").count() == 1
    assert in_lab.widget.get_by_role("status").inner_text().startswith("Space.png")


def test_jupyterlab_in_a_narrow_window(in_lab):
    for width in (900, 560):
        in_lab.set_viewport_size({"width": width, "height": 900})
        in_lab.wait_for_timeout(500)
        box = in_lab.widget.bounding_box()
        parts = in_lab.widget.locator("button, figure img, a, figcaption").all()
        assert len(parts) == 10
        for part in parts:
            inner = part.bounding_box()
            assert inner["x"] >= box["x"] - 1 and inner["x"] + inner["width"] <= box["x"] + box["width"] + 4
        screenshot(in_lab, f"narrow_{width}")
    in_lab.set_viewport_size({"width": 1300, "height": 900})


def test_the_page_with_voila(in_voila, tmp_path):
    page, port = in_voila
    assert not page.locator(".jp-RenderedImage img").is_visible()  # the still
    photo = scene(330, 220)
    give(page, "mine.webp", encoded(photo, "WEBP", lossless=True))
    wait_for_text(page, "mine.webp, 330 x 220 pixels: the car is 25% of the picture")
    check_results(seen(page), saved(page, tmp_path), photo)
    screenshot(page, "voila")
    give(page, EVIL, b"text")
    wait_for_text(page, EVIL)
    assert page.evaluate("window.hacked") is None
    give(page, "large.png", large_png(12))  # more than a server takes without voila.json
    wait_for_text(page, "large.png has 12.0 MB, at most 9 are taken")
    give(page, "again.png", encoded(photo))
    wait_for_text(page, "again.png, 330 x 220 pixels")


def test_voila_listens_on_this_machine_only(in_voila):
    with socket.socket() as other:  # 127.0.0.2 is this machine too, but not the address that was asked for
        assert other.connect_ex(("127.0.0.2", in_voila[1])) != 0
