"""Facts about a table of pictures that several pages state, each computed here alone."""

import pandas as pd


def is_rendered(table: pd.DataFrame) -> bool:
    """True for pictures whose metadata says that they were rendered, as the sample's does."""
    return "trim2" in table and bool((table["trim2"] == "rendered").all())


def cars_on_two_sides(table: pd.DataFrame) -> int:
    """How many cars have pictures in more than one part of the split; 0 is right."""
    return int((table.groupby("car_id")["split"].nunique() > 1).sum())
