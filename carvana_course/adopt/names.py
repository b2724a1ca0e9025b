"""The files of a folder and their names."""

import os
import re
import shlex
import unicodedata
from pathlib import Path, PurePosixPath

from carvana_lib import DataError
from carvana_lib.pairs import STRANGE
from carvana_lib.reading import PHOTO_SUFFIXES


def list_files(folder: Path, leave_out: Path | None = None) -> list[str]:
    """The paths of all files in a folder and its sub-folders, in the order of their numbers, without hidden ones.

    The folder `leave_out` is not looked into. Raises DataError for what is no folder or may not be read.
    """
    if not folder.is_dir():
        raise DataError(f"'{folder}' is no folder; give the folder that holds the pictures")
    found = []
    for place, folders, files in os.walk(folder, onerror=refuse_unreadable):
        visible = [name for name in folders if name[0] != "." and name != "__MACOSX"]
        folders[:] = [name for name in visible if leave_out is None or not is_same(Path(place, name), leave_out)]
        paths = [Path(place, name) for name in files if name[0] != "." and name not in ("Thumbs.db", "desktop.ini")]
        paths += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        found += [path.relative_to(folder).as_posix() for path in paths]
    return sorted(found, key=by_number)


def refuse_unreadable(error: OSError) -> None:
    """Raise DataError for a folder that cannot be listed."""
    raise DataError(f"'{error.filename}' cannot be read: {error.strerror}; allow it, or name another folder")


def is_same(folder: Path, other: Path) -> bool:
    """True for two names of one folder."""
    return folder.resolve() == other.resolve()


def by_number(name: str) -> list:
    """A key that sorts IMG_9 before IMG_10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def without_ending(name: str) -> str:
    """'monday/IMG_0101.jpg' -> 'monday/IMG_0101', in Unicode's form NFC: macOS writes some letters as two."""
    return unicodedata.normalize("NFC", PurePosixPath(name).with_suffix("").as_posix())


def is_picture(name: str) -> bool:
    """True for the endings of pictures that can be read."""
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def fault_of_name(name: str) -> str:
    """Why a file cannot be a photo or mask, by its name alone; '' where it can."""
    if STRANGE.search(name):
        return "name is not UTF-8, or holds a line break; rename it"
    if not is_picture(name):
        ending = PurePosixPath(name).suffix
        if not ending:
            return "no picture: no ending, as of a link to a folder; name that folder itself, or save it as JPEG or PNG"
        return f"no picture: unknown ending '{ending}'; save it as JPEG or PNG"
    return ""


def quoted(text) -> str:
    """A word of a command line, in quotes where a shell would change it."""
    if os.name != "nt":
        return shlex.quote(str(text))
    return str(text) if re.fullmatch(r"[\w./:\\-]+", str(text)) else f'"{text}"'
