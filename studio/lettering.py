"""The word on the studio's wall, drawn from vector strokes and stored as a distance field.

Strokes live in a letter's own square: x and y from 0 to 1, y up. Distances are in units of the letter
height, so that one field serves every size and every stroke weight.
"""

from functools import lru_cache

import numpy as np

WORD = "SEGMOTIVE"
RESOLUTION = 64  # cells per letter height
MARGIN = 0.25
ADVANCE = 0.24  # gap between letters


def arc(centre_x, centre_y, radius_x, radius_y, start, end, steps=20):
    """Points on an ellipse from angle `start` to `end` in degrees."""
    angle = np.radians(np.linspace(start, end, steps))
    return np.column_stack([centre_x + radius_x * np.cos(angle), centre_y + radius_y * np.sin(angle)])


# letter: (width, strokes); a stroke is a row of points
LETTERS = {
    "S": (
        0.58,
        [np.concatenate([arc(0.29, 0.75, 0.27, 0.25, 30, 270), arc(0.29, 0.25, 0.29, 0.25, 90, -150)])],
    ),
    "E": (0.52, [[(0.52, 1), (0, 1), (0, 0), (0.52, 0)], [(0, 0.52), (0.44, 0.52)]]),
    "G": (0.86, [np.concatenate([arc(0.48, 0.5, 0.48, 0.5, 45, 345, 30), [(0.96, 0.46), (0.55, 0.46)]])]),
    "M": (0.84, [[(0, 0), (0.06, 1), (0.42, 0.18), (0.78, 1), (0.84, 0)]]),
    "O": (0.98, [arc(0.49, 0.5, 0.49, 0.5, 0, 360, 40)]),
    "T": (0.66, [[(0, 1), (0.66, 1)], [(0.33, 1), (0.33, 0)]]),
    "I": (0.0, [[(0, 0), (0, 1)]]),
    "V": (0.76, [[(0, 1), (0.38, 0), (0.76, 1)]]),
}


def word_segments():
    """Start and end points (n, 2) of all straight pieces of the word, and its width."""
    starts, ends, pen = [], [], 0.0
    for letter in WORD:
        width, strokes = LETTERS[letter]
        for stroke in strokes:
            points = np.asarray(stroke, float) + [pen, 0]
            starts.append(points[:-1])
            ends.append(points[1:])
        pen += width + ADVANCE
    return np.concatenate(starts), np.concatenate(ends), pen - ADVANCE


@lru_cache(maxsize=1)
def distance_field():
    """Distance to the nearest stroke's centre line (rows upwards, columns), and the word's width."""
    starts, ends, width = word_segments()
    across = np.arange(-MARGIN, width + MARGIN, 1 / RESOLUTION)
    up = np.arange(-MARGIN, 1 + MARGIN, 1 / RESOLUTION)
    points = np.stack(np.meshgrid(across, up), -1)
    nearest = np.full(points.shape[:2], np.inf)
    for start, end in zip(starts, ends, strict=True):
        along = end - start
        share = np.clip((points - start) @ along / max(along @ along, 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.linalg.norm(points - start - share[..., None] * along, axis=-1))
    return nearest.astype(np.float32), width


def ink(across, up, stroke_width, softness):
    """How much ink (0 to 1) lies at a point of the wall; letter heights from the word's middle and foot.

    `softness` is the width of the edge's ramp: the size of a pixel there, against jagged letters.
    """
    field, width = distance_field()
    column = (across + width / 2 + MARGIN) * RESOLUTION
    row = (up + MARGIN) * RESOLUTION
    inside = (column >= 0) & (column < field.shape[1] - 1) & (row >= 0) & (row < field.shape[0] - 1)
    amount = np.zeros(np.shape(across), np.float32)
    column, row = column[inside], row[inside]
    left, low = column.astype(int), row.astype(int)
    fraction_x, fraction_y = column - left, row - low
    lower = field[low, left] * (1 - fraction_x) + field[low, left + 1] * fraction_x
    upper = field[low + 1, left] * (1 - fraction_x) + field[low + 1, left + 1] * fraction_x
    distance = lower * (1 - fraction_y) + upper * fraction_y
    soft = softness[inside] if np.ndim(softness) else softness
    amount[inside] = np.clip((stroke_width / 2 - distance) / soft + 0.5, 0, 1)
    return amount
