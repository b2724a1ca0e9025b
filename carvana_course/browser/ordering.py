"""Which rows of a table the mask browser shows, in which order, and which cars a search finds in them."""

import numpy as np
import pandas as pd


def arrange(table, sort=None, largest_first=False, view=None, make=None, iou_below=1.0) -> np.ndarray:
    """Positions of the rows that pass the filters, in the order of column `sort`; unknown values come last.

    None filters nothing and keeps the table's order; so does `iou_below=1`. The table's index must be 0, 1, 2 ...
    """
    keep = np.ones(len(table), bool)
    if view is not None:
        keep &= (table["view"] == view).to_numpy()
    if make is not None:
        keep &= (table["make"] == make).to_numpy()
    if iou_below < 1:
        keep &= (table["iou"] < iou_below).to_numpy()
    if sort is None:
        return np.flatnonzero(keep)
    column = table.loc[keep, sort]
    if not pd.api.types.is_numeric_dtype(column):
        column = column.astype(str)
    return column.sort_values(ascending=not largest_first, kind="stable").index.to_numpy()


def check_table(table, sort: str | None) -> pd.DataFrame:
    """The table with an index 0, 1, 2 ... and the columns car_id and view. Raises ValueError for one without use."""
    if len(table) == 0 or "image_id" not in table:
        raise ValueError(f"the table needs rows and a column image_id; it has {len(table)} rows, {list(table)}")
    table = table.reset_index(drop=True)
    if "car_id" not in table:
        table["car_id"] = table["image_id"]
    if "view" not in table:
        table["view"] = ""
    if sort is not None and sort not in table:
        raise ValueError(f"cannot sort by '{sort}'; the table has: {', '.join(map(str, table))}")
    return table


def view_ranks(table: pd.DataFrame) -> np.ndarray:
    """(rows,) int: where each row stands when the table is sorted by view."""
    ranks = np.empty(len(table), int)
    ranks[table["view"].sort_values(kind="stable").index] = np.arange(len(table))
    return ranks


def car_names(table: pd.DataFrame) -> dict[str, object]:
    """What the search offers: {id, make and model: car_id}."""
    names = [name for name in ("car_id", "make", "model") if name in table]
    rows = table[names].drop_duplicates("car_id").fillna("")
    return {" ".join(str(part) for part in row if part != ""): row[0] for row in rows.itertuples(index=False)}


def find_cars(table: pd.DataFrame, order: np.ndarray, text: str) -> list:
    """The car_ids of the rows at `order` whose id, make or model holds the text, in that order; none without text."""
    wanted = text.strip().lower()
    cars = {car for label, car in car_names(table).items() if wanted and wanted in label.lower()}
    shown = table.loc[order, "car_id"]
    return shown[shown.isin(cars)].unique().tolist()
