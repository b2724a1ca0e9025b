"""Which picture of an array belongs to which row of a table, also of one that was filtered or sorted."""

import numpy as np
import pandas as pd


def picture_numbers(table: pd.DataFrame, arrays: dict) -> np.ndarray:
    """(rows,) int: which picture of the arrays, {name: array}, each row means: its column `row`, or else its index.

    Raises ValueError where neither tells, and for an array that ends before the last of them.
    """
    if "row" in table:
        if not holds_whole_numbers(table["row"]):
            raise ValueError("the table's column row must hold each picture's number in the arrays, counted from 0")
        remedy = ""
        numbers = table["row"].to_numpy(int)
    else:
        remedy = "; give the table a column row, each picture's number in the arrays"
        fault = index_fault(table, max(map(len, arrays.values())))
        if fault:
            raise ValueError(fault + remedy)
        numbers = table.index.to_numpy(int)
    for name, array in arrays.items():
        if len(array) <= numbers.max():
            short = f"{name} has {len(array)} pictures, but the table's rows go up to {numbers.max()}"
            raise ValueError(short + remedy)
    return numbers


def holds_whole_numbers(values) -> bool:
    """Is each of a column or an index a number 0, 1, 2 ...?"""
    if not pd.api.types.is_numeric_dtype(values):
        return False
    numbers = values.to_numpy(float, na_value=np.nan)
    return bool(((numbers >= 0) & (numbers % 1 == 0)).all())


def index_fault(table: pd.DataFrame, longest: int) -> str:
    """Why a table's index does not tell which of `longest` pictures are meant; '' where it does."""
    index = table.index
    if not holds_whole_numbers(index):
        return "the table's index does not count pictures from 0"
    if not index.is_unique:
        return f"the table's index has {index[index.duplicated()][0]} more than once"
    if not (index == np.arange(len(index))).all():
        return ""
    # rows dropped or sorted, and a new index: it looks like that of a table which was never touched
    if "index" in table:
        return "the table has a new index and keeps its old one as a column"
    if longest > len(index):
        return f"there are {longest} pictures for {len(index)} rows, and an index 0, 1, 2 ... does not say which"
    return ""
