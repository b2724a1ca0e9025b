"""How fast is a step of the mask browser, and does it keep its memory?

Measured in the kernel, from the press of a control to the JPEG that leaves for the page: pictures are decoded from
files, the prediction is a float array. Each line is the median over the steps of the best of three rounds.
"""

import gc
import os
import tempfile
import time
from concurrent.futures import wait
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.measure import Findings, Plan
from carvana_course.browser import MaskBrowser, layers

SIZES = ((480, 320), (1918, 1280))
CARS = 4
VIEWS = 16
NEXT = "next picture"
NEXT_PREFETCHED = "next picture, prefetched"


def make_pictures(folder: Path, width: int, height: int) -> pd.DataFrame:
    """CARS x VIEWS photos of an ellipse on noise with their masks as files; the table that lists them."""
    rows, rng = [], np.random.default_rng(0)
    for car in range(CARS):
        noise = cv2.resize(rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8), (width, height))
        for view in range(1, VIEWS + 1):
            mask = np.zeros((height, width), np.uint8)
            cv2.ellipse(mask, (width // 2, height // 2), (width // 3, height // 5), 6 * view, 0, 360, 255, -1)
            stem = folder / f"{car}_{view:02d}"
            cv2.imwrite(f"{stem}.jpg", noise // 2 + (mask // 3)[..., None])
            cv2.imwrite(f"{stem}.png", mask)
            rows.append({"image_id": stem.name, "car_id": f"car{car}", "view": view, "path": str(stem), "iou": 0.9})
    return pd.DataFrame(rows)


def open_browser(table: pd.DataFrame, folder: Path) -> MaskBrowser:
    """The browser with its widget; photos and masks are read from files as in a notebook."""

    def photo(row):
        return cv2.cvtColor(cv2.imread(row["path"] + ".jpg"), cv2.COLOR_BGR2RGB)

    def mask(row):
        return cv2.imread(row["path"] + ".png", cv2.IMREAD_GRAYSCALE)

    def probability(row):
        return cv2.blur(mask(row), (9, 9)) / np.float32(255)

    browser = MaskBrowser(table, photo, mask, probability, review=folder / "review.csv")
    assert browser.widget
    return browser


def steps(browser: MaskBrowser) -> dict:
    """{name: what a person does}; each shows a picture that has not been shown before, as far as there are any."""
    c = browser.controls
    rng = np.random.default_rng(1)

    def next_view():
        c.view_slider.value = c.view_slider.options[(c.view_slider.index + 1) % VIEWS][1]

    def threshold():
        c.threshold.value = round(rng.uniform(0.02, 0.98), 4)

    def opacity():
        c.opacity.value = round(rng.uniform(0.02, 0.98), 4)

    def next_layer():
        c.layer.value = layers.LAYERS[(layers.LAYERS.index(c.layer.value) + 1) % len(layers.LAYERS)]

    return {
        NEXT: c.next.click,
        NEXT_PREFETCHED: c.next.click,
        "view slider": next_view,
        "threshold": threshold,
        "opacity": opacity,
        "another layer": next_layer,
    }


def median_ms(browser: MaskBrowser, name: str, step, count: int = 16, rounds: int = 3) -> float:
    """Median milliseconds of a step; the least over the rounds, since other programs share the machine."""
    medians = []
    for _ in range(rounds):
        times = []
        for _ in range(count):
            if name == NEXT_PREFETCHED:  # wait for the neighbours, as a person does while looking
                wait([future for future in browser.ahead.futures if not future.cancelled()])
            else:
                browser.cached_jpeg.cache_clear()
            if name == NEXT:
                browser.cached_load.cache_clear()
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        medians.append(1000 * np.median(times))
    return min(medians)


def resident_mb() -> float:
    """Memory of this process, MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth_mb(browser: MaskBrowser, count: int) -> float:
    """MB that `count` steps add once the caches are full."""
    memory = []
    for steps_of_round in (150, count):
        for i in range(steps_of_round):
            browser.controls.threshold.value = round((i * 0.037) % 1, 3)
            browser.controls.next.click()
        gc.collect()
        memory.append(resident_mb())
    return memory[1] - memory[0]


def opening_seconds(rows: int = 5000) -> float:
    """Seconds until a table of so many rows stands as a widget, its static strip included."""
    table = pd.DataFrame({"view": np.arange(rows) % 16 + 1, "car_id": [f"car{i // 16}" for i in range(rows)]})
    table["image_id"] = table["car_id"] + "_" + table["view"].astype(str)
    table["iou"], photo = np.random.default_rng(0).random(rows), np.zeros((320, 480, 3), np.uint8)
    start = time.perf_counter()
    browser = MaskBrowser(table, lambda row: photo, sort="iou")
    assert browser.widget and browser.strip()
    return time.perf_counter() - start


def measure(plan: Plan) -> Findings:
    """Steps in two layers at two sizes, memory over many steps, and the opening of a long table."""
    found, shown = Findings(), plan.pick((layers.HEAT,), (layers.ERRORS, layers.HEAT), (layers.HEAT,))
    for width, height in plan.pick(SIZES[:1], SIZES, ((96, 64),)):
        with tempfile.TemporaryDirectory() as name:
            browser = open_browser(make_pictures(Path(name), width, height), Path(name))
            for layer in shown:
                browser.controls.layer.value = layer
                for step_name, step in steps(browser).items():
                    milliseconds = median_ms(browser, step_name, step, *plan.pick((16, 2), (16, 3), (2, 1)))
                    found.row(f"browser at {width}x{height}, {layer}: {step_name}", "ms", milliseconds)
            if plan.full:
                found.row(f"browser at {width}x{height}: memory grown over 1000 steps", "MB", growth_mb(browser, 1000))
            browser.close()
    rows = plan.pick(5000, 5000, 50)
    found.row(f"browser: a table of {rows:,} rows opens", "s", min(opening_seconds(rows) for _ in range(3)))
    return found
