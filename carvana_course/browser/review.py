"""review.csv: which pictures a person marked, and who accepted or corrected which mask, when and by how much.

A row is a mark (at most one a picture) or one new mask. Several people may write to one file: each keeps what the
others have added since.
"""

import getpass
import os
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd
from filelock import FileLock

from carvana_lib.runs import write_csv, writing

MARKED = "marked"
ACCEPTED = "accepted"
CORRECTED = "corrected"
REVIEW_COLUMNS = ["image_id", "note", "action", "who", "when", "file", "source", "added", "removed"]


def user_name() -> str:
    """The name under which this person works on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"


def now() -> str:
    """The time with its zone, as in 2024-05-17T09:30:00+02:00."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def read_review(path: Path) -> pd.DataFrame:
    """All rows of a review file, as text; none where there is no file. Earlier versions had marks alone, without names.

    Raises ValueError for a file of another kind.
    """
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (FileNotFoundError, pd.errors.EmptyDataError):  # empty, as a full disk or an editor leaves it
        return pd.DataFrame(columns=REVIEW_COLUMNS, dtype=str)
    if not {"image_id", "note"} <= set(found):
        raise ValueError(f"{path} has no columns image_id and note; name another file for the marks")
    for name in REVIEW_COLUMNS:
        if name not in found:
            found[name] = ""
    found.loc[found["action"] == "", "action"] = MARKED
    return found[[*REVIEW_COLUMNS, *(name for name in found if name not in REVIEW_COLUMNS)]]


def marks_in(review: pd.DataFrame) -> dict[str, str]:
    """{image_id: note} of the marked pictures."""
    marked = review[review["action"] == MARKED]
    return dict(zip(marked["image_id"], marked["note"], strict=True))


def write_marks(path: Path, marks: dict, known: dict, table: pd.DataFrame, who: str) -> dict[str, str]:
    """Write the marks {image_id: note}; returns them as they are now, together with those of others.

    known: the marks that this person began with; what is the same in `marks` is as others may have left it since.
    table: what is known of the pictures, a row each. Raises RunError where the file cannot be written.
    """
    with locked(path):
        before = read_review(path)
        is_mark = before["action"] == MARKED
        found = marks_in(before) if path.exists() else known  # of a file that has gone nobody took the marks back
        changed = {image_id: note for image_id, note in marks.items() if known.get(image_id) != note}
        taken_back = known.keys() - marks.keys()
        all_marks = {image_id: note for image_id, note in found.items() if image_id not in taken_back} | changed
        signed = before[is_mark].drop_duplicates("image_id").set_index("image_id")
        rows = []
        for image_id, note in all_marks.items():
            row = {"image_id": image_id, "note": note, "action": MARKED, "who": who, "when": now()}
            if image_id in signed.index and signed.loc[image_id, "note"] == note:
                row |= signed.loc[image_id, ["who", "when"]].to_dict()
            rows.append(row)
        write_review(path, [*rows, *before.loc[~is_mark, REVIEW_COLUMNS].to_dict("records")], before, table)
    return all_marks


def add_change(path: Path, change: dict, table: pd.DataFrame) -> None:
    """Add a row on a new mask, {column: value} of REVIEW_COLUMNS. Raises RunError where the file cannot be written."""
    with locked(path):
        before = read_review(path)
        write_review(path, [*before[REVIEW_COLUMNS].to_dict("records"), change], before, table)


def write_review(path: Path, rows: list[dict], before: pd.DataFrame, table: pd.DataFrame) -> None:
    """Write rows of REVIEW_COLUMNS with all that the table, or else the file itself, knows of their pictures."""
    known = table.assign(image_id=table["image_id"].astype(str)).drop_duplicates("image_id")
    others = before[~before["image_id"].isin(known["image_id"])].drop_duplicates("image_id")
    if len(others):  # what another table knew
        known = pd.concat([known, others])
    known = known.drop(columns=[name for name in REVIEW_COLUMNS[1:] if name in known])
    filled = [{name: str(row.get(name, "")) for name in REVIEW_COLUMNS} for row in rows]
    written = pd.DataFrame(filled, columns=REVIEW_COLUMNS, dtype=str)
    write_csv(path, written.merge(known, on="image_id", how="left"))


@contextmanager
def locked(path: Path):
    """Nobody else writes this file meanwhile. Raises RunError where its folder cannot be written."""
    with writing(path):
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=30)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def shown_from(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with '/' on any system; the whole path where another drive holds it."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return str(path)
