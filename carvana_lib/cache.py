"""Each pair is decoded, checked and resized once: training reads an array, at microseconds a picture, not photos."""

import hashlib
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.lib import format

from carvana_lib import DataError
from carvana_lib.device import cores, keep_memory
from carvana_lib.progress import progress
from carvana_lib.reading import find_pairs, open_photo, read_mask, resize
from carvana_lib.runs import atomic, remove, runs_folder, stale

FORMAT = 2  # of the cache: another number where reading changes, so that what an earlier version read is not used
AUDIT_COLUMNS = ["image_id", "car_id", "view", "image", "mask", "width", "height", "area", "problem"]


def digest(file) -> str:
    """SHA-256 of a file, in hexadecimal digits. Used by `inspect` in 01."""
    with Path(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def inspect(folder: Path, pair: dict, size: int) -> tuple[dict, np.ndarray | None, np.ndarray | None]:
    """Read one pair: (its row of the audit, picture, mask), both resized, or None where something is wrong. A sound
    pair's row also has the key digest, of the two files' contents. Taught in 01.
    """
    row = dict.fromkeys(AUDIT_COLUMNS) | pair
    if row["problem"]:
        return row, None, None
    try:
        photo, (row["height"], row["width"]) = open_photo(folder / pair["image"], at_least=size)
        mask = read_mask(folder / pair["mask"])
        row["digest"] = digest(folder / pair["image"]) + digest(folder / pair["mask"])
    except DataError as error:
        row["problem"] = str(error).replace(str(folder) + os.sep, "")
        return row, None, None
    row["area"] = cv2.countNonZero(mask) / mask.size
    if mask.shape != (row["height"], row["width"]):
        row["problem"] = f"mask is {mask.shape[1]}x{mask.shape[0]}, image is {row['width']}x{row['height']}"
    elif not row["area"]:
        row["problem"] = "empty mask"
    return row, resize(photo, size), resize(mask, size)


def _stamp(folder: Path, pairs: pd.DataFrame) -> str:
    """12 hex digits that change when any file is added, removed, renamed or written, known without reading them."""
    changes = hashlib.sha256(bytes([FORMAT]))
    for name in filter(None, [*pairs["image"], *pairs["mask"]]):
        path = folder / name
        status = path.stat() if path.exists() else path.lstat()  # a link to nowhere
        changes.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return changes.hexdigest()[:12]


@contextmanager
def _new_array(path: Path, shape: tuple[int, ...]):
    """Yield a file for the rows of a .npy array of uint8. A memory map would die of a signal where the disk is full."""
    with path.open("wb") as file:
        format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        end = file.tell() + math.prod(shape)
        yield file
        file.truncate(end)


def prepare(folder: Path, size: int) -> tuple[Path, float]:
    """Decode and resize every pair once, on all cores: (folder of the cache, seconds it took; 0.0 if it was there). The
    cache holds images.npy, masks.npy (usable pictures only, in the audit's order), audit.csv and their fingerprint. A
    killed preparation leaves nothing that would be read. Used by `open_data` in 01.
    """
    pairs = find_pairs(folder)
    cache = runs_folder() / ".cache" / f"{size}px-{_stamp(folder, pairs)}"
    if cache.is_dir():
        return cache, 0.0
    for leftover in stale(cache.parent.glob(".*")):
        remove(leftover)
    started = time.perf_counter()
    keep_memory()
    shape = (len(pairs), size, size)
    contents = hashlib.sha256()
    rows = []
    with (
        atomic(cache, folder=True) as temporary,
        _new_array(temporary / "images.npy", (*shape, 3)) as images,
        _new_array(temporary / "masks.npy", shape) as masks,
        ThreadPoolExecutor(cores()) as threads,
    ):
        results = threads.map(lambda pair: inspect(folder, pair, size), pairs.to_dict("records"))
        for row, image, mask in progress(results, "preparing pictures", len(pairs)):
            rows.append(row)
            if not row["problem"]:
                images.write(image)
                masks.write(mask)
                contents.update(f"{row['image_id']} {row['digest']}\n".encode())
        pd.DataFrame(rows, columns=AUDIT_COLUMNS).to_csv(temporary / "audit.csv", index=False)
        (temporary / "fingerprint").write_text(contents.hexdigest()[:12])
    return cache, time.perf_counter() - started
