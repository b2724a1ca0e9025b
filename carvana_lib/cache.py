"""Each pair is decoded, checked and resized once: training reads an array, at microseconds a picture, not photos."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from carvana_lib import DataError
from carvana_lib.device import cores, keep_memory, progress
from carvana_lib.frame import Frame
from carvana_lib.pairs import find_pairs
from carvana_lib.reading import HAS_HEIC, open_photo, read_mask
from carvana_lib.runs import atomic, remove, runs_folder, stale
from carvana_lib.split import find_alike

FORMAT = 5  # of the cache: another number where reading or its files change, so that an earlier version's is not used
AUDIT_COLUMNS = ["image_id", "car_id", "view", "image", "mask", "width", "height", "area"]
AUDIT_COLUMNS += ["problem", "warning", "alike"]


def digest(file) -> str:
    """SHA-256 of a file, in hexadecimal digits. Used by `inspect` in 01."""
    with Path(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def inspect(folder: Path, pair: dict, frame: Frame, keep_empty: bool = False, threshold: int | None = None):
    """Read one pair: (its row of the audit, picture, mask), both in the frame, None where something is wrong. A sound
    pair's row also has the keys digest, of the two files' contents, and small, the photo in grey at 64x64. Masks
    without car are sound with `keep_empty`; `threshold` is that of `read_mask`. Taught in 01.
    """
    row = dict.fromkeys(AUDIT_COLUMNS, "") | pair
    if row["problem"]:
        return row, None, None
    try:
        at_least = max(frame.height, frame.width)
        photo, (row["height"], row["width"]) = open_photo(folder / pair["image"], at_least)
        mask = read_mask(folder / pair["mask"], threshold)
        row["digest"] = digest(folder / pair["image"]) + digest(folder / pair["mask"])
    except DataError as error:
        row["problem"] = str(error).replace(str(folder) + os.sep, "")
        return row, None, None
    row["small"] = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA)
    row["area"] = cv2.countNonZero(mask) / mask.size
    row["warning"] = _oddity(mask, row["area"])
    if mask.shape != (row["height"], row["width"]):
        row["problem"] = f"mask is {mask.shape[1]}x{mask.shape[0]}, image is {row['width']}x{row['height']}"
    elif not row["area"] and not keep_empty:
        row["problem"] = "empty mask; set keep_empty to keep photos without a car"
    return row, frame.resize(photo), frame.resize(mask)


def _name_alike(audit: pd.DataFrame) -> pd.Series:
    """For each row the first image_id of its group of near-duplicates, '' where it is alone or has a problem."""
    sound = audit[audit["problem"] == ""]
    groups = sound["image_id"].groupby(find_alike(sound["small"]))
    return groups.transform("first").where(groups.transform("size") > 1).reindex(audit.index).fillna("")


def _oddity(mask: np.ndarray, area: float) -> str:
    """What a person should look at in a mask (H, W), or ''. Carvana's cars fill 9 to 41 % of their pictures."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    oddities = {
        "car below 1 % of the picture": 0 < area < 0.01,
        "car above 90 % of the picture": area > 0.9,
        "border mostly car: is the mask inverted?": border.mean() > 0.5,
    }
    return "; ".join(oddity for oddity, is_there in oddities.items() if is_there)


def _stamp(folder: Path, pairs: pd.DataFrame, how: str) -> str:
    """12 hex digits that change with the name, size or time of any file and with how they are read; none is opened."""
    changes = hashlib.sha256(f"{FORMAT} {HAS_HEIC} {how}\n{pairs.to_csv()}".encode())
    for name in filter(None, [*pairs["image"], *pairs["mask"]]):
        path = folder / name
        status = path.stat() if path.exists() else path.lstat()  # a link to nowhere
        changes.update(f"{name} {status.st_size} {status.st_mtime_ns} {status.st_mode}\n".encode())
    return changes.hexdigest()[:12]


def prepare(folder: Path, frame: Frame, keep_empty=False, threshold: int | None = None) -> tuple[Path, float]:
    """Decode and resize every pair once, on all cores: (folder of the cache, seconds it took; 0.0 if it was there). The
    cache holds the bytes of images and masks (usable ones only, in the audit's order), audit.csv and the fingerprint. A
    killed preparation leaves nothing that would be read. Other arguments as of `inspect`. Used by `open_data` in 01.
    """
    pairs = find_pairs(folder)
    stamp = _stamp(folder, pairs, f"{frame} {keep_empty} {threshold}")
    cache = runs_folder() / ".cache" / f"{frame.height}x{frame.width}-{stamp}"
    if cache.is_dir():
        return cache, 0.0
    for leftover in stale(cache.parent.glob(".*")):
        remove(leftover)
    started = time.perf_counter()
    keep_memory()
    contents = hashlib.sha256()
    rows = []
    with (
        atomic(cache, folder=True) as temporary,
        (temporary / "images").open("wb") as images,  # a memory map would die of a signal where the disk is full
        (temporary / "masks").open("wb") as masks,
        ThreadPoolExecutor(cores()) as threads,
    ):
        how = (frame, keep_empty, threshold)
        results = threads.map(lambda pair: inspect(folder, pair, *how), pairs.to_dict("records"))
        for row, image, mask in progress(results, "preparing pictures", len(pairs)):
            rows.append(row)
            if not row["problem"]:
                images.write(image)
                masks.write(mask)
                contents.update(f"{row['image_id']} {row['digest']}\n".encode())
        audit = pd.DataFrame(rows, columns=[*AUDIT_COLUMNS, "small"])
        audit["alike"] = _name_alike(audit)
        audit[AUDIT_COLUMNS].to_csv(temporary / "audit.csv", index=False)
        (temporary / "fingerprint").write_text(contents.hexdigest()[:12])
    return cache, time.perf_counter() - started
