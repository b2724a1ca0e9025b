"""Draws thirty photos of ten invented mugs with their masks: `python scripts/thirty_photos.py FOLDER`.

FOLDER/photos/mug01_1.jpg ... mug10_3.jpg and FOLDER/masks/mug01_1.png ...: try `carvana look FOLDER` on it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

OBJECTS = 10
PHOTOS = 3  # of each
SIZE = (160, 120)  # width and height, pixels


def draw_pair(number: int, view: int) -> tuple[Image.Image, Image.Image]:
    """(photo in RGB, mask in grey, 0 and 255): a mug with a handle before noise, smaller and shifted by view."""
    rng = np.random.default_rng([number, view])
    colour = np.random.default_rng(number).integers(10, 110, 3)
    mask = Image.new("L", SIZE, 0)
    pen = ImageDraw.Draw(mask)
    x, y = (int(value) for value in rng.integers(20, 45, 2))
    width = 60 - 8 * view
    pen.rounded_rectangle([x, y, x + width, y + 55], radius=8, fill=255)
    pen.ellipse([x + width - 8, y + 10, x + width + 22, y + 42], outline=255, width=7)
    ground = Image.fromarray(rng.integers(140, 210, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
    paint = Image.fromarray((colour + rng.integers(0, 30, (SIZE[1], SIZE[0], 3))).astype(np.uint8))
    return Image.composite(paint, ground, mask), mask


def write_photos(folder: Path) -> None:
    """Write all photos and masks below `folder`."""
    for place in ("photos", "masks"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number in range(1, OBJECTS + 1):
        for view in range(1, PHOTOS + 1):
            photo, mask = draw_pair(number, view)
            photo.save(folder / "photos" / f"mug{number:02d}_{view}.jpg", quality=92)
            mask.save(folder / "masks" / f"mug{number:02d}_{view}.png")


if __name__ == "__main__":
    write_photos(Path(sys.argv[1]))
