"""A contact sheet: photos of an unknown folder with their masks laid over, as `carvana adopt` would read them."""

import warnings
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from carvana_course.adopt.findings import Survey, spread
from carvana_course.adopt.masks import mask_of
from carvana_course.show.figures import ORANGE
from carvana_course.show.pictures import overlay, picture_grid, save_picture
from carvana_lib import CarvanaError, DataError
from carvana_lib.reading import open_photo

PICTURES = 12
SHEET_SIZE = (320, 240)  # width and height of each, pixels
LETTERS = 24  # of a name


def default_sheet(folder: Path) -> Path:
    """Where the contact sheet goes: beside the folder, whose pictures are only read."""
    place = folder.resolve()
    return place.parent / f"{place.name or 'pictures'}-look.jpg"


def check_sheet(out: Path, folder: Path) -> None:
    """Raise DataError for a contact sheet that would lie among the pictures, or that is no JPEG by its name."""
    if out.suffix.lower() not in (".jpg", ".jpeg"):
        raise DataError(f"--out {out} must end in .jpg; the contact sheet is a JPEG")
    if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"--out {out} lies in {folder}, which is only read; give a place elsewhere")


def write_sheet(survey: Survey, out: Path) -> None:
    """Write the sheet as a JPEG; a pair that cannot be read is a white picture that says so."""
    pictures = []
    titles = []
    for candidate in spread(survey.pairs, PICTURES):
        name = PurePosixPath(candidate.file).name
        title = name if len(name) <= LETTERS else f"...{name[-LETTERS:]}"
        try:
            photo, size = open_photo(survey.images / candidate.file)
            pictures.append(lay_over(photo, mask_of(candidate.mask.content, size, survey.how)))
        except CarvanaError:
            pictures.append(np.full((SHEET_SIZE[1], SHEET_SIZE[0], 3), 255, np.uint8))
            title += ": refused"
        titles.append(title)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of letters that the font lacks
        grid = picture_grid(pictures, titles, legend={"object": ORANGE}, alt="Photos with their masks laid over")
        save_picture(grid, out)


def lay_over(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(240, 320, 3) uint8: photo (H, W, 3) uint8 with mask (H, W) uint8 {0, 1} laid over, whole, on white."""
    small_photo = ImageOps.pad(Image.fromarray(photo), SHEET_SIZE, color="white")
    small_mask = ImageOps.pad(Image.fromarray(255 * mask), SHEET_SIZE, color=0)
    return overlay(np.asarray(small_photo), np.asarray(small_mask) > 127, ORANGE, 0.6)
