"""Other ways than the training's to show a photo to the net: larger, in tiles, or as it is. 06 compares them.

"whole": the photo in the frame of the training (`prediction.photo_logits`);
"larger": in a frame SCALE times as high and wide;
"tiles": the larger frame in overlapping windows of the training's size. Not the native photo: a window of 256 pixels in
a photo of 1918 shows a door, and a net that has learned from whole cars does not know doors;
"native": the photo as it is, which shows what becomes of a net at a scale that it has not seen; for comparison.
"""

import math

import numpy as np

from carvana_lib import ParameterError
from carvana_lib.frame import Frame
from carvana_lib.prediction import net_logits

WAYS = ("whole", "larger", "tiles", "native")
SCALE = 1.25  # of `larger` and `tiles`. A net of ours scored IoU 0.958 at scale 1, 0.952, 0.916 at 1.5 and 0.711 at 2


def input_frame(frame: Frame, way: str) -> Frame:
    """The frame that a photo is brought into, from that of the training. Raises ParameterError for an unknown way."""
    if way not in WAYS:
        raise ParameterError(f"way='{way}' is unknown; choose one of {', '.join(WAYS)}")
    if way not in ("larger", "tiles"):
        return frame
    return Frame(round(SCALE * frame.height), round(SCALE * frame.width), frame.pad)


def tiled_logits(model, inputs: np.ndarray, window: Frame, flip: bool = False) -> np.ndarray:
    """(B, H, W, 3) uint8 RGB -> logits (B, H, W) float32, from windows that overlap by half or more.

    A window counts less towards its edges, where the net sees least of the surroundings and where seams would show.
    One window of each picture is in memory at a time.
    """
    height, width = inputs.shape[1:3]
    weight = np.outer(ramp(window.height), ramp(window.width))
    total = np.zeros(inputs.shape[:3], np.float32)
    weights = np.zeros((height, width))
    for top in window_starts(height, window.height):
        for left in window_starts(width, window.width):
            rows = slice(top, top + window.height)
            columns = slice(left, left + window.width)
            total[:, rows, columns] += weight * net_logits(model, inputs[:, rows, columns], flip)
            weights[rows, columns] += weight
    return (total / weights).astype(np.float32)


def window_starts(full: int, side: int) -> np.ndarray:
    """Where windows of `side` pixels begin, from 0 to `full` - `side`, evenly, each overlapping the next by half."""
    return np.linspace(0, full - side, math.ceil(2 * (full - side) / side) + 1).round().astype(int)


def ramp(side: int) -> np.ndarray:
    """(side,) float32: almost 0 at both ends, almost 1 in the middle."""
    return 1 - np.abs(2 * np.arange(0.5, side) / side - 1, dtype=np.float32)


def frame_logits(model, inputs: np.ndarray, frame: Frame, way: str = "whole", flip: bool = False) -> np.ndarray:
    """Photos in their `input_frame`, (B, H, W, 3) uint8 RGB -> logits (B, H, W) float32."""
    if way == "tiles":
        return tiled_logits(model, inputs, frame, flip)
    return net_logits(model, inputs, flip)


def logits_by_way(model, photo: np.ndarray, frame: Frame, way: str = "whole", flip: bool = False) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> logits (H, W) float32, in one of WAYS; `flip` averages with the mirror image.

    Raises ParameterError for an unknown way.
    """
    larger = input_frame(frame, way)
    if way == "native":
        return net_logits(model, photo[None], flip)[0]
    return larger.restore(frame_logits(model, larger.resize(photo)[None], frame, way, flip)[0], photo.shape[:2])
