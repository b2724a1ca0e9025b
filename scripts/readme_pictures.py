"""The README's pictures: python scripts/readme_pictures.py

docs/images/steps.jpg is one car on its way from photo to cut-out; docs/images/mask_browser.gif is the mask browser in
use, in JupyterLab. It needs playwright and Chromium, as the tests do. Both show the sample and the net that comes with
the course.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
from PIL import Image
from playwright.sync_api import sync_playwright

from carvana_course.deployment import cutout
from carvana_course.net import find_car
from carvana_course.show.pictures import save_picture
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.reading import read_photo
from carvana_lib.runs import ROOT

IMAGES = ROOT / "docs" / "images"
CELL = f"""
from carvana_course.browser import MaskBrowser
from carvana_course.net import find_car
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.reading import read_photo

data = open_data(Params(data_dir={str(ROOT / "sample")!r}))
test = data.table[data.table["split"] == "test"]

def photo(row):
    return read_photo(data.folder / row["image"])

MaskBrowser(test, photo, lambda row: data.read_mask(row["mask"]), lambda row: find_car(photo(row)), beside="heat map")
"""
KEYS = ["ArrowRight"] * 5 + ["4", "n", "n", "+", "+", "0", "7", "ArrowRight", "ArrowRight"]
FRAME_MS = 700
WIDTH = 640  # pixels of the moving picture


def draw_steps() -> None:
    """Photo, probability, mask and cut-out of a test car of the sample."""
    data = open_data(Params())
    photo = read_photo(data.folder / data.table["image"].iloc[data.rows("test")[3]])
    save_picture(cutout.steps(photo, find_car(photo)), IMAGES / "steps.jpg")


def film_browser(place: Path) -> None:
    """Open JupyterLab in an empty place, run the cell, press keys, and keep a picture after each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, place / "browser.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    homes = {name: str(place / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    homes |= {"JUPYTERLAB_SETTINGS_DIR": str(place / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(place / "spaces")}
    homes |= {"CARVANA_RUNS": str(place / "runs"), "JUPYTER_TOKEN": "film"}
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    words += [f"--notebook-dir={place}", f"--LabApp.app_settings_dir={ROOT / 'lab'}"]
    server = subprocess.Popen(words, env=os.environ | homes, stderr=subprocess.DEVNULL)
    try:
        wait_for_server(f"http://127.0.0.1:{port}/api")
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = chromium.new_page(viewport={"width": 1250, "height": 1000})
            page.goto(f"http://127.0.0.1:{port}/lab/tree/browser.ipynb?token=film")
            page.get_by_text("| Idle").wait_for(timeout=60_000)
            page.locator(".jp-CodeCell .cm-content").click()
            page.keyboard.press("Shift+Enter")
            widget = page.locator(".carvana-browser")
            widget.wait_for(timeout=120_000)
            widget.locator(".frame").first.click()
            page.wait_for_timeout(5000)
            frames = [take(widget)]
            for key in KEYS:
                page.keyboard.press(key)
                page.wait_for_timeout(1500)
                frames.append(take(widget))
            chromium.close()
    finally:
        server.terminate()
        server.wait(30)
    save_film(frames, IMAGES / "mask_browser.gif")


def take(widget) -> Image.Image:
    """The widget as it is seen, without its last rows."""
    picture = Image.open(io.BytesIO(widget.screenshot())).convert("RGB")
    return picture.crop((0, 0, picture.width, round(0.69 * picture.height)))


def wait_for_server(address: str) -> None:
    """Until it answers, a minute at most."""
    for _ in range(600):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("JupyterLab did not start")


def save_film(frames: list[Image.Image], path: Path) -> None:
    """The frames as a GIF of WIDTH pixels that repeats for ever."""
    size = (WIDTH, round(WIDTH * frames[0].height / frames[0].width))
    small = [frame.resize(size, Image.Resampling.LANCZOS).quantize(256) for frame in frames]
    small[0].save(path, save_all=True, append_images=small[1:], duration=FRAME_MS, loop=0, optimize=True)


if __name__ == "__main__":
    draw_steps()
    with tempfile.TemporaryDirectory() as folder:
        film_browser(Path(folder))
