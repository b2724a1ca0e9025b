"""The frame that the net looks at: how a photo of any shape is brought into it, and how what the net says goes back."""

from typing import NamedTuple

import cv2
import numpy as np

GREY = (124, 116, 104)  # the mean colour of ImageNet, which the net's normalisation makes (almost) zero
IGNORE = 255  # in a mask, beside 0 and 1: padding, which counts neither for the loss nor for the score


class Frame(NamedTuple):
    """Height and width of the net's input, in pixels. A photo is stretched to it, as in the protocol, or, with `pad`,
    keeps its aspect ratio in the middle of it, between borders of GREY. Taught in 01.
    """

    height: int
    width: int
    pad: bool = False

    @classmethod
    def of(cls, image_size: int | list[int], pad: bool = False) -> "Frame":
        """The frame of the parameter `image_size`: the side of a square, or [height, width]."""
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        return cls(height, width, pad)

    def place(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """The rows and columns of the frame that a photo of (H, W) fills."""
        if not self.pad:
            return slice(0, self.height), slice(0, self.width)
        scale = min(self.height / shape[0], self.width / shape[1])
        height = max(1, round(scale * shape[0]))
        width = max(1, round(scale * shape[1]))
        top = (self.height - height) // 2
        left = (self.width - width) // 2
        return slice(top, top + height), slice(left, left + width)

    def resize(self, array: np.ndarray) -> np.ndarray:
        """A photo (H, W, 3) uint8 RGB or a mask (H, W) of 0 and 1, by area: a pixel of the mask is 1 where at least
        half of what it covers is. Padding is GREY in photos and 0 in masks.
        """
        rows, columns = self.place(array.shape[:2])
        resized = _resize(array, (rows.stop - rows.start, columns.stop - columns.start))
        if resized.shape[:2] == (self.height, self.width):
            return resized
        framed = np.empty((self.height, self.width, *array.shape[2:]), np.uint8)
        framed[:] = GREY if array.ndim == 3 else 0
        framed[rows, columns] = resized
        return framed

    def restore(self, logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Logits of the frame, (height, width) float32 -> those of the photo (H, W), bilinear, without the padding."""
        return cv2.resize(logits[self.place(shape)], shape[::-1], interpolation=cv2.INTER_LINEAR)


def _resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Area resize to (height, width)."""
    if array.ndim == 3:
        return cv2.resize(array, size[::-1], interpolation=cv2.INTER_AREA)
    height, width = array.shape
    step = height // size[0] if height % size[0] == 0 else 1  # whole rows are added up at once: half the time
    added = array.reshape(height // step, step, width).sum(1, dtype=np.min_scalar_type(step)).astype(np.float32)
    return (cv2.resize(added, size[::-1], interpolation=cv2.INTER_AREA) >= step / 2).view(np.uint8)
