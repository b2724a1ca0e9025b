"""The pictures behind the mask browser: a table, where its photos, masks and predictions come from, and the marks.

Nothing here needs a widget, so that notebooks executed without a reader, and tests, use the same code.
"""

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from carvana_course.browser import layers
from carvana_course.browser.corrections import newest_corrections
from carvana_course.browser.ordering import arrange, check_table, view_ranks
from carvana_course.browser.pairing import picture_numbers
from carvana_course.browser.review import marks_in, read_review, user_name, write_marks
from carvana_course.show import pictures
from carvana_lib.reading import read_photo

NONE = "none"
ALL = "all"
TABLE_ORDER = "table order"
BEST_LAYERS = (layers.ERRORS, layers.PREDICTED, layers.TRUE, layers.PHOTO)  # the first that can be drawn is shown first
THUMBNAIL_WIDTH = 96  # pixels
LARGE_IS_BAD = ("fp", "fn", "loss", "error", "unsure")  # columns that put their largest value first


class Start(NamedTuple):
    """What is shown first: a layer, another one beside it or NONE, the column that sorts, opacity and threshold."""

    layer: str
    beside: str
    sort: str | None
    opacity: float
    threshold: float


class Album:
    """Pictures with masks and predictions, and the table that knows about them.

    table: a row an image; image_id, and where known car_id, view, make, model, iou, dice or any other column.
    photo, mask, probability: each an array of N pictures, or a function of the table's row (a pandas Series that has
        its label as name). A row's picture in the arrays is the one that its column `row` counts or else, in a table of
        which rows were dropped or sorted, its label. Photos (H, W, 3) uint8; masks (H, W), 0 is background;
        probabilities (H, W) from 0 to 1 or uint8 from 0 to 255. A function may return None: nothing known.
    full_mask: as `mask`, but at the photo's own size: it is what is shown and corrected, and `mask`, the one that the
        net was trained on and scored by, then serves IoU and Dice alone.
    layer, beside: the layers at the start (`layers.LAYERS`); sort: column at the start, worst first.
    background: (h, w, 3) uint8, what cut-outs are put on; review: CSV file of the marked pictures, read if it exists.
    width: of a picture on the page, pixels; cached: how many encoded pictures are kept in memory.
    corrected: folder for new masks; None: masks cannot be corrected. original: a function of the row that gives the
        photo, or its path, at its own size, where `photo` gives a smaller one: it is what is seen after zooming in and
        what is drawn on; masks to correct must have that size.
    who: the name that the review has for this person; None: that of the account.

    Raises ValueError for a table without rows or image_id, for arrays that are too short, where neither `row` nor the
    index tells which picture is meant, for unknown layers and columns.
    """

    def __init__(self, table, photo, mask=None, probability=None, *, layer=None, beside=NONE, sort=None, opacity=0.5,
                 threshold=0.5, background=None, review="review.csv", width=480, cached=64, corrected=None,
                 original=None, who=None, full_mask=None):  # fmt: skip
        self.table = check_table(table, sort)
        self.labels = table.index
        self.sources = {"photo": photo, "mask": mask, "probability": probability, "full_mask": full_mask}
        arrays = {name: array for name, array in self.sources.items() if array is not None and not callable(array)}
        self.numbers = picture_numbers(table, arrays) if arrays else None
        self.has_mask = mask is not None or full_mask is not None
        self.has_probability = probability is not None
        self.layers = layers.available(self.has_mask, self.has_probability)
        layer = layer or next(name for name in BEST_LAYERS if name in self.layers)
        for name in (layer, beside):
            if name not in (*self.layers, NONE):
                raise ValueError(f"unknown layer '{name}'; there are here: {', '.join(self.layers)}")
        self.start = Start(layer, beside, sort, opacity, threshold)
        self.background = background
        self.width = width
        self.lock = threading.RLock()  # of the caller's functions, which may not be safe for two threads
        self.review = Path(review)
        self.corrected = None if corrected is None else Path(corrected)
        self.new_masks = newest_corrections(self.corrected) if self.corrected else {}  # {image_id: file}
        self.original = original
        self.who = who or user_name()
        self.order = arrange(self.table, sort, sort in LARGE_IS_BAD)
        self.cars = pd.factorize(self.table["car_id"])[0]
        self.view_ranks = view_ranks(self.table)
        self.marks = marks_in(read_review(self.review))  # {image_id: note}
        self.known_marks = dict(self.marks)  # as they were in the file when this person last saw it
        # the latest results of some methods, for the widget asks for the same picture again and again
        self.cached_load = lru_cache(maxsize=6)(self.load)
        self.cached_title = lru_cache(maxsize=1024)(self.title)
        self.cached_jpeg = lru_cache(maxsize=cached)(self.jpeg)
        self.cached_outlines = lru_cache(maxsize=cached)(self.outlines)
        self.cached_thumbnail = lru_cache(maxsize=1024)(self.thumbnail)

    def row(self, position: int) -> pd.Series:
        """A row of the table under the label that it came with."""
        row = self.table.iloc[position]
        row.name = self.labels[position]
        return row

    def load(self, position: int) -> tuple:
        """(photo, mask, probability) of a row of the table, checked; the latter two may be None."""
        photo = pictures.as_photo(self.read("photo", position))
        mask = self.read("mask" if self.sources["full_mask"] is None else "full_mask", position)
        probability = self.read("probability", position)
        return photo, pictures.as_mask(mask), pictures.as_probability(probability)

    def read(self, name: str, position: int):
        """What one of the sources has for a row of the table, or None."""
        source = self.sources[name]
        if source is None:
            return None
        if not callable(source):
            return source[int(self.numbers[position])]
        with self.lock:
            return source(self.row(position))

    def read_original(self, position: int) -> np.ndarray:
        """(H, W, 3) uint8: the photo of a row at its own size, read anew."""
        if self.original is None:
            return pictures.as_photo(self.read("photo", position))
        with self.lock:
            photo = self.original(self.row(position))
        if isinstance(photo, str | os.PathLike):
            photo = read_photo(Path(photo))
        return pictures.as_photo(photo)

    def score(self, position: int, threshold: float) -> tuple[float, float] | None:
        """(IoU, Dice) at the threshold; without predictions those of the table, None where nothing is known."""
        if not self.has_probability and {"iou", "dice"} <= set(self.table):
            known = self.table.loc[position, ["iou", "dice"]]
            return None if known.isna().any() else tuple(known)
        _, mask, probability = self.cached_load(position)
        if self.sources["full_mask"] is not None and self.sources["mask"] is not None:
            mask = pictures.as_mask(self.read("mask", position))
        return layers.mask_score(mask, probability, threshold)

    def scored_on(self, position: int | None) -> str:
        """On which pixels IoU and Dice are counted, where that is not what is seen; '' elsewhere."""
        if position is None or self.sources["full_mask"] is None or self.sources["mask"] is None:
            return ""
        height, width = pictures.as_mask(self.read("mask", position)).shape
        return f" (scored on masks of {width}x{height})"

    def compose(self, position: int, layer: str, opacity: float, threshold: float) -> np.ndarray:
        """(H, W, 3) uint8: one picture as it is shown."""
        return layers.compose(*self.cached_load(position), layer, opacity, threshold, self.background)

    def jpeg(self, position: int, layer: str, opacity: float, threshold: float) -> bytes:
        """The same as JPEG."""
        return layers.encode_jpeg(self.compose(position, layer, opacity, threshold))

    def larger_jpeg(self, position: int, layer: str, opacity: float, threshold: float) -> bytes:
        """The same of the photo's own size; below contours, which the page draws, the photo alone."""
        layer = layers.PHOTO if layer == layers.CONTOURS else layer
        _, mask, probability = self.cached_load(position)
        photo = self.read_original(position)
        return layers.encode_jpeg(layers.compose(photo, mask, probability, layer, opacity, threshold, self.background))

    def aspect(self) -> float:
        """Width by height of the first photo; of Carvana's where it cannot be read."""
        try:
            height, width = self.cached_load(int(self.order[0]))[0].shape[:2]
        except Exception:  # the caller's functions may raise anything; the widget says what
            return 1.5
        return width / height

    def thumbnail(self, position: int) -> bytes:
        """The photo, THUMBNAIL_WIDTH pixels wide, as JPEG."""
        photo = pictures.as_photo(self.read("photo", position))
        height = max(1, round(THUMBNAIL_WIDTH * photo.shape[0] / photo.shape[1]))
        small = cv2.resize(photo, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
        return layers.encode_jpeg(small, quality=80)

    def outlines(self, position: int, threshold: float) -> list[dict]:
        """The outlines of the true and of the predicted mask on the true mask's pixels: path, size, color and width."""
        _, mask, probability = self.cached_load(position)
        return layers.outlines(mask, probability, threshold)

    def title(self, position: int, threshold: float) -> str:
        """id, view, make and model, IoU, Dice; what is missing, and which new mask there is."""
        row = self.table.iloc[position]
        parts = [row["image_id"]]
        if row["view"] != "":
            parts.append(f"view {row['view']}")
        parts.append(" ".join(str(row[name]) for name in ("make", "model") if name in row and pd.notna(row[name])))
        score = self.score(position, threshold)
        if score:
            parts.append(f"IoU {score[0]:.4f}")
            parts.append(f"Dice {score[1]:.4f}")
        _, mask, probability = self.cached_load(position)
        if self.has_mask and mask is None:
            parts.append("no true mask")
        if self.has_probability and probability is None:
            parts.append("no prediction")
        if str(row["image_id"]) in self.new_masks:
            parts.append(f"new mask {self.new_masks[str(row['image_id'])].name}")
        return " · ".join(str(part) for part in parts if part)

    def strip(self, count: int = 8):
        """The first pictures in a grid with their ids and IoU, as a JPEG (IPython Image) for pages without a kernel."""
        start = self.start
        shown = []
        titles = []
        for position in self.order[:count].tolist():
            row = self.table.iloc[position]
            title = f"{str(row['car_id'])[:8]} view {row['view']}"
            try:
                picture = self.compose(position, start.layer, start.opacity, start.threshold)
                score = self.score(position, start.threshold)
            except Exception:  # a broken file leaves a grey field; the widget says why
                picture = np.full((160, 240, 3), 128, np.uint8)
                score = None
            if score:
                title += f": {score[0]:.3f}"
            height = max(1, round(240 * picture.shape[0] / picture.shape[1]))
            shown.append(cv2.resize(picture, (240, height), interpolation=cv2.INTER_AREA))
            titles.append(title)
        legend = layers.legend(start.layer, self.has_mask, self.has_probability)
        alt = f"The first of {len(self.table)} pictures"
        return pictures.picture_grid(shown, titles, columns=4, legend=legend, alt=alt)

    def views(self, position: int) -> list[int]:
        """The rows of the same car in the order, by view."""
        views = self.order[self.cars[self.order] == self.cars[position]]
        return views[self.view_ranks[views].argsort()].tolist()

    def write_marks(self) -> None:
        """Write the marked pictures with their notes and all that the table knows. Raises RunError where that fails."""
        self.marks = write_marks(self.review, self.marks, self.known_marks, self.table, self.who)
        self.known_marks = dict(self.marks)
