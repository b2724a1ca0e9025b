"""Figures from a rendered set: a contact sheet, a turntable strip with masks, crops of what is difficult.

`python -m studio sheets --data sample --out docs/images --crops studio/images`
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from studio.dataset import SETTINGS_FILE, StudioError, car_id, picture_paths
from studio.draws import draw_cars

CONTACT_VIEWS = (1, 3, 5, 8)
CONTACT_KINDS = ("sedan", "suv", "hatchback", "pickup", "coupe", "van", "wagon", "suv")
CONTACT_PAINTS = ("white", "red", "orange", "black", "blue", "silver", "green", "yellow")
OVERLAY = np.array([255, 40, 110], np.float32)
OUTLINE = (255, 40, 160)

# caption, car, view, and the left, top, width and height of the crop in a 480x320 picture of seed 0
DIFFICULTIES = (
    ("white car, white wall", 27, 12, (180, 85, 135, 90)),
    ("black tyres in their shadow", 30, 4, (20, 165, 150, 100)),
    ("windows to see through", 12, 11, (120, 55, 165, 110)),
    ("antenna", 24, 13, (235, 50, 135, 90)),
    ("roof rack with air below", 9, 4, (190, 55, 150, 100)),
    ("mirrors", 20, 3, (55, 85, 135, 90)),
    ("spoiler on stands", 11, 7, (320, 105, 135, 90)),
    ("tow hook", 8, 6, (345, 145, 135, 90)),
    ("spoked wheels", 1, 15, (235, 165, 135, 90)),
    ("paint mirrors the studio", 20, 3, (215, 115, 165, 110)),
    ("shadow and floor reflection", 28, 4, (75, 185, 180, 120)),
    ("lettering behind the car", 8, 6, (95, 45, 165, 110)),
    ("turntable, dark floor edge", 24, 13, (0, 215, 157, 105)),
    ("open bed, dark inside", 8, 6, (285, 85, 165, 110)),
    ("burnt-out white", 16, 8, (150, 60, 165, 110)),
)


class Sample:
    """A rendered folder with the list of its cars."""

    def __init__(self, root):
        self.root = Path(root)
        note = self.root / SETTINGS_FILE
        if not note.exists():
            raise StudioError(f"{root} holds no {SETTINGS_FILE}: render it first with `python -m studio --out {root}`.")
        self.settings = json.loads(note.read_text())
        self.cars = draw_cars(self.settings["cars"], self.settings["seed"])

    def picture(self, index, view):
        """The photograph of a car."""
        return Image.open(picture_paths(self.root, car_id(self.settings["seed"], index), view)[0]).convert("RGB")

    def mask(self, index, view):
        """Its mask as a boolean array."""
        return np.array(Image.open(picture_paths(self.root, car_id(self.settings["seed"], index), view)[1])) > 0

    def find(self, kind, paint, taken):
        """Index of a car of this kind that is not taken, of this paint if there is one."""
        fresh = [index for index in range(len(self.cars)) if index not in taken] or list(range(len(self.cars)))
        return min(fresh, key=lambda index: (self.cars[index].kind != kind, self.cars[index].paint != paint))


def contact_sheet(sample, tile=(288, 192)):
    """Eight cars, one in each row, from four sides."""
    views = [view for view in CONTACT_VIEWS if view <= sample.settings["views"]]
    sheet = Image.new("RGB", (tile[0] * len(views), tile[1] * len(CONTACT_KINDS)))
    taken = []
    for row, (kind, paint) in enumerate(zip(CONTACT_KINDS, CONTACT_PAINTS, strict=True)):
        taken.append(sample.find(kind, paint, taken))
        for column, view in enumerate(views):
            thumbnail = sample.picture(taken[-1], view).resize(tile, Image.Resampling.LANCZOS)
            sheet.paste(thumbnail, (column * tile[0], row * tile[1]))
    return sheet


def turntable_strip(sample, tile=(240, 160), columns=8):
    """All views of one car, the mask laid over each as a tint with a bright outline."""
    index = sample.find("hatchback", "orange", [])
    views = range(1, sample.settings["views"] + 1)
    rows = -(-len(views) // columns)
    sheet = Image.new("RGB", (tile[0] * min(columns, len(views)), tile[1] * rows), "white")
    for place, view in enumerate(views):
        picture, mask = np.array(sample.picture(index, view), np.float32), sample.mask(index, view)
        picture[mask] = 0.55 * picture[mask] + 0.45 * OVERLAY
        picture[outline(mask)] = OVERLAY
        thumbnail = Image.fromarray(picture.astype(np.uint8)).resize(tile, Image.Resampling.LANCZOS)
        ImageDraw.Draw(thumbnail).text((6, 4), f"{view:02d}", fill="black", font=ImageFont.load_default(14))
        sheet.paste(thumbnail, (place % columns * tile[0], place // columns * tile[1]))
    return sheet


def outline(mask):
    """Pixels of the mask that touch the background."""
    inner = mask.copy()
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        inner &= np.roll(mask, shift, axis)
    return mask & ~inner


def difficulty_sheet(sample, columns=5, tile=(285, 190), caption_height=24):
    """A captioned crop for each difficulty, the mask's boundary drawn as a thin line over its right half."""
    rows = -(-len(DIFFICULTIES) // columns)
    sheet = Image.new("RGB", (columns * (tile[0] + 6), rows * (tile[1] + caption_height + 6)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for place, (caption, index, view, box) in enumerate(DIFFICULTIES):
        left, top = place % columns * (tile[0] + 6), place // columns * (tile[1] + caption_height + 6)
        sheet.paste(crop(sample, index, view, box, tile), (left, top))
        draw.text((left + 4, top + tile[1] + 3), f"{place + 1}. {caption}", fill="black", font=font)
    return sheet


def crop(sample, index, view, box, tile):
    """A part of a picture, enlarged; right of its middle the mask's boundary is drawn."""
    left, top, width, height = box
    area = (left, top, left + width, top + height)
    enlarged = sample.picture(index, view).crop(area).resize(tile, Image.Resampling.BICUBIC)
    mask = Image.fromarray(sample.mask(index, view)).crop(area).resize(tile, Image.Resampling.NEAREST)
    line = outline(np.array(mask))
    line[:, : tile[0] // 2] = False
    line[[0, -1]] = line[:, [0, -1]] = False
    pixels = np.array(enlarged)
    pixels[line] = OUTLINE
    return Image.fromarray(pixels)


def main(arguments):
    """Write the figures."""
    parser = argparse.ArgumentParser(prog="python -m studio sheets", description="Figures from a rendered set.")
    parser.add_argument("--data", default="sample", help="rendered folder (sample)")
    parser.add_argument("--out", default="docs/images", help="folder for contact sheet and turntable strip")
    parser.add_argument("--crops", help="folder for the crops of difficult places; only for the set of seed 0")
    given = parser.parse_args(arguments)
    sample = Sample(given.data)
    figures = {
        Path(given.out) / "contact_sheet.jpg": contact_sheet(sample),
        Path(given.out) / "turntable.jpg": turntable_strip(sample),
    }
    if given.crops:
        figures[Path(given.crops) / "difficulties.jpg"] = difficulty_sheet(sample)
    for path, figure in figures.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.save(path, quality=84, optimize=True)
        print(f"{path}: {figure.width}x{figure.height}, {path.stat().st_size / 1000:.0f} kB")
