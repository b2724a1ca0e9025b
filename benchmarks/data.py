"""From native pictures to batches: the first pass, and the batches of every later epoch.

Each side has a process of its own, since `prepare` changes how the C library hands out memory, which would make the
textbook's decoding faster too.
"""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import cv2
import numpy as np
from PIL import Image

from benchmarks import textbook
from benchmarks.measure import Findings, Plan, alternate_fresh
from carvana_lib.cache import prepare
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader
from carvana_lib.device import cores, keep_memory
from carvana_lib.frame import Frame
from carvana_lib.pairs import find_pairs
from carvana_lib.reading import read_mask, read_photo

WORKERS = 2


def seconds_of(loader) -> float:
    """Seconds to take every batch of a loader that has been started before."""
    list(islice(loader, 2))
    started = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - started


def first_pass(folder, size: int) -> float:
    """Seconds of `prepare`."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["CARVANA_RUNS"] = name  # this process is not used again
        return prepare(folder, Frame.of(size))[1]


def decoding(folder, size: int) -> float:
    """Seconds to decode photos at reduced size and masks in full on all cores: no first pass can be faster."""

    def decode(pair):
        for kind in ("image", "mask"):
            with Image.open(folder / pair[kind]) as picture:
                picture.draft("RGB", (size, size))
                picture.load()

    pairs, started = find_pairs(folder).to_dict("records"), time.perf_counter()
    keep_memory()  # as in `prepare`
    with ThreadPoolExecutor(cores()) as threads:
        list(threads.map(decode, pairs))
    return time.perf_counter() - started


def textbook_batches(folder, size: int, augment: bool, num_workers: int) -> float:
    """Seconds of an epoch of the textbook's loader."""
    return seconds_of(textbook.loader(folder, size, augment, num_workers))


def our_batches(folder, size: int, count: int, augment: bool) -> float:
    """Seconds for `count` pictures from the cache, which must be there."""
    params = Params(data_dir=str(folder), image_size=size, run_name="bench")
    data = open_data(params)
    return seconds_of(make_loader(data, np.arange(count) % len(data.table), params, train=augment))


def differences(folder, size: int) -> tuple[float, int]:
    """(mean difference of cached pictures from those decoded in full, grey levels; mask pixels that differ).

    Masks are compared with where the area mean in float64 is at least one half; at exactly one half, where rounding
    decides, either value is right.
    """
    data, grey, pixels = open_data(Params(data_dir=str(folder), image_size=size, run_name="bench")), [], 0
    for row, pair in enumerate(data.table.to_dict("records")):
        full = Frame.of(size).resize(read_photo(folder / pair["image"])).astype(int)
        grey.append(np.abs(full - data.images[row]).mean())
        area = cv2.resize(read_mask(folder / pair["mask"]).astype(float), (size, size), interpolation=cv2.INTER_AREA)
        pixels += int((((area > 0.5) != data.masks[row]) & (np.abs(area - 0.5) > 1e-6)).sum())
    return float(np.mean(grey)), pixels


def measure(plan: Plan) -> Findings:
    """First pass and augmented batches, beside the textbook reader with and without worker processes."""
    found, folder, size = Findings(), plan.data, plan.pick(256, 256, 32)
    grey, pixels = differences(folder, size)
    found.target("cached pictures: mean difference from full decoding, grey levels", grey, at_most=1.5)
    found.target("cached masks: pixels that differ from the thresholded area", pixels, at_most=0)
    count, rounds = len(find_pairs(folder)), plan.pick(2, 7, 1)
    workers = {"in one process": 0, f"with {WORKERS} workers": WORKERS}

    sides = {"ours": (first_pass, folder, size), "decode": (decoding, folder, size)}
    sides |= {name: (textbook_batches, folder, size, False, number) for name, number in workers.items()}
    seconds, peaks = alternate_fresh(sides, rounds)
    rates = {name: count / value for name, value in seconds.items()}
    for name in workers:
        ratio = found.row(
            f"first pass over native pictures, {size} px; textbook {name}",
            "images/s",
            rates["ours"],
            rates[name],
            rates["decode"],
            "decoding alone, all cores",
            peak_mb=peaks["ours"],
            textbook_peak_mb=peaks[name],
        )
        found.target(f"first pass: times the textbook {name}", ratio, at_least=5)

    many = plan.pick(512, 2048, 16)
    sides = {"ours": (our_batches, folder, size, many, True), "plain": (our_batches, folder, size, many, False)}
    sides |= {name: (textbook_batches, folder, size, True, number) for name, number in workers.items()}
    seconds, peaks = alternate_fresh(sides, rounds)
    rates = {name: (count if name in workers else many) / value for name, value in seconds.items()}
    better = max(workers, key=rates.get)
    ratio = found.row(
        f"augmented batches, {size} px; textbook {better}, its better way",
        "images/s",
        rates["ours"],
        rates[better],
        rates["plain"],
        "the same batches without augmentation",
        peak_mb=peaks["ours"],
        textbook_peak_mb=peaks[better],
    )
    found.target("augmented batches: times the textbook's better way", ratio, at_least=40)
    return found
