"""Tables in Markdown."""

import pandas as pd


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
