"""Tables: in Markdown, and as a notebook shows them."""

from html import escape

import pandas as pd
from pandas.api.types import is_float_dtype, is_integer_dtype, is_numeric_dtype


def markdown_table(table: pd.DataFrame) -> str:
    """A table in Markdown, without its index, each cell as `str` has it.

    A bar in a cell would begin a new one, so it is escaped.
    """
    rows = [table.columns, ["---"] * table.shape[1], *table.astype(object).to_numpy()]
    lines = []
    for row in rows:
        cells = [str(cell).replace("|", "\\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


class TidyTable:
    """A table as a notebook shows it: no index, text from the left, numbers from the right, names above their columns.

    Styles stand in the cells, since JupyterLab drops all others from a notebook that it has not executed itself.
    """

    def __init__(self, texts: pd.DataFrame, sides: list[str]):
        self.texts = texts
        self.sides = sides

    def __repr__(self):
        return self.texts.to_string(index=False)

    def _repr_html_(self):
        lines = [self.row("th", self.texts.columns), *(self.row("td", cells) for cells in self.texts.to_numpy())]
        return "\n".join(["<table class='dataframe'>", *lines, "</table>"])

    def row(self, tag: str, cells) -> str:
        """A line of HTML."""
        line = ""
        for cell, side in zip(cells, self.sides, strict=True):
            line += f"<{tag} style='text-align: {side}'>{escape(cell)}</{tag}>"
        return f"<tr>{line}</tr>"


def tidy(table: pd.DataFrame, **formats: str) -> TidyTable:
    """A table to show in a notebook. formats: column -> format, as in ms="{:.1f}".

    Other integers get a comma for thousands, other floats four digits.
    """
    texts = {}
    sides = []
    for name, column in table.items():
        usual = "{}"
        if is_integer_dtype(column):
            usual = "{:,}"
        elif is_float_dtype(column):
            usual = "{:.4f}"
        texts[name] = column.map(formats.get(name, usual).format)
        sides.append("right" if is_numeric_dtype(column) else "left")
    return TidyTable(pd.DataFrame(texts), sides)
