"""From a trained net to the mask of any photo, at the photo's own size.

The net was trained on photos stretched to a square, so a photo is stretched in the same way, and what the net says of
the square is brought back to the photo's size. It is brought back as logits: they change evenly across an outline, so
the outline that is then drawn at logit 0 runs between the small pixels. A mask of 0 and 1 has only their stairs.
"""

import copy
import math
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from accelerate import PartialState
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import nn

from carvana_lib import DataError, ParameterError
from carvana_lib.config import Params
from carvana_lib.data import PIXEL_LIMIT, resize
from carvana_lib.device import make_accelerator
from carvana_lib.model import LEVELS, DoubleConv

WAYS = ("whole", "larger", "tiles", "native")
SCALE = 1.25  # of `larger` and `tiles`. A net of ours scored IoU 0.958 at scale 1, 0.952, 0.916 at 1.5 and 0.711 at 2
ORIENTATION, QUARTER_TURNS = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap width and height

for category in (Image.DecompressionBombWarning, UserWarning):  # Pillow's own limit, and such as a damaged EXIF
    warnings.filterwarnings("ignore", category=category, module="PIL")  # what matters is raised as an error


def read_photo(path_or_file) -> np.ndarray:
    """Any picture that Pillow reads -> (H, W, 3) uint8 RGB, upright, what is transparent on white.

    16-bit values are scaled to 8 bits; of an animation it is the first picture. Takes a path or an open file.
    Raises DataError for what is not a picture, is cut off, or has more than PIXEL_LIMIT pixels.
    """
    return open_photo(path_or_file)[0]


def open_photo(path_or_file, at_least: int = 0) -> tuple[np.ndarray, tuple[int, int]]:
    """(photo as `read_photo` gives it, (H, W) of the file); the photo may be smaller, no side below `at_least` > 0.

    Only a JPEG is: it can be decoded at 1/2, 1/4 or 1/8 of its size, several times as fast.
    """
    name = path_or_file if isinstance(path_or_file, str | Path) else getattr(path_or_file, "name", None)
    name = name if isinstance(name, str | Path) else "the picture"  # a temporary file's name may be a number
    too_large = f"{name} has more than {PIXEL_LIMIT // 1_000_000} million pixels; make it smaller first"
    Image.init()  # Pillow loads its formats when it first needs them; of two threads at once, one can miss some
    try:
        with Image.open(path_or_file) as image:
            width, height = image.size
            if width * height > PIXEL_LIMIT:
                raise DataError(too_large)
            reduced = at_least and image.draft(None, (at_least, at_least))
            image.load()
            turned = image.getexif().get(ORIENTATION) in QUARTER_TURNS
            photo = np.asarray(as_rgb(ImageOps.exif_transpose(image)))
            return photo, ((width, height) if turned else (height, width)) if reduced else photo.shape[:2]
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(too_large) from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error ... by format
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "no known format"
        raise DataError(f"{name} is not a readable picture ({reason}); save it anew as JPEG or PNG") from None


def as_rgb(image: Image.Image) -> Image.Image:
    """A picture of any of Pillow's modes in mode RGB. Raises ValueError for 32-bit grey, whose white is not known."""
    if image.mode in ("I", "F"):
        raise ValueError("32-bit grey")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # convert("RGB") would clip at 255
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def fast(model: nn.Module, device: str = "auto", precision: str = "auto") -> nn.Module:
    """A copy of a net for prediction: on the device, in the precision that is fast there, in channels-last memory.

    Each BatchNorm, at prediction a multiplication and an addition per channel, is folded into the convolution before
    it: 8 to 10 % less time on two CPU cores. The copy can predict, and nothing else. Raises ParameterError for a
    device or precision that is not there.
    """
    net = copy.deepcopy(model).eval()
    for block in net.modules():
        if isinstance(block, DoubleConv):
            for i in (0, 3):
                block[i], block[i + 1] = nn.utils.fuse_conv_bn_eval(block[i], block[i + 1]), nn.Identity()
    net = net.to(memory_format=torch.channels_last)
    processes = PartialState(cpu=device == "cpu").num_processes  # each has its own batches, so any number will do
    params = Params(device=device, precision=precision, batch_size=processes)
    return make_accelerator(params).prepare_model(net, evaluation_mode=True)


def input_side(image_size: int, way: str) -> int:
    """Side of the square that a photo is stretched to, pixels. Raises ParameterError for an unknown way."""
    if way not in WAYS:
        raise ParameterError(f"way='{way}' is unknown; choose one of {', '.join(WAYS)}")
    return round(SCALE * image_size) if way in ("larger", "tiles") else image_size


@torch.inference_mode()
def net_logits(model: nn.Module, photos: np.ndarray, flip: bool = False) -> np.ndarray:
    """(B, H, W, 3) uint8 RGB of any size -> logits (B, H, W) float32.

    Sides that the poolings cannot halve are padded by repeating the edge, and cut again. `flip` averages with the
    mirror image, and does it on logits, so that one picture of them, in one scale, goes on to the photo's size.
    """
    height, width = photos.shape[1:3]
    padded = np.pad(photos, ((0, 0), (0, -height % 2**LEVELS), (0, -width % 2**LEVELS), (0, 0)), mode="edge")
    device = next(model.parameters(), torch.empty(0)).device
    images = torch.from_numpy(padded).to(device).permute(0, 3, 1, 2)  # channels last in memory, as `fast` likes it
    logits = model.eval()(images).float()
    if flip:
        logits = (logits + model(images.flip(-1)).float().flip(-1)) / 2
    return logits[:, 0, :height, :width].cpu().numpy()


def tiled_logits(model: nn.Module, squares: np.ndarray, side: int, flip: bool = False) -> np.ndarray:
    """(B, S, S, 3) uint8 RGB -> logits (B, S, S) float32, from windows of `side` that overlap by half or more.

    A window counts less towards its edges, where the net sees least of the surroundings and where seams would show.
    One window of each picture is in memory at a time.
    """
    full = squares.shape[1]
    starts = np.linspace(0, full - side, math.ceil(2 * (full - side) / side) + 1).round().astype(int)
    ramp = 1 - np.abs(2 * np.arange(0.5, side) / side - 1, dtype=np.float32)
    weight, total, weights = np.outer(ramp, ramp), np.zeros(squares.shape[:3], np.float32), np.zeros((full, full))
    for top in starts:
        for left in starts:
            window = np.s_[top : top + side, left : left + side]
            total[:, *window] += weight * net_logits(model, squares[:, *window], flip)
            weights[window] += weight
    return (total / weights).astype(np.float32)


def square_logits(model, squares: np.ndarray, image_size: int, way: str = "whole", flip: bool = False) -> np.ndarray:
    """Photos stretched to `input_side`, (B, S, S, 3) uint8 RGB -> logits (B, S, S) float32."""
    if way == "tiles":
        return tiled_logits(model, squares, image_size, flip)
    return net_logits(model, squares, flip)


def enlarge(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Logits (h, w) -> (H, W) of `size`, float32, bilinear."""
    return cv2.resize(logits, size[::-1], interpolation=cv2.INTER_LINEAR)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits -> probability, float32, any shape."""
    return torch.from_numpy(logits).sigmoid().numpy()


def photo_logits(model, photo: np.ndarray, image_size: int, way: str = "whole", flip: bool = False) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> logits (H, W) float32; the ways are those of `probability`."""
    side = input_side(image_size, way)
    squares = photo[None] if way == "native" else resize(photo, side)[None]
    return enlarge(square_logits(model, squares, image_size, way, flip)[0], photo.shape[:2])


def probability(model, photo: np.ndarray, image_size: int, *, way: str = "whole", flip: bool = False) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> probability of the car (H, W) float32; `image_size` is that of the training.

    way: "whole", the photo stretched to a square of `image_size`, as in training;
    "larger", to a square SCALE times that side;
    "tiles", the larger square in overlapping windows of `image_size`. Not the native photo: a window of 256 pixels
    in a photo of 1918 shows a door, and a net that has learned from whole cars does not know doors;
    "native", the photo as it is, which shows what becomes of a net at a scale that it has not seen; for comparison.
    flip: average with the mirror image.

    The model runs where it is; `fast(model)` is quicker for more than one photo. Raises ParameterError.
    """
    return sigmoid(photo_logits(model, photo, image_size, way, flip))
