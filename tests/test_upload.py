"""The reader's own photo: what is taken and refused, and the widget in JupyterLab; test_demo.py has it as a page."""

import base64
import importlib.util
import io
import os
import re
import time

import nbformat
import numpy as np
import pytest
import torch
from conftest import SCREENSHOTS
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
    with pytest.raises(DataError, match=r"^big\.png has 30\.\d MB, at most 30 are taken; make it smaller$"):
        read_upload("big.png", large_png(30.2))
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
    own.sent = []
    own.page.send = lambda message, buffers: own.sent.append((message, buffers))
    return own


def choose(own, name: str, content: bytes, use: str = "photo", part: int = 2**20):
    """Send a file in parts."""
    parts = [content[start : start + part] for start in range(0, len(content), part)] or [b""]
    for i, one in enumerate(parts):
        own.receive(None, {"kind": "part", "use": use, "name": name, "part": i, "parts": len(parts)}, [memoryview(one)])


def as_array(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def shown(own) -> dict[str, np.ndarray]:
    return {name: as_array(getattr(own.page, name)) for name in ("mask", "overlay", "composite")}


def saved_by(own) -> dict[str, np.ndarray]:
    """What the three buttons save, by the names of the files."""
    own.sent.clear()
    for kind in ("mask", "cutout", "composite"):
        own.receive(None, {"kind": "save", "what": kind}, [])
    return {message["name"]: as_array(buffers[0]) for message, buffers in own.sent}


def check_results(pictures, files, photo, ground=None):
    """Three pictures and three files must be those of a photo made by `scene`, before a ground of one colour."""
    red = photo[..., 0] > photo[..., 1].astype(int) + 80
    inside, outside = (photo.shape[0] // 2, photo.shape[1] // 2), (10, 10)
    mask, overlay, composite = pictures
    assert mask.shape == photo.shape[:2] and overlay.shape == composite.shape == photo.shape
    assert overlay[inside][2] > photo[inside][2] + 60
    assert np.abs(overlay[outside].astype(int) - photo[outside]).max() < 6
    saved, alone, new = files
    assert (mask == saved).all() and set(np.unique(saved)) == {0, 255} and ((saved > 0) == red).mean() > 0.99
    assert alone.shape == (*photo.shape[:2], 4) and ((alone[..., 3] >= 128) == (saved > 0)).all()
    assert (alone[inside][:3] == photo[inside]).all() and not alone[outside].any()
    assert np.abs(new.astype(int) - composite).mean() < 3 and (new[inside] == photo[inside]).all()
    if ground is None:
        assert new[outside].std() < 6 and new[outside].mean() > 222  # the wall of the studio is lighter
    else:
        assert (new[outside] == ground).all()


def test_it_begins_with_the_example(own):
    check_results(shown(own).values(), saved_by(own).values(), namespace["example"])
    assert not own.page.message["alert"]
    own.draw()
    assert re.match(r"the example, 300 x 200 pixels: the car is 3\d% of the picture$", own.page.message["text"])


def test_a_chosen_photo_takes_its_place(own):
    photo = scene(360, 240)
    choose(own, "mine.png", encoded(photo))
    assert own.page.message["text"] == "mine.png, 360 x 240 pixels: the car is 25% of the picture"
    assert own.page.name == "mine.png"
    files = saved_by(own)
    assert list(files) == ["mine_mask.png", "mine_cut-out.png", "mine_new_picture.png"]
    check_results(shown(own).values(), files.values(), photo)


def test_a_chosen_background_stays_for_the_next_photos(own):
    blue, green = (20, 40, 200), (20, 120, 60)
    choose(own, "sea.png", encoded(np.full((90, 50, 3), blue, np.uint8)), "background")
    check_results(shown(own).values(), saved_by(own).values(), namespace["example"], blue)
    assert own.page.name == "the example"
    choose(own, "mine.png", encoded(scene(360, 240)))
    check_results(shown(own).values(), saved_by(own).values(), scene(360, 240), blue)
    choose(own, "wood.png", encoded(np.full((2000, 3000, 3), green, np.uint8)), "background")
    check_results(shown(own).values(), saved_by(own).values(), scene(360, 240), green)
    before = shown(own)
    for name, content in {"a.jpg": b"text", EVIL: b"text"}.items():
        choose(own, name, content, "background")
        assert own.page.message["alert"] and own.page.message["text"].endswith("Below is still mine.png.")
        assert all((shown(own)[kind] == before[kind]).all() for kind in before)
    choose(own, "next.png", encoded(scene()))
    check_results(shown(own).values(), saved_by(own).values(), scene(), green)  # the last background that was one
    own.receive(None, {"kind": "studio"}, [])
    check_results(shown(own).values(), saved_by(own).values(), scene())


def test_a_background_keeps_its_shape(own):
    """Of a wide ground with a square in its middle the middle is seen, and the square is still one."""
    ground = np.zeros((100, 400, 3), np.uint8)
    ground[10:90, 160:240] = (0, 200, 0)
    choose(own, "grey.png", encoded(scene(color=(90, 90, 90))))  # no car: the new picture is all background
    choose(own, "square.png", encoded(ground), "background")
    green = shown(own)["composite"][..., 1] > 100
    new = saved_by(own)["grey_new_picture.png"]
    for found in (green, new[..., 1] > 100):
        rows, columns = found.any(1).sum(), found.any(0).sum()
        assert found.shape == (200, 300) and abs(rows - 160) <= 2 and abs(columns - 160) <= 2
        assert abs(np.flatnonzero(found.any(0)).mean() - 149.5) <= 1


def test_threshold_and_opacity_are_followed(own):
    ramp = np.full((200, 300, 3), 100, np.uint8)
    ramp[..., 0] = np.linspace(100, 255, 300).round()[None]  # by `Red` the probability rises from left to right
    choose(own, "ramp.png", encoded(ramp))
    widths = []
    for threshold in (0.1, 0.5, 0.9):
        own.page.threshold = threshold
        mask = shown(own)["mask"]
        file = saved_by(own)["ramp_mask.png"]
        assert (mask == file).all()
        widths.append((file[100] > 0).sum())
        own.draw()
        assert f"the car is {(file > 0).mean():.0%} of the picture" in own.page.message["text"]
    steps = np.abs(np.diff(widths))
    expected = 8 * np.log(9) / (155 / 299)  # columns between the logits of 0.1 and 0.5, and of 0.5 and 0.9
    assert widths[0] > widths[1] > widths[2] and np.abs(steps - expected).max() <= 2
    own.page.opacity = 0.0
    assert np.abs(shown(own)["overlay"].astype(int) - ramp).mean() < 3
    own.page.opacity = 1.0
    assert shown(own)["overlay"][100, 290].tolist() != ramp[100, 290].tolist()
    assert np.ptp(shown(own)["overlay"][100, 285:295].astype(int), axis=0).max() < 6  # one colour


def test_large_photos_are_shown_small_and_saved_whole(own):
    choose(own, "large.jpg", encoded(scene(2400, 1600), "JPEG"))
    assert {picture.shape[:2] for picture in shown(own).values()} == {(640, 960)}
    assert [file.shape for file in saved_by(own).values()] == [(1600, 2400), (1600, 2400, 4), (1600, 2400, 3)]


def test_faults_are_one_sentence_and_keep_the_earlier_result(own):
    choose(own, "mine.png", encoded(scene(360, 240)))
    before = shown(own)
    for name, content in {"a.jpg": b"text", "c.png": encoded(scene())[:150], "e.png": b""}.items():
        choose(own, name, content)
        message = own.page.message
        assert message["alert"] and re.match(rf"{name} [^.]+\. Below is still mine\.png\.$", message["text"])
        assert all((shown(own)[kind] == before[kind]).all() for kind in before)
    check_results(shown(own).values(), saved_by(own).values(), scene(360, 240))
    choose(own, "d.png", encoded(scene()))
    assert not own.page.message["alert"] and own.page.name == "d.png"


def test_what_the_page_refuses_is_told_each_time(own):
    for name in ("b c.png", EVIL):
        for _ in range(2):
            number = own.page.message["number"]
            own.receive(None, {"kind": "too large", "name": name, "size": 31_000_000}, [])
            assert own.page.message == {
                "text": f"{name} has 31.0 MB, at most 30 are taken; make it smaller. Below is still the example.",
                "alert": True,
                "number": number + 1,
            }
    own.receive(None, {"kind": "several", "count": 3}, [])
    assert own.page.message["text"].startswith("3 files at once are too many; drop one.")


def test_a_file_that_stops_halfway_does_no_harm(own):
    content = encoded(scene(360, 240))
    own.receive(None, {"kind": "part", "use": "photo", "name": "half.png", "part": 0, "parts": 3}, [content[:100]])
    choose(own, "sea.png", encoded(np.zeros((9, 9, 3), np.uint8)), "background", part=50)
    choose(own, "mine.png", content, part=100)
    assert own.page.message["text"].startswith("mine.png, 360 x 240 pixels")
    assert (saved_by(own)["mine_new_picture.png"][10, 10] == 0).all()


def test_no_car_is_said(own):
    choose(own, "grey.png", encoded(scene(color=(90, 90, 90))))
    assert own.page.message["text"].endswith("no car found: no pixel reaches probability 0.50")
    assert not saved_by(own)["grey_mask.png"].any()


def test_a_net_that_fails_is_told(own):
    class Broken(torch.nn.Module):
        stride = 16

        def forward(self, images):
            raise MemoryError

    own.model = Broken()
    choose(own, "car.png", encoded(scene()))
    assert own.page.message["text"] == "MemoryError. Below is still the example." and own.page.message["alert"]


def test_what_fails_late_changes_nothing(own, monkeypatch):
    before = shown(own), saved_by(own)
    with monkeypatch.context() as patch:
        patch.setattr("carvana_course.deployment.cutout.composite", lambda *_: 1 / 0)
        choose(own, "car.png", encoded(scene(360, 240)))
        choose(own, "sea.png", encoded(np.zeros((9, 9, 3), np.uint8)), "background")
    assert own.page.message["text"] == "division by zero. Below is still the example." and own.page.message["alert"]
    for then, now in zip(before, (shown(own), saved_by(own)), strict=True):
        assert then.keys() == now.keys() and all((then[name] == now[name]).all() for name in then)


@pytest.mark.parametrize("lacks", ["a person", "anywidget"])
def test_without_a_reader_it_is_a_still(lacks, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if lacks == "anywidget":
        monkeypatch.setenv("JPY_SESSION_NAME", "own.ipynb")
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    own = PhotoUpload(namespace["Red"](), Frame.of(256), namespace["example"])
    bundle = own._repr_mimebundle_()[0]
    assert bundle == own._repr_mimebundle_()[0] and set(bundle) == {"text/plain", "image/jpeg"} and own.page is None
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
    page.set_default_timeout(30_000)
    page.goto(address("own.ipynb"))
    page.locator(".jp-CodeCell").first.wait_for()
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    yield find_widget(page)
    page.close()


def find_widget(page):
    """The page, once the widget with its example is there: page.widget."""
    page.on("filechooser", lambda chooser: None)  # keeps Playwright listening, else it may miss one that opens at once
    page.widget = page.locator(".carvana-upload").last
    page.widget.locator("figure img").nth(2).wait_for()
    return page


def give(page, name: str, content: bytes, use: str = "photo"):
    """Choose a file as a reader would."""
    with page.expect_file_chooser() as chooser:
        page.widget.get_by_role("button", name=f"choose a {use}").click()
    chooser.value.set_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})


DROP = """(place, {files, kinds}) => {
    const data = new DataTransfer();
    for (const [name, content] of files) {
        data.items.add(new File([Uint8Array.from(atob(content), letter => letter.charCodeAt(0))], name));
    }
    return kinds.map(kind => {
        const event = new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data});
        return !place.dispatchEvent(event);
    });
}"""


def drop(place, *files: tuple[str, bytes], kinds=("dragover", "drop")) -> list[bool]:
    """Drop files on a place in the page: for each event whether it was taken, else the browser would open the file."""
    files = [(name, base64.b64encode(content).decode()) for name, content in files]
    return place.evaluate(DROP, {"files": files, "kinds": list(kinds)})


def wait_for_text(page, text: str):
    page.widget.get_by_text(text).wait_for()


def seen(page) -> list[np.ndarray]:
    """The pictures that the page shows, at their own size."""
    contents = page.widget.locator("figure img").evaluate_all(
        """images => Promise.all(images.map(async image => {
            await image.decode();
            return [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())];
        }))"""
    )
    return [as_array(bytes(content)) for content in contents]


def saved(page, folder) -> list[np.ndarray]:
    """What the three buttons save."""
    arrays = []
    for name in ("save the mask (PNG)", "save the cut-out (PNG)", "save the new picture (PNG)"):
        with page.expect_download() as download:
            page.widget.get_by_role("button", name=name).click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        arrays.append(np.asarray(Image.open(path)))
    return arrays


def slide(page, name: str, keys: int):
    """Move a slider by keys, right or, where `keys` is negative, left, and wait until the pictures follow no more."""
    slider = page.widget.get_by_role("slider", name=name)
    slider.focus()
    for _ in range(abs(keys)):
        slider.press("ArrowRight" if keys > 0 else "ArrowLeft")
    addresses = []
    while True:
        page.wait_for_timeout(1000)
        addresses.append(page.widget.locator("figure img").evaluate_all("images => images.map(image => image.src)"))
        if len(addresses) > 1 and addresses[-1] == addresses[-2]:
            return


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
    assert sorted(os.listdir(tmp_path)) == ["mine_cut-out.png", "mine_mask.png", "mine_new_picture.png"]
    screenshot(in_lab, "photo")


def test_jupyterlab_takes_what_is_dropped(in_lab, tmp_path):
    photo, blue = scene(320, 210), (20, 40, 200)
    area = in_lab.widget.locator(".zone[data-use=photo]")
    assert drop(area, ("a.png", encoded(photo)), kinds=["dragover"]) == [True] and "over" in area.get_attribute("class")
    screenshot(in_lab, "drag")
    assert drop(area, ("a.png", encoded(photo))) == [True, True] and "over" not in area.get_attribute("class")
    wait_for_text(in_lab, "a.png, 320 x 210 pixels")
    sea = ("sea.png", encoded(np.full((60, 90, 3), blue, np.uint8)))
    drop(in_lab.widget.get_by_role("button", name="choose a background"), sea)
    wait_for_text(in_lab, "a.png, 320 x 210 pixels")
    check_results(seen(in_lab), saved(in_lab, tmp_path), photo, blue)
    screenshot(in_lab, "background")
    in_lab.widget.get_by_role("button", name="grey studio").click()
    drop(in_lab.widget.locator("figure img").nth(1), ("b.png", encoded(photo)))  # on the pictures: a new photo
    wait_for_text(in_lab, "b.png, 320 x 210 pixels")
    check_results(seen(in_lab), saved(in_lab, tmp_path), photo)
    drop(area, ("c.png", encoded(photo)), ("d.png", encoded(photo)))
    wait_for_text(in_lab, "2 files at once are too many; drop one. Below is still b.png.")
    assert drop(in_lab.locator("body"), ("e.png", encoded(photo)), kinds=["dragover", "drop"]) == [True, True]
    assert in_lab.widget.is_visible()  # the browser has not opened the file in the page's place


def test_jupyterlab_says_what_is_wrong_and_keeps_what_there_was(in_lab):
    alert, status = in_lab.widget.get_by_role("alert"), in_lab.widget.get_by_role("status")
    give(in_lab, "mine.png", encoded(scene(310, 220)))
    wait_for_text(in_lab, "mine.png, 310 x 220 pixels")
    before = seen(in_lab)
    for name, content, fault in [
        ("notes.jpg", b"text that was renamed", "notes.jpg is no JPEG, PNG or WebP picture"),
        ("half.png", encoded(scene())[:200], "half.png is not a readable picture"),
        (EVIL, b"text", f"{EVIL} is no JPEG"),
    ]:
        give(in_lab, name, content)
        wait_for_text(in_lab, fault)
        assert "Below is still mine.png." in alert.inner_text() and status.inner_text() == ""
        assert all((now == then).all() for now, then in zip(seen(in_lab), before, strict=True))
    screenshot(in_lab, "fault")
    assert in_lab.evaluate("window.hacked") is None and in_lab.locator("img[src=x]").count() == 0
    give(in_lab, "good.jpg", encoded(scene(), "JPEG"))
    wait_for_text(in_lab, "good.jpg, 300 x 200 pixels")
    assert alert.inner_text() == ""


COUNT = """() => {
    window.sent = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        window.sent.push(data.byteLength ?? data.size ?? data.length);
        return send.call(this, data);
    };
}"""
DROP_NOISE = """async (place, {name, side}) => {  // a PNG that is made in the page, as large as noise is
    const canvas = new OffscreenCanvas(side, side), context = canvas.getContext("2d");
    const noise = context.createImageData(side, side);
    new Uint32Array(noise.data.buffer).forEach((_, i, pixels) => { pixels[i] = Math.random() * 2 ** 24 | 255 << 24; });
    context.putImageData(noise, 0, 0);
    const file = new File([await canvas.convertToBlob()], name), data = new DataTransfer();
    data.items.add(file);
    place.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
    return file.size;
}"""


def test_jupyterlab_refuses_what_is_too_large_before_it_travels(in_lab):
    """And takes what is not, in parts: a message of more than 10 MiB would end the connection."""
    in_lab.evaluate(COUNT)
    area = in_lab.widget.locator(".zone").first
    for _ in range(2):
        size = area.evaluate(DROP_NOISE, {"name": EVIL, "side": 3300})
        wait_for_text(in_lab, f"{EVIL} has {size / 1e6:.1f} MB, at most 30 are taken; make it smaller")
    assert size > 30e6 and sum(in_lab.evaluate("sent")) < 50_000
    size = area.evaluate(DROP_NOISE, {"name": "much.png", "side": 2000})
    wait_for_text(in_lab, "much.png, 2000 x 2000 pixels")
    sent = in_lab.evaluate("sent")
    assert size > 11e6 and size < sum(sent) < 1.1 * size and max(sent) < 2e6
    assert in_lab.evaluate("window.hacked") is None


def test_jupyterlab_follows_the_sliders(in_lab, tmp_path):
    ramp = np.full((200, 300, 3), 100, np.uint8)
    ramp[..., 0] = np.linspace(100, 255, 300).round()[None]
    give(in_lab, "ramp.png", encoded(ramp))
    wait_for_text(in_lab, "ramp.png, 300 x 200 pixels")
    before = seen(in_lab)
    slide(in_lab, "threshold", 20)
    after = seen(in_lab)
    assert (after[0] > 0).sum() < (before[0] > 0).sum() - 1000
    assert (saved(in_lab, tmp_path)[0] == after[0]).all()
    slide(in_lab, "opacity", -50)
    assert np.abs(seen(in_lab)[1].astype(int) - ramp).mean() < 3
    assert in_lab.locator(".jp-CodeCell").count() == 1  # no key has reached JupyterLab
    slide(in_lab, "threshold", -20)
    slide(in_lab, "opacity", 50)


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
    assert in_lab.evaluate("document.activeElement.textContent") == "choose a photo", "the focus was lost"
    reached = []
    for _ in range(7):
        in_lab.keyboard.press("Tab")
        reached.append(in_lab.evaluate("document.activeElement.closest('label, button').textContent"))
    assert reached == [
        "choose a background", "grey studio", "opacity0.50", "threshold0.50",
        "save the mask (PNG)", "save the cut-out (PNG)", "save the new picture (PNG)",
    ]  # fmt: skip
    assert in_lab.widget.get_by_role("img", name="Space.png: the mask over the photo").count() == 1
    assert in_lab.widget.get_by_role("status").inner_text().startswith("Space.png")


def test_jupyterlab_in_a_narrow_window(in_lab):
    for width in (900, 560):
        in_lab.set_viewport_size({"width": width, "height": 900})
        in_lab.wait_for_timeout(500)
        box = in_lab.widget.bounding_box()
        parts = in_lab.widget.locator("button, figure img, label, figcaption").all()
        assert len(parts) == 14
        for part in parts:
            inner = part.bounding_box()
            assert inner["x"] >= box["x"] - 1 and inner["x"] + inner["width"] <= box["x"] + box["width"] + 4
        screenshot(in_lab, f"narrow_{width}")
    in_lab.set_viewport_size({"width": 1300, "height": 900})
