"""Other ways than the training's to show a photo to the net: larger, in tiles, or as it is. 06 compares them.

"whole": the photo stretched to a square of `image_size`, as in training (`prediction.photo_logits`);
"larger": to a square SCALE times that side;
"tiles": the larger square in overlapping windows of `image_size`. Not the native photo: a window of 256 pixels in a
photo of 1918 shows a door, and a net that has learned from whole cars does not know doors;
"native": the photo as it is, which shows what becomes of a net at a scale that it has not seen; for comparison.
"""

import math

import numpy as np

from carvana_lib import ParameterError
from carvana_lib.prediction import enlarge, net_logits
from carvana_lib.reading import resize

WAYS = ("whole", "larger", "tiles", "native")
SCALE = 1.25  # of `larger` and `tiles`. A net of ours scored IoU 0.958 at scale 1, 0.952, 0.916 at 1.5 and 0.711 at 2


def input_side(image_size: int, way: str) -> int:
    """Side of the square that a photo is stretched to, pixels. Raises ParameterError for an unknown way."""
    if way not in WAYS:
        raise ParameterError(f"way='{way}' is unknown; choose one of {', '.join(WAYS)}")
    return round(SCALE * image_size) if way in ("larger", "tiles") else image_size


def tiled_logits(model, squares: np.ndarray, side: int, flip: bool = False) -> np.ndarray:
    """(B, S, S, 3) uint8 RGB -> logits (B, S, S) float32, from windows of `side` that overlap by half or more.

    A window counts less towards its edges, where the net sees least of the surroundings and where seams would show.
    One window of each picture is in memory at a time.
    """
    full = squares.shape[1]
    starts = np.linspace(0, full - side, math.ceil(2 * (full - side) / side) + 1).round().astype(int)
    ramp = 1 - np.abs(2 * np.arange(0.5, side) / side - 1, dtype=np.float32)
    weight = np.outer(ramp, ramp)
    total = np.zeros(squares.shape[:3], np.float32)
    weights = np.zeros((full, full))
    for top in starts:
        for left in starts:
            rows = slice(top, top + side)
            columns = slice(left, left + side)
            total[:, rows, columns] += weight * net_logits(model, squares[:, rows, columns], flip)
            weights[rows, columns] += weight
    return (total / weights).astype(np.float32)


def square_logits(model, squares: np.ndarray, image_size: int, way: str = "whole", flip: bool = False) -> np.ndarray:
    """Photos stretched to `input_side`, (B, S, S, 3) uint8 RGB -> logits (B, S, S) float32."""
    if way == "tiles":
        return tiled_logits(model, squares, image_size, flip)
    return net_logits(model, squares, flip)


def logits_by_way(model, photo: np.ndarray, image_size: int, way: str = "whole", flip: bool = False) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> logits (H, W) float32, in one of WAYS; `flip` averages with the mirror image.

    Raises ParameterError for an unknown way.
    """
    side = input_side(image_size, way)
    squares = photo[None] if way == "native" else resize(photo, side)[None]
    return enlarge(square_logits(model, squares, image_size, way, flip)[0], photo.shape[:2])
