"""Photos and masks from files: which belong together, and the one way to read each.

Layout, as in the Carvana challenge: `train/<car_id>_<view>.jpg`, `train_masks/<car_id>_<view>_mask.gif` (or .png).
"""

import re
import warnings
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from carvana_lib import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MASK_SUFFIXES = (".gif", ".png")
NAME = re.compile(r"(?P<car_id>[^_]+)_(?P<view>\d{2})")  # 00087a6bd4dc_01: the car, and which of its 16 views
PIXEL_LIMIT = 120_000_000  # of one picture; a few kilobytes can claim to be more and fill the memory

for category in (Image.DecompressionBombWarning, UserWarning):  # Pillow's own limit, and such as a damaged EXIF
    warnings.filterwarnings("ignore", category=category, module="PIL")  # what matters is raised as an error


def visible(folder: Path) -> list[Path]:
    """Files of a folder in order, without hidden ones such as a killed download leaves. Used by `find_pairs` in 01."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def find_pairs(folder: Path) -> pd.DataFrame:
    """Pair pictures and masks by name: image_id, car_id, view, image, mask, problem; one row per picture or lone mask.
    `image` and `mask` are paths relative to `folder`, empty where one is missing. Raises DataError for a folder without
    any picture. Taught in 01.
    """
    photos = {f.stem: f for f in visible(folder / "train") if f.suffix.lower() in IMAGE_SUFFIXES}
    masks = [f for f in visible(folder / "train_masks") if f.suffix.lower() in MASK_SUFFIXES]
    masks = {f.stem.removesuffix("_mask"): f for f in masks}
    if not photos:
        suffixes = ", ".join(IMAGE_SUFFIXES)
        raise DataError(f"{folder / 'train'} holds no pictures ({suffixes}); see 'Real data' in the README")
    rows = []
    for image_id in sorted(photos | masks):
        shown = image_id.encode("utf8", "backslashreplace").decode()
        name = NAME.fullmatch(shown)
        image = str(photos[image_id].relative_to(folder)) if image_id in photos else ""
        mask = str(masks[image_id].relative_to(folder)) if image_id in masks else ""
        problem = "" if name else "name is not <car_id>_<two-digit view>"
        if not image:
            problem = "mask without image"
        if not mask:
            problem = "image without mask"
        if shown != image_id:
            image = ""
            mask = ""
            problem = "name is not UTF-8"
        rows.append((shown, name["car_id"] if name else "", int(name["view"]) if name else 0, image, mask, problem))
    return pd.DataFrame(rows, columns=["image_id", "car_id", "view", "image", "mask", "problem"])


@contextmanager
def _opened(path_or_file, formats: str):
    """Yield Pillow's picture; DataError for what is none, is cut off, or has more than PIXEL_LIMIT pixels."""
    name = path_or_file if isinstance(path_or_file, str | Path) else getattr(path_or_file, "name", None)
    name = name if isinstance(name, str | Path) else "the picture"  # a temporary file's name may be a number
    Image.init()  # Pillow loads its formats when it first needs them; of two threads at once, one can miss some
    try:
        with Image.open(path_or_file) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise Image.DecompressionBombError
            yield image
            return
    except Image.DecompressionBombError:
        raise DataError(f"{name} has more than {PIXEL_LIMIT // 10**6} million pixels; make it smaller first") from None
    except UnidentifiedImageError:
        reason = "no known format"
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ... by format
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{name} is not a readable picture ({reason}); save it anew as {formats}")


def _as_rgb(image: Image.Image) -> Image.Image:
    """A picture of any of Pillow's modes in mode RGB; ValueError for 32-bit grey, whose white is not known."""
    if image.mode in ("I", "F"):
        raise ValueError("32-bit grey")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # convert("RGB") would clip at 255
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def open_photo(path_or_file, at_least: int = 0) -> tuple[np.ndarray, tuple[int, int]]:
    """(a photo as `read_photo` gives it, the (H, W) that it has in the file). Used by `read_photo` in 01."""
    with _opened(path_or_file, "JPEG or PNG") as image:
        size = image.size
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()
        turned = image.getexif().get(0x0112) in (5, 6, 7, 8)  # EXIF's orientations that swap width and height
        height, width = size if turned else size[::-1]
        return np.asarray(_as_rgb(ImageOps.exif_transpose(image))), (height, width)


def read_photo(path_or_file, at_least: int = 0) -> np.ndarray:
    """A path or open file of any picture -> (H, W, 3) uint8 RGB, upright, what is transparent on white, 16 bits scaled
    to 8, of an animation the first picture. With `at_least`, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size,
    fast, no side below it. Raises DataError for no picture, one cut off, or one above PIXEL_LIMIT. Taught in 01.
    """
    photo, _ = open_photo(path_or_file, at_least)
    return photo


def read_mask(path: Path) -> np.ndarray:
    """(H, W) uint8 {0, 1}. Palette masks are read as indices, so that no colour table can change them. Raises DataError
    for a mask with other than two values, and as `read_photo` does. Taught in 01.
    """
    with _opened(path, "GIF or PNG") as image:
        values = np.asarray(image if image.mode in ("P", "L", "1") else image.convert("L"), dtype=np.uint8)
    if cv2.sumElems(values)[0] != int(values.max()) * cv2.countNonZero(values):
        raise DataError(f"{Path(path).name}: {len(np.unique(values))} values in the mask instead of two")
    return (values > 0).view(np.uint8)


def resize(array: np.ndarray, size: int) -> np.ndarray:
    """Area resize to (size, size); a 0/1 mask becomes 1 where at least half of the covered area is 1. Taught in 01."""
    if array.ndim == 3:
        return cv2.resize(array, (size, size), interpolation=cv2.INTER_AREA)
    height, width = array.shape
    step = height // size if height % size == 0 else 1  # whole rows are added up at once, which halves the time
    added = array.reshape(height // step, step, width).sum(1, dtype=np.min_scalar_type(step)).astype(np.float32)
    return (cv2.resize(added, (size, size), interpolation=cv2.INTER_AREA) >= step / 2).view(np.uint8)
