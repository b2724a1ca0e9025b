"""From a folder of photos to arrays and a split: all that is known about the pictures, and which are trained on."""

import os
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from carvana_lib import DataError
from carvana_lib.cache import prepare
from carvana_lib.frame import IGNORE, Frame
from carvana_lib.reading import read_mask
from carvana_lib.runs import ROOT, Run, write_csv
from carvana_lib.split import across, split_by_car, split_by_image, unite


@dataclass
class Carvana:
    """Images (N, H, W, 3) uint8 RGB and masks (N, H, W) uint8 {0, 1}, memory-mapped, as high and wide as `frame`; row i
    of `table` describes picture i (image_id, car_id, view, width, height, area as share of the picture, metadata
    columns, split), and `audit` has a row for every file found, `problem` empty where it is fine. Used by `open_data`
    in 01.
    """

    folder: Path
    table: pd.DataFrame
    images: np.ndarray
    masks: np.ndarray
    audit: pd.DataFrame
    fingerprint: str  # of the files' contents: the same for a copy, another where any picture or mask differs
    seconds_to_prepare: float  # 0.0 when the cache was there
    mask_threshold: int | None
    frame: Frame

    def rows(self, split: str) -> np.ndarray:
        """Positions of the pictures of 'train', 'val' or 'test'."""
        return np.flatnonzero(self.table["split"] == split)

    def mask(self, row: int) -> np.ndarray:
        """The mask of a row as training sees it, (H, W) uint8: 0, 1, and IGNORE in the padding."""
        place = self.frame.place((self.table["height"].iat[row], self.table["width"].iat[row]))
        marked = np.full_like(self.masks[row], IGNORE)
        marked[place] = self.masks[row][place]
        return marked

    def read_mask(self, name: str) -> np.ndarray:
        """A mask of the table's column `mask` at its own size, (H, W) uint8 {0, 1}."""
        return read_mask(self.folder / name, self.mask_threshold)


def data_folder(data_dir: str) -> Path:
    """Resolve `data_dir`; relative paths start at ROOT, the repository. Used by `open_data` in 01."""
    folder = (ROOT / os.path.expanduser(data_dir)).resolve()
    for name in ("train", "train_masks"):
        if not (folder / name).is_dir():
            lacks = f"data_dir '{data_dir}' has no folder {name}/ (looked in {folder})"
            raise DataError(f"{lacks}; see 'Real data' in the README, or for your own pictures 'carvana look {folder}'")
    return folder


def _read_metadata(folder: Path) -> pd.DataFrame:
    """metadata.csv (id, year, make ...) as text, a row per car, none without it; line 1 tells comma, semicolon, tab."""
    path = folder / "metadata.csv"
    if not path.exists():
        return pd.DataFrame(columns=["car_id"])
    try:
        first_line = path.read_text(encoding="utf8").partition("\n")[0]
        format = {"sep": max(",;\t", key=first_line.count), "index_col": False, "skipinitialspace": True}
        with warnings.catch_warnings(action="ignore"):  # of a comma at each line's end
            table = pd.read_csv(path, dtype=str, keep_default_na=False, **format).rename(columns={"id": "car_id"})
        if "car_id" not in table:
            raise KeyError
        return table.filter(["car_id", "year", "make", "model", "trim1", "trim2"]).drop_duplicates("car_id")
    except (ValueError, KeyError, OSError):  # pandas' parser and decoding errors are ValueErrors
        fault = f"{path} is not a table in UTF-8 with the column 'id'"
        raise DataError(f"{fault}; mend it, or remove it to go on without") from None


def open_data(params) -> Carvana:
    """Prepare (or find) the cache, join the metadata, split by car, leave audit.csv and split.csv in the run. Raises
    DataError for no usable picture, for fewer than two cars, and, with `params.strict`, for any fault. Taught in 01.
    """
    folder = data_folder(params.data_dir)
    run = Run(params.run_name)
    cache, seconds = prepare(folder, params.frame, params.keep_empty, params.mask_threshold)
    audit = pd.read_csv(cache / "audit.csv", dtype={"image_id": str, "car_id": str}, keep_default_na=False)
    audit[["width", "height", "area"]] = audit[["width", "height", "area"]].apply(pd.to_numeric)
    write_csv(run.audit, audit)
    faults = audit["problem"] != ""
    left_out = f"{_counted(audit, 'problem', 'left out')}; see {run.audit}"
    if params.strict and faults.any():
        first = audit.loc[faults, "image_id"].iloc[0]
        raise DataError(f"{left_out}, first {first}; mend or remove them, or set strict=False to go on without them")
    if faults.all():
        raise DataError(f"no usable pair of photo and mask in {folder}: {left_out}")
    is_speaker = os.environ.get("RANK", "0") == "0"  # of a launcher's processes one speaks
    if faults.any() and is_speaker:
        print(left_out)
    if (audit["warning"] != "").any() and is_speaker:
        print(f"{_counted(audit, 'warning', 'with an odd mask')}; see {run.audit}")
    table = audit[~faults].drop(columns=["problem", "warning"]).reset_index(drop=True)
    shares = (params.val_fraction, params.test_fraction, params.folds, params.fold)
    dealt = unite(table) if params.group_duplicates else table
    table["split"] = split_by_car(dealt, params.seed, *shares)
    if params.split_by == "image":
        table["split"] = split_by_image(table, params.seed)
    for name in ("train", "val", "test"):
        if not (table["split"] == name).any():
            few = f"{len(table)} usable pictures of {table['car_id'].nunique()} cars leave none for {name}"
            remedy = f"add pictures of more cars, or name them by car as 'carvana look {folder}' shows"
            if dealt["car_id"].nunique() < table["car_id"].nunique():
                joined = dealt["car_id"].nunique()
                remedy = f"group_duplicates joined look-alikes into {joined}; set it to false, or add other photos"
            raise DataError(f"{few}, split by {params.split_by}; {remedy}")
    twins = across(table) if params.split_by == "car" else table[:0]
    if len(twins) and is_speaker:
        first = f"{len(twins)} pictures look like one on another side of the split, first {twins['image_id'].iloc[0]}"
        print(f"{first}; set group_duplicates to keep them on one side; see the column alike of {run.audit}")
    write_csv(run.split, table[["image_id", "car_id", "view", "split"]])
    table = table.merge(_read_metadata(folder), on="car_id", how="left", validate="many_to_one")
    images = np.memmap(cache / "images", mode="r").reshape(-1, params.frame.height, params.frame.width, 3)
    masks = np.memmap(cache / "masks", mode="r").reshape(-1, params.frame.height, params.frame.width)
    fingerprint = (cache / "fingerprint").read_text()
    return Carvana(folder, table, images, masks, audit, fingerprint, seconds, params.mask_threshold, params.frame)


def _counted(audit: pd.DataFrame, column: str, what: str) -> str:
    """For example '3 of 40 left out: 2 x image without mask, 1 x empty mask', with the commonest three reasons."""
    marked = audit[audit[column] != ""]
    reasons = Counter()
    for _, row in marked.iterrows():
        reason = row[column].partition("; ")[0]
        for kind in ("image", "mask"):
            reason = reason.replace(row[kind] or "no such file", kind)
        reasons[reason] += 1
    found = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    more = ", and others" if len(reasons) > 3 else ""
    return f"{(marked['image'] != '').sum()} of {(audit['image'] != '').sum()} {what}: {found}{more}"
