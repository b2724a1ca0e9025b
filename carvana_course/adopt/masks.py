"""The mask of a photo, whatever it comes from: a picture as a person sees it, one of its colours, or outlines."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from carvana_course.adopt.annotations import Annotation
from carvana_course.adopt.polygons import draw_mask
from carvana_lib import DataError, ParameterError
from carvana_lib.reading import read_mask, read_photo

LOSSY = (".jpg", ".jpeg", ".jfif")  # which change each colour a little
NEARLY_WHITE = 223  # as `read_mask` has it


class HowToRead(NamedTuple):
    """What a person said of the masks: the colour of the object (RGB), the grey it begins at, and its classes."""

    colour: tuple[int, int, int] | None = None
    threshold: int | None = None
    classes: frozenset[str] = frozenset()


def parse_colour(text: str) -> tuple[int, int, int] | None:
    """'ff8000' or '#FF8000' -> (255, 128, 0); None for ''. Raises ParameterError for anything else."""
    if not text:
        return None
    digits = text.removeprefix("#")
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise ParameterError(f"--colour '{text}' is no colour; write red, green and blue in six digits, as in ff8000")
    return tuple(bytes.fromhex(digits))


def mask_of(content: Path | Annotation, size: tuple[int, int], how: HowToRead) -> np.ndarray:
    """(H, W) uint8 {0, 1} of a photo of this size. Raises DataError for a mask that does not tell, or does not fit."""
    if isinstance(content, Annotation):
        return draw_mask(content, size, how.classes)
    mask = mask_of_picture(content, how)
    if mask.shape != size:
        sizes = f"mask is {mask.shape[1]}x{mask.shape[0]}, photo is {size[1]}x{size[0]} when upright"
        raise DataError(f"{sizes}; make the mask at that size")
    return mask


def mask_of_picture(path: Path, how: HowToRead) -> np.ndarray:
    """(H, W) uint8 {0, 1} of a picture of any size. Raises DataError with the option that settles it."""
    if how.colour is None:
        try:
            return read_mask(path, how.threshold)
        except DataError as error:
            options = "give --threshold (for soft masks) or --colour (for one of several colours)"
            message = str(error).replace("set mask_threshold", options)
            raise DataError(message.replace("mask_threshold=", "--threshold ")) from None
    if path.suffix.lower() in LOSSY:
        raise DataError(f"{path}: JPEG changes colours, so none can be picked; save masks as PNG, or use --threshold")
    pixels = read_photo(path)  # which has judged that it is a picture
    if is_see_through(path):
        raise DataError(f"{path}: nobody sees the colour of transparent pixels; leave --colour out, or save without")
    return (pixels == np.uint8(how.colour)).all(-1).view(np.uint8)


def is_see_through(path: Path) -> bool:
    """True for a picture with a pixel that is not opaque."""
    with Image.open(path) as image:
        return image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255


def object_colour(path: Path, mask: np.ndarray) -> str:
    """The one colour that a mask (H, W) uint8 {0, 1} has taken for the object, as 'rrggbb', nearly white as white.

    '' where there is no object, and where transparency and not colour shows it.
    """
    if not mask.any() or is_see_through(path):
        return ""
    colour = read_photo(path).reshape(-1, 3)[mask.argmax()]
    return "ffffff" if colour.min() >= NEARLY_WHITE else bytes(colour).hex()


def colours_of(path: Path, most: int = 256) -> dict[str, int]:
    """{colour as 'rrggbb': its pixels} of a mask as a person sees it, the commonest first; {} for over `most`."""
    found = Image.fromarray(read_photo(path)).getcolors(most) or []
    return {bytes(colour).hex(): count for count, colour in sorted(found, reverse=True)}
