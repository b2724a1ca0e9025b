"""The one way to read a photo and the one way to read a mask: what a person sees in a viewer decides."""

import importlib.util
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from carvana_lib import DataError

PIXEL_LIMIT = 120_000_000  # of one picture; a few kilobytes can claim to be more and fill the memory
HEIC_SUFFIXES = (".heic", ".heif")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif")
PHOTO_SUFFIXES += HEIC_SUFFIXES
MASK_SUFFIXES = (".gif", ".png")

HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None
if HAS_HEIC:
    importlib.import_module("pillow_heif").register_heif_opener()
for category in (Image.DecompressionBombWarning, UserWarning):  # Pillow's own limit, and such as a damaged EXIF
    warnings.filterwarnings("ignore", category=category, module="PIL")  # what matters is raised as an error


@contextmanager
def _opened(path_or_file, formats: str):
    """Yield Pillow's picture; DataError for what is none, is cut off, or has more than PIXEL_LIMIT pixels."""
    name = path_or_file if isinstance(path_or_file, str | Path) else getattr(path_or_file, "name", None)
    name = name if isinstance(name, str | Path) else "the picture"  # a temporary file's name may be a number
    Image.init()  # Pillow loads its formats when it first needs them; of two threads at once, one can miss some
    try:
        is_path = isinstance(path_or_file, str | Path)  # Pillow maps the file of a path to memory, and turns it wrongly
        with open(path_or_file, "rb") if is_path else nullcontext(path_or_file) as file, Image.open(file) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise Image.DecompressionBombError
            is_deep = image.mode[0] != "I" and ";16" in str(image.tile)  # of 16 bits a colour Pillow keeps the upper 8
            if is_deep and max(high for _, high in image.convert("RGB").getextrema()) < 16:
                raise ValueError("of its 16 bits the upper are empty; scale them to 8")
            yield image
            return
    except Image.DecompressionBombError:
        raise DataError(f"{name} has more than {PIXEL_LIMIT // 10**6} million pixels; make it smaller first") from None
    except UnidentifiedImageError:
        is_heic = str(name).lower().endswith(HEIC_SUFFIXES)
        reason = "HEIC needs 'pip install pillow-heif'" if is_heic and not HAS_HEIC else "no known format"
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ... by format
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{name} is not a readable picture ({reason}); save it anew as {formats}")


def _as_bytes(image: Image.Image) -> Image.Image:
    """A picture with 8 bits a channel: grey of more is scaled by the 8, 12 or 16 bits that its greatest value takes,
    where Pillow would clip it. ValueError for 32-bit grey, whose white is not known.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit grey")
    shift = next(bits - 8 for bits in (8, 12, 16) if values.max() < 2**bits)
    return Image.fromarray((values >> shift).astype(np.uint8))


def _as_rgb(image: Image.Image) -> Image.Image:
    """A picture of any of Pillow's modes in mode RGB, what is transparent on white; ValueError as `_as_bytes`."""
    image = _as_bytes(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def open_photo(path_or_file, at_least: int = 0) -> tuple[np.ndarray, tuple[int, int]]:
    """(a photo as `read_photo` gives it, the (H, W) that it has in the file). Used by `read_photo` in 01."""
    with _opened(path_or_file, "JPEG or PNG") as image:
        width, height = image.size
        if at_least:
            image.draft(None, (at_least, at_least))
        image.load()  # which turns a TIFF by itself
        if image.getexif().get(0x0112) in (5, 6, 7, 8):  # EXIF's orientations that swap width and height
            width, height = height, width
        return np.asarray(_as_rgb(ImageOps.exif_transpose(image))), (height, width)


def read_photo(path_or_file, at_least: int = 0) -> np.ndarray:
    """A path or open file of any picture -> (H, W, 3) uint8 RGB, upright, what is transparent on white, 12 and 16 bits
    scaled to 8, of an animation the first picture. With `at_least`, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its
    size, fast, no side below it. Raises DataError for no picture, one cut off, or one above PIXEL_LIMIT. Taught in 01.
    """
    return open_photo(path_or_file, at_least)[0]


def read_mask(path: Path, threshold: int | None = None) -> np.ndarray:
    """(H, W) uint8 {0, 1}, upright. Car is what is bright on black, whatever a palette's indices are, or what is solid
    where transparency carries the shape. With `threshold`, car is grey (or opacity) of at least that, of 255. Raises
    DataError for a mask that does not tell, and as `read_photo` does. Taught in 01.
    """
    with _opened(path, "GIF or PNG") as file:
        image = ImageOps.exif_transpose(file)
        pixels = np.asarray(image.convert("L") if image.mode == "1" else image)  # not true and false of one bit
        as_bytes = _as_bytes(image)
    if image.mode not in ("P", "L"):
        return _judge(path, pixels, as_bytes, threshold).view(np.uint8)
    used = np.flatnonzero(cv2.calcHist([pixels], [0], None, [256], [0, 256]))
    values = image.crop((0, 0, len(used), 1))  # the few values that occur, each for all its pixels
    values.putdata(used.tolist())
    table = np.zeros(256, np.uint8)
    table[used] = _judge(path, np.asarray(values), values, threshold)
    return cv2.LUT(pixels, table)


def _judge(path: Path, stored: np.ndarray, image: Image.Image, threshold: int | None) -> np.ndarray:
    """(H, W) bool, true where the pixels of a mask are car. Raises DataError where they do not tell."""
    opacity = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        opacity = np.asarray(image.getchannel("A"))
    grey = np.asarray(image.convert("L"))
    colours = image.convert("RGB").getcolors(2) or "more than two"
    in_opacity = opacity is not None and (opacity.min() < min(opacity.max(), 223) or not opacity.any())
    values = opacity if in_opacity else grey
    if stored.dtype.itemsize > 1 and threshold is None and not in_opacity:
        values = stored  # 16 bits may be numbers of objects, which 8 bits would merge
    car = _bright(values)
    drawn = _bright(grey) if np.ptp(grey) else car  # what the colours show, whatever the opacity
    contradicts = drawn is not None and car is not None and (drawn != car).any()
    if in_opacity and (contradicts or len(np.unique(grey[opacity > 0])) > 1):
        reason = "colours and transparency show different shapes"
    elif not in_opacity and np.ptp(grey) == 0 and (len(colours) > 1 or (stored.ndim == 2 and np.ptp(stored))):
        reason = "its colours are equally bright"
    elif threshold is not None and 0 < values.max() < threshold:
        greatest = f"no grey reaches mask_threshold={threshold}, the greatest is {values.max()}"
        raise DataError(f"{path}: {greatest}; lower it")
    elif threshold is not None:
        return values >= threshold
    elif car is None:
        found = np.unique(values)
        reason = f"{len(found)} values instead of two"
        if len(found) <= 2:
            reason = f"no black, only grey {' and '.join(map(str, found))}: which is car?"
    elif not in_opacity and len(colours) > 2:
        reason = "more than two colours"
    else:
        return car
    remedy = "save it in black and white alone" if in_opacity else "save it in black and white, or set mask_threshold"
    raise DataError(f"{path}: {reason}; {remedy}")


def _bright(values: np.ndarray) -> np.ndarray | None:
    """(H, W) bool, true where the brighter of two values is, or of one value that says so alone; None for others."""
    found = np.unique(values)
    is_told = found[-1] in (0, 1, 255, 65535)
    if len(found) == 2:
        is_told = found[0] == 0 or (found[0] <= 32 and found[1] >= 223)  # such as nearly black and nearly white
    return (values == found[-1]) & (values > 0) if is_told and len(found) <= 2 else None
