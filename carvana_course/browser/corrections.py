"""Masks that a person has corrected: new files beside the old ones, and a new data folder to train on.

`corrected/NAME_mask_1.png` is the first correction of the mask of `train/NAME.jpg`, `NAME_mask_2.png` the second; the
newest counts. Nothing is ever written over.
"""

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from carvana_lib import RunError
from carvana_lib.pairs import STRANGE, visible
from carvana_lib.reading import PHOTO_SUFFIXES
from carvana_lib.runs import atomic, remove, writing

CORRECTION = re.compile(r"(?P<image_id>.+)_mask_(?P<number>[1-9]\d*)\.png")


class Gathered(NamedTuple):
    """How many photos of a new data folder have a corrected mask, how many their first one, how many had none."""

    corrected: int
    unchanged: int
    left_out: int


def newest_corrections(folder: Path) -> dict[str, Path]:
    """{image_id: its newest mask} in a folder of corrections; empty where there is no such folder."""
    newest = {}
    if not Path(folder).is_dir():
        return {}
    for path in Path(folder).iterdir():
        name = CORRECTION.fullmatch(path.name)
        if name and path.stat().st_size:  # without content: a number that somebody is just writing to
            image_id = name["image_id"]
            newest[image_id] = max(newest.get(image_id, (0, path)), (int(name["number"]), path))
    return {image_id: path for image_id, (_, path) in newest.items()}


def check_writable(folder: Path) -> None:
    """Make the folder of corrections. Raises RunError, with a place to choose, where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
        reason = "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    raise RunError(
        f"new masks cannot be written to {folder}: {reason}; give MaskBrowser a folder of your own, as in "
        "corrected='runs/corrected'"
    )


def save_mask(folder: Path, image_id: str, mask: np.ndarray) -> Path:
    """Write a mask (H, W), 0 is background, as a PNG of 0 and 255 with the next free number; the file.

    The number is taken by making the file, which of two people at once only one can. Raises RunError where nothing can
    be written; then no file is left.
    """
    if Path(image_id).name != image_id or not image_id or image_id[0] == "." or STRANGE.search(image_id):
        raise RunError(f"image_id {image_id!r} cannot be the name of a file; rename it in the table")
    path = take_number(Path(folder), image_id)
    try:
        _, content = cv2.imencode(".png", np.where(mask > 0, np.uint8(255), np.uint8(0)))
        with atomic(path) as temporary:
            temporary.write_bytes(content.tobytes())
    except BaseException:
        remove(path)
        raise
    return path


def take_number(folder: Path, image_id: str) -> Path:
    """Make the empty file of an image's next correction."""
    number = 1
    while True:
        path = folder / f"{image_id}_mask_{number}.png"
        with writing(path):
            try:
                path.touch(exist_ok=False)
                return path
            except FileExistsError:
                number += 1


def write_data_folder(target: Path, source: Path, corrected: Path, images=None) -> Gathered:
    """A new data folder: the photos of source/train/, each with its newest correction, or else its mask of source.

    Photos without either are left out, and with `images` all but these image_ids. Photos and masks are linked (a copy
    where the disk is another one), so that they take no room; metadata.csv comes along. Raises RunError for a target
    that exists, and where it cannot be written; then nothing of it is left.
    """
    target = Path(target)
    if target.exists():
        raise RunError(f"{target} exists, and is not written over; choose another name for the new data folder")
    photos = [path for path in visible(Path(source) / "train") if path.suffix.lower() in PHOTO_SUFFIXES]
    first = masks_of(Path(source) / "train_masks")
    newest = newest_corrections(corrected)
    chosen = [path for path in photos if images is None or path.stem in set(images)]
    counts = dict.fromkeys(Gathered._fields, 0)
    with atomic(target, folder=True) as temporary:
        for name in ("train", "train_masks"):
            (temporary / name).mkdir()
        for photo in chosen:
            mask = newest.get(photo.stem, first.get(photo.stem))
            if mask is None:
                counts["left_out"] += 1
                continue
            counts["corrected" if photo.stem in newest else "unchanged"] += 1
            link_or_copy(photo, temporary / "train" / photo.name)
            link_or_copy(mask, temporary / "train_masks" / f"{photo.stem}_mask{mask.suffix}")
        metadata = Path(source) / "metadata.csv"
        if metadata.exists():
            link_or_copy(metadata, temporary / "metadata.csv")
    return Gathered(**counts)


def masks_of(folder: Path) -> dict[str, Path]:
    """{image_id: mask} of a folder train_masks/, which somebody who begins does not have yet."""
    if not folder.is_dir():
        return {}
    return {path.stem.removesuffix("_mask"): path for path in visible(folder)}


def link_or_copy(path: Path, target: Path) -> None:
    """A second name for a file; a copy where the system cannot give one."""
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)
