"""Tables: in Markdown, and as a notebook shows them."""

import pandas as pd
from pandas.api.types import is_numeric_dtype


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


def tidy(table: pd.DataFrame, **formats: str):
    """A table to show in a notebook: no index, text from the left, names above their columns, 12,345 for numbers.

    formats: column -> format, as in ms="{:.1f}"; other floats get four digits. Returns a Styler.
    """
    styles = {}
    for name in table:
        side = "right" if is_numeric_dtype(table[name]) else "left"
        styles[name] = [{"selector": "", "props": f"text-align: {side}"}]
    return table.style.hide(axis="index").format(formats, precision=4, thousands=",").set_table_styles(styles)
