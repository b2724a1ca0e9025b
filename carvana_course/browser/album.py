"""The pictures behind the mask browser: a table, where its photos, masks and predictions come from, and the marks.

Nothing here needs a widget, so that notebooks executed without a reader, and tests, use the same code.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from carvana_course.browser import layers
from carvana_course.show import pictures
from carvana_lib.runs import write_csv

NONE = "none"
LARGE_IS_BAD = ("fp", "fn", "loss", "error")  # columns that put their largest value first; others their smallest


def arrange(table, sort=None, largest_first=False, view=None, make=None, iou_below=1.0) -> np.ndarray:
    """Positions of the rows that pass the filters, in the order of column `sort`; unknown values come last.

    None filters nothing and keeps the table's order; so does `iou_below=1`. The table's index must be 0, 1, 2 ...
    """
    keep = np.ones(len(table), bool)
    for column, value in (("view", view), ("make", make)):
        if value is not None:
            keep &= (table[column] == value).to_numpy()
    if iou_below < 1:
        keep &= (table["iou"] < iou_below).to_numpy()
    if sort is None:
        return np.flatnonzero(keep)
    column = table.loc[keep, sort]
    column = column if pd.api.types.is_numeric_dtype(column) else column.astype(str)
    return column.sort_values(ascending=not largest_first, kind="stable").index.to_numpy()


class Album:
    """Pictures with masks and predictions, and the table that knows about them.

    table: a row an image; image_id, and where known car_id, view, make, model, iou, dice or any other column.
    photo, mask, probability: each an array of N pictures, indexed by the table's column `row` or else by the row's
        position, or a function of the table's row (a pandas Series). Photos (H, W, 3) uint8; masks (H, W), 0 is
        background; probabilities (H, W) from 0 to 1 or uint8 from 0 to 255. A function may return None: nothing known.
    layer, beside: the layers at the start (`layers.LAYERS`); sort: column at the start, worst first.
    background: (h, w, 3) uint8, what cut-outs are put on; review: CSV file of the marked pictures, read if it exists.
    width: of a picture on the page, pixels; cached: how many encoded pictures are kept in memory.

    Raises ValueError for a table without rows or image_id, for arrays that are too short, unknown layers and columns.
    """

    def __init__(self, table, photo, mask=None, probability=None, *, layer=None, beside=NONE, sort=None, opacity=0.5,
                 threshold=0.5, background=None, review="review.csv", width=480, cached=64):  # fmt: skip
        if len(table) == 0 or "image_id" not in table:
            raise ValueError(f"the table needs rows and a column image_id; it has {len(table)} rows, {list(table)}")
        self.table = table.reset_index(drop=True)
        for column, value in (("car_id", self.table["image_id"]), ("view", "")):
            if column not in self.table:
                self.table[column] = value
        self.sources = {"photo": photo, "mask": mask, "probability": probability}
        for name, values in self.sources.items():
            last = self.table["row"].max() if "row" in self.table else len(self.table) - 1
            if values is not None and not callable(values) and len(values) <= last:
                raise ValueError(f"{name} has {len(values)} pictures, but the table's rows go up to {last}")
        self.layers = layers.available(mask is not None, probability is not None)
        layer = layer or next(name for name in (layers.ERRORS, layers.PREDICTED, layers.TRUE, layers.PHOTO)
                              if name in self.layers)  # fmt: skip
        if unknown := {layer, beside} - {*self.layers, NONE}:
            raise ValueError(f"unknown layer '{unknown.pop()}'; there are here: {', '.join(self.layers)}")
        if sort is not None and sort not in self.table:
            raise ValueError(f"cannot sort by '{sort}'; the table has: {', '.join(map(str, self.table))}")
        self.start = {"layer": layer, "beside": beside, "sort": sort, "opacity": opacity, "threshold": threshold}
        self.background, self.width, self.review = background, width, Path(review)
        self.order = arrange(self.table, sort, sort in LARGE_IS_BAD)
        self.marks = self.read_marks()
        self.load = lru_cache(maxsize=6)(self.load)
        self.title = lru_cache(maxsize=1024)(self.title)
        self.encoded = lru_cache(maxsize=cached)(self.encoded)

    def load(self, position: int) -> tuple:
        """(photo, mask, probability) of a row of the table, checked; the latter two may be None."""
        row, found = self.table.iloc[position], []
        for values in self.sources.values():
            at = row.get("row", position)
            found.append(values(row) if callable(values) else None if values is None else values[int(at)])
        photo, mask, probability = found
        return pictures.as_photo(photo), pictures.as_mask(mask), pictures.as_probability(probability)

    def score(self, position: int, threshold: float) -> tuple[float, float] | None:
        """(IoU, Dice) at the threshold; without mask or prediction those of the table, None where it has none."""
        _, mask, probability = self.load(position)
        if self.sources["probability"] is None and {"iou", "dice"} <= set(self.table):
            known = self.table.loc[position, ["iou", "dice"]]
            return None if known.isna().any() else tuple(known)
        return layers.score(mask, probability, threshold)

    def compose(self, position: int, layer: str, opacity: float, threshold: float) -> np.ndarray:
        """(H, W, 3) uint8: one picture as it is shown."""
        return layers.compose(*self.load(position), layer, opacity, threshold, self.background)

    def encoded(self, position: int, layer: str, opacity: float, threshold: float) -> bytes:
        """The same as JPEG; the latest are kept."""
        return layers.encode(self.compose(position, layer, opacity, threshold))

    def title(self, position: int, threshold: float) -> str:
        """id, view, make and model, IoU, Dice; and what is missing."""
        row, score = self.table.iloc[position], self.score(position, threshold)
        parts = [row["image_id"], f"view {row['view']}" if row["view"] != "" else ""]
        parts += [" ".join(str(row[name]) for name in ("make", "model") if name in row and pd.notna(row[name]))]
        parts += [f"IoU {score[0]:.4f}", f"Dice {score[1]:.4f}"] if score else []
        _, mask, probability = self.load(position)
        parts += ["no true mask"] if mask is None and self.sources["mask"] is not None else []
        parts += ["no prediction"] if probability is None and self.sources["probability"] is not None else []
        return " · ".join(str(part) for part in parts if part)

    def strip(self, count: int = 8):
        """The first pictures in a grid with their ids and IoU, as a JPEG (IPython Image) for pages without a kernel."""
        look = [self.start[name] for name in ("layer", "opacity", "threshold")]
        shown, titles = [], []
        for position in self.order[:count].tolist():
            row, score = self.table.iloc[position], None
            try:
                picture, score = self.compose(position, *look), self.score(position, look[-1])
            except Exception:  # a broken file leaves a grey field; the widget says why
                picture = np.full((160, 240, 3), 128, np.uint8)
            height = max(1, round(240 * picture.shape[0] / picture.shape[1]))
            shown.append(cv2.resize(picture, (240, height), interpolation=cv2.INTER_AREA))
            titles.append(f"{str(row['car_id'])[:8]} view {row['view']}" + (f": {score[0]:.3f}" if score else ""))
        has_mask, has_probability = (self.sources[name] is not None for name in ("mask", "probability"))
        legend = layers.legend(self.start["layer"], has_mask, has_probability)
        return pictures.grid(shown, titles, columns=4, legend=legend, alt=f"The first of {len(self.table)} pictures")

    def cars(self) -> dict[str, object]:
        """What the search offers: {id, make and model: car_id}."""
        names = [name for name in ("car_id", "make", "model") if name in self.table]
        rows = self.table[names].drop_duplicates("car_id").fillna("")
        return {" ".join(str(part) for part in row if part != ""): row[0] for row in rows.itertuples(index=False)}

    def read_marks(self) -> dict[str, str]:
        """{image_id: note} of an earlier sitting; empty where there was none."""
        if not self.review.exists():
            return {}
        saved = pd.read_csv(self.review, dtype=str, keep_default_na=False)
        if not {"image_id", "note"} <= set(saved):
            raise ValueError(f"{self.review} has no columns image_id and note; name another file for the marks")
        return dict(zip(saved["image_id"], saved["note"], strict=True))

    def write_marks(self) -> None:
        """Write the marked pictures with their notes and all that the table knows. Raises RunError where that fails."""
        marked = pd.DataFrame({"image_id": list(self.marks), "note": list(self.marks.values())}, dtype=str)
        known = self.table.assign(image_id=self.table["image_id"].astype(str)).drop_duplicates("image_id")
        write_csv(self.review, marked.merge(known.drop(columns="note", errors="ignore"), on="image_id", how="left"))
