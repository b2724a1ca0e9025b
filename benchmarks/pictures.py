"""Pictures of Carvana's native size for the measurements."""

import os
from pathlib import Path

import cv2
from PIL import Image

from carvana_lib.pairs import find_pairs
from carvana_lib.reading import read_mask, read_photo
from carvana_lib.runs import ROOT

NATIVE = (1918, 1280)  # width, height
QUALITY = 90  # of the JPEGs


def make_native(folder: Path, count: int, size: tuple[int, int] = NATIVE) -> Path:
    """Pictures of the sample, enlarged: JPEGs and palette GIFs, as in the Carvana challenge.

    They hold less detail than photographs, so they are smaller files and quicker to decode, for both sides alike.
    """
    for name in ("train", "train_masks"):
        (folder / name).mkdir(parents=True)
    pairs = find_pairs(ROOT / "sample")
    for pair in pairs.iloc[:: len(pairs) // count][:count].to_dict("records"):  # of all cars
        photo = cv2.resize(read_photo(ROOT / "sample" / pair["image"]), size, interpolation=cv2.INTER_CUBIC)
        mask = cv2.resize(255 * read_mask(ROOT / "sample" / pair["mask"]), size, interpolation=cv2.INTER_LINEAR)
        Image.fromarray(photo).save(folder / "train" / f"{pair['image_id']}.jpg", quality=QUALITY)
        gif = Image.fromarray((mask > 127).astype("uint8"), "P")
        gif.putpalette([0, 0, 0, 255, 255, 255])
        gif.save(folder / "train_masks" / f"{pair['image_id']}_mask.gif")
    return folder


def repeat(source: Path, folder: Path, count: int) -> Path:
    """A folder of `count` pictures that are links to those of another, as often as it takes."""
    for name in ("train", "train_masks"):
        (folder / name).mkdir(parents=True)
    pairs = find_pairs(source).to_dict("records")
    for i in range(count):
        pair = pairs[i % len(pairs)]
        for kind, end in (("image", ""), ("mask", "_mask")):
            path = (source / pair[kind]).resolve()
            os.symlink(path, folder / Path(pair[kind]).parent / f"{i // 16:012x}_{i % 16 + 1:02d}{end}{path.suffix}")
    return folder
