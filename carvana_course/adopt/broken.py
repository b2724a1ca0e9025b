"""Copies of sound pairs, seven of them broken in the ways in which real folders are: what the audit of 01 looks at."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFile, ImageFilter

HALF_WIDTH = 240  # of a photo or a mask, pixels
GAP = 8  # between them


def shrink_mask(mask: Path) -> None:
    """Save a mask at half its size."""
    with Image.open(mask) as picture:
        small = picture.resize((picture.width // 2, picture.height // 2))
    small.save(mask)


def soften_mask(mask: Path) -> None:
    """Save a mask with a blurred outline."""
    with Image.open(mask) as picture:
        blurred = picture.convert("L").filter(ImageFilter.GaussianBlur(picture.width / 60))
    blurred.save(mask)


def empty_mask(mask: Path) -> None:
    """Save a mask of the same size without any car."""
    with Image.open(mask) as picture:
        size = picture.size
    Image.new("L", size).save(mask)


FAULTS = (  # what becomes of the files of a pair
    lambda photo, mask: None,
    lambda photo, mask: photo.unlink(),
    lambda photo, mask: mask.unlink(),
    lambda photo, mask: photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2]),
    lambda photo, mask: shrink_mask(mask),
    lambda photo, mask: empty_mask(mask),
    lambda photo, mask: soften_mask(mask),
    lambda photo, mask: photo.write_bytes(b"not a picture"),
)


def write_broken(data, folder: Path) -> None:
    """Copy eight pairs of `data` to train/ and train_masks/ in `folder`, which is empty, and break all but the first.

    Their cars are called car0 to car7; a set of fewer pictures begins again with its first.
    """
    for name in ("train", "train_masks"):
        (folder / name).mkdir()
    for number, spoil in enumerate(FAULTS):
        row = data.table.iloc[number % len(data.table)]
        photo = folder / "train" / f"car{number}_01{Path(row['image']).suffix}"
        mask = folder / "train_masks" / f"car{number}_01_mask{Path(row['mask']).suffix}"
        photo.write_bytes((data.folder / row["image"]).read_bytes())
        mask.write_bytes((data.folder / row["mask"]).read_bytes())
        spoil(photo, mask)


def pair_picture(folder: Path, pair: dict) -> np.ndarray:
    """Photo and mask of a row of `find_pairs` side by side, in one scale, (H, 488, 3) uint8.

    A crossed field stands for a file that is not there or that nothing can be seen of.
    """
    halves = [whatever_opens(folder / pair[name]) if pair[name] else None for name in ("image", "mask")]
    sizes = [half.size for half in halves if half]
    scale = HALF_WIDTH / max(width for width, _ in sizes)
    height = round(scale * max(height for _, height in sizes))
    sheet = Image.new("RGB", (2 * HALF_WIDTH + GAP, height), "white")
    pen = ImageDraw.Draw(sheet)
    for left, half in zip((0, HALF_WIDTH + GAP), halves, strict=True):
        right = left + HALF_WIDTH - 1
        pen.rectangle((left, 0, right, height - 1), fill="lightgrey")
        if half:
            sheet.paste(half.resize((round(scale * half.width), round(scale * half.height))), (left, 0))
        else:
            pen.line((left, 0, right, height - 1), fill="grey", width=2)
            pen.line((left, height - 1, right, 0), fill="grey", width=2)
    return np.asarray(sheet)


def whatever_opens(path: Path) -> Image.Image | None:
    """A picture in RGB, also one that is cut off, as far as it goes; None for one of which nothing can be seen."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError:  # also a PNG of which too little is left
        return None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
