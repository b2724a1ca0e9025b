"""Tables as a notebook shows them: text from the left, one format for numbers, and nothing that a page would run."""

import numpy as np
import pandas as pd
from bs4 import BeautifulSoup

from carvana_course.show.tables import tidy

TABLE = pd.DataFrame({"net": ["a < b", "c"], "pictures": [12345, 7], "mIoU": [0.93456, np.nan], "ms": [7.0149, 12.96]})


def rows(table) -> list[list[str]]:
    soup = BeautifulSoup(table._repr_html_(), "html.parser")
    return [[cell.get_text() for cell in line.select("th, td")] for line in soup.select("tr")]


def test_numbers_have_one_format_and_there_is_no_index():
    expected = [["net", "pictures", "mIoU", "ms"], ["a < b", "12,345", "0.9346", "7.0"], ["c", "7", "nan", "13.0"]]
    shown = tidy(TABLE, ms="{:.1f}")
    assert rows(shown) == expected
    assert repr(shown).splitlines()[1].split() == ["a", "<", "b", "12,345", "0.9346", "7.0"]


def test_text_begins_at_the_left_and_so_does_its_name():
    soup = BeautifulSoup(tidy(TABLE)._repr_html_(), "html.parser")
    for line in soup.select("tr"):
        sides = [cell["style"].removeprefix("text-align: ") for cell in line.select("th, td")]
        assert sides == ["left", "right", "right", "right"]
