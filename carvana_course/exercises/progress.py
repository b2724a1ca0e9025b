"""How far a learner is: which exercises have been right once, kept beside the runs."""

import html
import json
from contextlib import suppress
from pathlib import Path

from carvana_lib import RunError
from carvana_lib.runs import runs_folder, write_json

DONE = "●"
OPEN = "○"


def progress_file() -> Path:
    """Where the names of solved exercises are kept."""
    return runs_folder() / "exercises.json"


def solved() -> list[str]:
    """The names that are kept; none where the file is missing or damaged: it is a record of work, not the work."""
    try:
        names = json.loads(progress_file().read_text(encoding="utf8"))["solved"]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def remember(name: str) -> None:
    """Keep an exercise as solved. In a folder where nothing may be written, nothing is kept, and the check goes on."""
    names = solved()
    if name not in names:
        with suppress(RunError):
            write_json(progress_file(), {"solved": [*names, name]})


class Progress:
    """A row a chapter: its exercises as dots, filled where solved, and how many of how many; the last row is the sum.

    exercises: chapter -> the names of its exercises. Show it as the last line of a cell.
    """

    def __init__(self, exercises: dict[str, list[str]]):
        done = set(solved())
        self.rows = []
        for chapter, names in exercises.items():
            self.rows.append((chapter.replace("_", " "), [name in done for name in names]))

    def __repr__(self):
        rows = [*self.rows, ("all", None)]
        return "\n".join(f"{chapter:<14} {self.dots(marks):<6} {self.count(marks)}" for chapter, marks in rows)

    def dots(self, marks: list[bool] | None) -> str:
        """'●●○' for a chapter, nothing for the sum."""
        return "".join(DONE if mark else OPEN for mark in marks or [])

    def count(self, marks: list[bool] | None) -> str:
        """'2 of 3 done'."""
        counted = marks if marks is not None else [mark for _, chapter in self.rows for mark in chapter]
        return f"{counted.count(True)} of {len(counted)} done"

    def _repr_html_(self):
        rows = []
        for chapter, marks in [*self.rows, ("all", None)]:
            cells = (chapter, self.dots(marks), self.count(marks))
            rows.append("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        head = "<th style='text-align:left'>chapter</th><th style='text-align:left'>exercises</th><th></th>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
