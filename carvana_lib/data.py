"""From a folder of photos to arrays and a split: pairs, audit, prepared cache, split by car.

Layout, as in the Carvana challenge: `train/<car_id>_<view>.jpg`, `train_masks/<car_id>_<view>_mask.gif` (PNG masks
work too) and `metadata.csv` (id, year, make, model, trim1, trim2; optional).
"""

import hashlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from carvana_lib import DataError
from carvana_lib.progress import progress
from carvana_lib.runs import ROOT, Run, atomic, cores, digest, keep_memory, new_array, runs_folder, sweep, write_csv
from carvana_lib.split import split_by_car, split_by_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
NAME = re.compile(r"(?P<car_id>[^_]+)_(?P<view>\d{2})")  # 00087a6bd4dc_01: the car, and which of its 16 views
PIXEL_LIMIT = 120_000_000  # of one picture; a few kilobytes can claim to be more and fill the memory
AUDIT_COLUMNS = ["image_id", "car_id", "view", "image", "mask", "width", "height", "area", "problem"]


@dataclass
class Carvana:
    """Pictures and masks of one folder at one size, with everything known about them.

    images: (N, S, S, 3) uint8 RGB and masks: (N, S, S) uint8 {0, 1}, both memory-mapped; row i of `table` describes
    picture i (image_id, car_id, view, width, height, area as share of the picture, metadata columns, split).
    audit: one row for every file found, `problem` empty where it is fine.
    """

    folder: Path
    table: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray
    audit: pd.DataFrame
    fingerprint: str  # of the files' contents: the same for a copy, another where any picture or mask differs
    seconds_to_prepare: float  # 0.0 when the cache was there

    @property
    def rendered(self) -> bool:
        """True for pictures whose metadata says that they were rendered, as the sample's does."""
        return "trim2" in self.table and bool((self.table["trim2"] == "rendered").all())

    def rows(self, split: str) -> np.ndarray:
        """Positions of the pictures of 'train', 'val' or 'test'."""
        return np.flatnonzero(self.table["split"] == split)


def data_folder(data_dir: str) -> Path:
    """Resolve `data_dir` (relative paths start at the repository) and check that it holds pictures and masks."""
    folder = (ROOT / data_dir).resolve()
    for name in ("train", "train_masks"):
        if not (folder / name).is_dir():
            raise DataError(
                f"data_dir '{data_dir}' has no folder {name}/ (looked in {folder}); see 'Real data' in the README"
            )
    return folder


def find_pairs(folder: Path) -> pd.DataFrame:
    """Pair pictures and masks by name: image_id, car_id, view, image, mask, problem; one row a picture or lone mask.

    `image` and `mask` are paths relative to `folder`, empty where one is missing. Raises DataError for a folder
    without any picture.
    """
    images = {f.stem: f for f in visible(folder / "train") if f.suffix.lower() in IMAGE_SUFFIXES}
    masks = {
        f.stem.removesuffix("_mask"): f for f in visible(folder / "train_masks") if f.suffix.lower() in (".gif", ".png")
    }
    if not images:
        raise DataError(
            f"{folder / 'train'} holds no pictures ({', '.join(IMAGE_SUFFIXES)}); see 'Real data' in the README"
        )
    rows = []
    for image_id in sorted(images | masks):
        name = NAME.fullmatch(shown := image_id.encode("utf8", "backslashreplace").decode())
        problem = "" if name else "name is not <car_id>_<two-digit view>"
        problem = problem if image_id in images else "mask without image"
        problem = problem if image_id in masks else "image without mask"
        paths = [str(found[image_id].relative_to(folder)) if image_id in found else "" for found in (images, masks)]
        if shown != image_id:
            paths, problem = ["", ""], "name is not UTF-8"
        rows.append((shown, name["car_id"] if name else "", int(name["view"]) if name else 0, *paths, problem))
    return pd.DataFrame(rows, columns=["image_id", "car_id", "view", "image", "mask", "problem"])


def visible(folder: Path) -> list[Path]:
    """Files of a folder in order, without hidden ones such as those that a killed download leaves."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) from the header alone. Raises OSError for no picture or one of more than PIXEL_LIMIT pixels."""
    with Image.open(path) as header:
        if header.width * header.height > PIXEL_LIMIT:
            raise OSError(f"more than {PIXEL_LIMIT // 1_000_000} million pixels")
        return header.size


def read_image(path: Path, at_least: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB. With `at_least`, a JPEG may be decoded at 1/2, 1/4 or 1/8 size, no side below it.

    Raises OSError for a file that is not a picture or is truncated.
    """
    with Image.open(path) as image:
        if at_least:
            image.draft("RGB", (at_least, at_least))
        return np.asarray(image.convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """(H, W) uint8 {0, 1}. Palette masks are read as indices, so that no colour table can change them.

    Raises DataError for a mask with other than two values, OSError for an unreadable file.
    """
    with Image.open(path) as image:
        values = np.asarray(image if image.mode in ("P", "L", "1") else image.convert("L"), dtype=np.uint8)
    if cv2.sumElems(values)[0] != int(values.max()) * cv2.countNonZero(values):
        raise DataError(f"{len(np.unique(values))} values in the mask instead of two")
    return (values > 0).view(np.uint8)


def resize(array: np.ndarray, size: int) -> np.ndarray:
    """Area resize to (size, size); a 0/1 mask becomes 1 where at least half of the covered area is 1."""
    if array.ndim == 3:
        return cv2.resize(array, (size, size), interpolation=cv2.INTER_AREA)
    height, width = array.shape
    step = height // size if height % size == 0 else 1  # whole rows are added up at once, which halves the time
    added = array.reshape(height // step, step, width).sum(1, dtype=np.min_scalar_type(step)).astype(np.float32)
    return (cv2.resize(added, (size, size), interpolation=cv2.INTER_AREA) >= step / 2).view(np.uint8)


def inspect(folder: Path, pair: dict, size: int) -> tuple[dict, np.ndarray | None, np.ndarray | None]:
    """Read one pair: (its row of the audit, picture, mask), both resized, or None where something is wrong.

    A sound pair's row also has the key digest, of the two files' contents.
    """
    row = dict.fromkeys(AUDIT_COLUMNS) | pair
    if row["problem"]:
        return row, None, None
    reading = "image"
    try:
        row["width"], row["height"] = sides = read_size(folder / pair["image"])
        image, reading = read_image(folder / pair["image"], at_least=size), "mask"
        if (found := read_size(folder / pair["mask"])) != sides:
            raise DataError("mask is {}x{}, image is {}x{}".format(*found, *sides))
        mask = read_mask(folder / pair["mask"])
        row["digest"] = "".join(digest(folder / pair[kind]) for kind in ("image", "mask"))
    except DataError as error:
        return row | {"problem": str(error)}, None, None
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, DecompressionBombError ... by format
        return row | {"problem": f"unreadable {reading}: {error}".replace(str(folder) + os.sep, "")}, None, None
    row["area"] = cv2.countNonZero(mask) / mask.size
    row["problem"] = "" if row["area"] else "empty mask"
    return row, resize(image, size), resize(mask, size)


def stamp(folder: Path, pairs: pd.DataFrame) -> str:
    """12 hex digits that change when any file is added, removed, renamed or written, known without reading them."""
    changes = hashlib.sha256()
    for name in [*pairs["image"], *pairs["mask"]]:
        if name:
            status = path.stat() if (path := folder / name).exists() else path.lstat()  # a link to nowhere
            changes.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return changes.hexdigest()[:12]


def prepare(folder: Path, size: int) -> tuple[Path, float]:
    """Decode and resize every pair once, on all cores: (folder of the cache, seconds it took; 0.0 if it was there).

    The cache holds images.npy, masks.npy (usable pictures only, in the audit's order), audit.csv and their fingerprint.
    It is written to a temporary folder and renamed, so a killed preparation leaves nothing that would be read.
    """
    pairs, contents = find_pairs(folder), hashlib.sha256()
    cache = runs_folder() / ".cache" / f"{size}px-{stamp(folder, pairs)}"
    if cache.is_dir():
        return cache, 0.0
    sweep(cache.parent.glob(".*"))
    started = time.perf_counter()
    keep_memory()
    with atomic(cache, folder=True) as temporary, ThreadPoolExecutor(cores()) as threads:
        rows, shape = [], (len(pairs), size, size)
        results = threads.map(lambda pair: inspect(folder, pair, size), pairs.to_dict("records"))
        files = new_array(temporary / "images.npy", (*shape, 3)), new_array(temporary / "masks.npy", shape)
        with files[0] as images, files[1] as masks:
            for row, image, mask in progress(results, "preparing pictures", len(pairs)):
                rows.append(row)
                if not row["problem"]:
                    images.write(image), masks.write(mask)
                    contents.update(f"{row['image_id']} {row['digest']}\n".encode())
        pd.DataFrame(rows, columns=AUDIT_COLUMNS).to_csv(temporary / "audit.csv", index=False)
        (temporary / "fingerprint").write_text(contents.hexdigest()[:12])
    return cache, time.perf_counter() - started


def read_metadata(folder: Path) -> pd.DataFrame:
    """metadata.csv as car_id, year, make, model, trim1, trim2 (text, unknown cells empty), one row a car.

    Without that file only an empty column car_id. Raises DataError for a file without a column id.
    """
    path = folder / "metadata.csv"
    if not path.exists():
        return pd.DataFrame(columns=["car_id"])
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns={"id": "car_id"})
        return table.filter(["car_id", "year", "make", "model", "trim1", "trim2"]).drop_duplicates("car_id")
    except (ValueError, KeyError):  # pandas' parser and decoding errors are ValueErrors
        raise DataError(f"{path} is not a table with the column 'id'; mend it, or remove it to go on without") from None


def open_data(params) -> Carvana:
    """Prepare (or find) the cache, join the metadata, split by car, and leave audit.csv and split.csv in the run.

    Raises DataError where no usable picture is left, and, with `params.strict`, where the audit found any fault;
    DataError for fewer than two cars.
    """
    folder, run = data_folder(params.data_dir), Run(params.run_name)
    cache, seconds = prepare(folder, params.image_size)
    audit = pd.read_csv(cache / "audit.csv", dtype={"image_id": str, "car_id": str}, keep_default_na=False)
    audit[["width", "height", "area"]] = audit[["width", "height", "area"]].apply(pd.to_numeric)
    write_csv(run.audit, audit)
    faults = audit[audit["problem"] != ""]
    if params.strict and len(faults):
        first = faults.iloc[0]
        raise DataError(
            f"{len(faults)} faulty picture(s), first {first['image_id']}: {first['problem']}; see {run.audit}, "
            "mend or remove them, or set strict=False to go on without them"
        )
    table = audit[audit["problem"] == ""].drop(columns="problem").reset_index(drop=True)
    if table.empty:
        raise DataError(f"none of the {len(audit)} pictures in {folder} is usable; see the reasons in {run.audit}")
    table["split"] = split_by_car(table, params.seed, params.val_fraction, params.test_fraction)
    if params.split_by == "image":
        table["split"] = split_by_image(table, params.seed)
    write_csv(run.split, table[["image_id", "car_id", "view", "split"]])
    table = table.merge(read_metadata(folder), on="car_id", how="left", validate="many_to_one")
    images, masks = (np.load(cache / name, mmap_mode="r")[: len(table)] for name in ("images.npy", "masks.npy"))
    return Carvana(folder, table, images, masks, audit, (cache / "fingerprint").read_text(), seconds)
