"""Which photo and mask belong together: names alone tie them, so everything that does not pair is told.

Layout, as in the Carvana challenge: `train/<car_id>_<view>.jpg`, `train_masks/<car_id>_<view>_mask.gif` (or .png).
"""

import re
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from carvana_lib import DataError
from carvana_lib.reading import MASK_SUFFIXES, PHOTO_SUFFIXES

NAME = re.compile(r"(?P<car_id>[^_]+)_(?P<view>\d{2,})")  # 00087a6bd4dc_01: the car, and which of its views
STRANGE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # would break a table apart, or cannot be written


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, in order, without hidden files and those of Windows. Used by `find_pairs` in 01."""
    return sorted(p for p in folder.iterdir() if p.name[0] != "." and p.name not in ("Thumbs.db", "desktop.ini"))


def find_pairs(folder: Path) -> pd.DataFrame:
    """Pair photos and masks by name: image_id, car_id, view, image and mask (paths relative to `folder`, or empty) and
    problem; a row for each pair and each other file. Raises DataError for a folder without any photo. Taught in 01.
    """
    photos = _by_id(folder / "train", "")
    masks = _by_id(folder / "train_masks", "_mask")
    if not any(path.suffix.lower() in PHOTO_SUFFIXES for paths in photos.values() for path in paths):
        suffixes = ", ".join(PHOTO_SUFFIXES)
        raise DataError(f"{folder / 'train'} holds no pictures ({suffixes}); see 'Real data' in the README")
    rows = []
    for image_id in sorted(photos | masks):
        files = [paths.get(image_id, []) for paths in (photos, masks)]
        shown = STRANGE.sub("?", image_id)
        problem = _problem(image_id, *files) if shown == image_id else "name is not UTF-8, or holds a line break"
        name = NAME.fullmatch(shown)
        is_named = shown == image_id and "/" not in image_id
        for pair in zip_longest(*files):
            image, mask = (str(path.relative_to(folder)) if path and is_named else "" for path in pair)
            rows.append((shown, name["car_id"] if name else "", int(name["view"]) if name else 0, image, mask, problem))
    return pd.DataFrame(rows, columns=["image_id", "car_id", "view", "image", "mask", "problem"])


def _by_id(folder: Path, end: str) -> dict[str, list[Path]]:
    """image_id -> the files of a folder that bear it; what is no picture goes by its whole name."""
    found = {}
    for path in visible(folder):
        is_picture = path.suffix.lower() in PHOTO_SUFFIXES and not path.is_dir()
        image_id = path.stem.removesuffix(end) if is_picture else f"{folder.name}/{path.name}"
        found.setdefault(image_id, []).append(path)
    return found


def _problem(image_id: str, photos: list[Path], masks: list[Path]) -> str:
    """Why these files of one image_id are no pair, or ''."""
    for what, paths in {"photos": photos, "masks": masks}.items():
        if len(paths) > 1:
            return f"{len(paths)} {what} of one name: {', '.join(path.name for path in paths)}; keep one"
    file = (photos or masks)[0]
    if file.is_dir():
        return "a folder, which is not looked into; move its pictures up"
    if file.suffix.lower() not in PHOTO_SUFFIXES:
        return f"no picture: unknown ending '{file.suffix}'"
    if masks and masks[0].suffix.lower() not in MASK_SUFFIXES:
        return f"mask is a {masks[0].suffix} file; save it as .png or .gif, which keep each pixel"
    if not photos:
        return "mask without image"
    if not NAME.fullmatch(image_id):
        folder = file.parent.parent
        return f"name is not <car_id>_<view> with two digits or more: 'carvana look {folder}' shows how to adopt it"
    return "" if masks else "image without mask"
