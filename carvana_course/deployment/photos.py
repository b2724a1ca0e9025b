"""Which photos a person means by a folder, and what else is in it."""

import os
from pathlib import Path, PurePosixPath

from carvana_course.deployment.predictions import PREDICTION_KINDS, Failure, read_settings
from carvana_lib import DataError
from carvana_lib.pairs import STRANGE
from carvana_lib.reading import PHOTO_SUFFIXES

WRITTEN = ("settings.json", "failed.csv", "skipped.csv")  # by `predict`, perhaps beside the photos


def find_photos(images: Path) -> tuple[Path, list[str], list[Failure]]:
    """(folder, the paths of its photos in it, sorted, what is no photo) of a folder with all that is in it, or of one
    photo. Hidden files are not looked at, nor is what `predict` wrote.

    Raises DataError where there is nothing, no photo, or two in one folder that differ in their ending alone.
    """
    if images.is_file():
        return images.parent, [images.name], []
    if not images.is_dir():
        raise DataError(f"'{images}' does not exist; give --images a folder of photos, or one photo")
    names = []
    skipped = []
    for place, folders, files in os.walk(images):
        for name in list(folders):
            path = Path(place, name)
            if path.is_symlink():
                skipped.append(Failure(path.relative_to(images).as_posix(), "a link to a folder"))
            if name.startswith(".") or path.is_symlink() or is_output(path):
                folders.remove(name)
        for path in (Path(place, name) for name in files if name[0] != "." and name not in WRITTEN):
            name = path.relative_to(images).as_posix()
            if STRANGE.search(name):
                skipped.append(Failure(STRANGE.sub("?", name), "name is not UTF-8, or holds a line break; rename it"))
            elif path.suffix.lower() in PHOTO_SUFFIXES:
                names.append(name)
            else:
                skipped.append(Failure(name, f"no photo: unknown ending '{path.suffix}'"))
    if not names:
        raise DataError(f"the folder '{images}' holds no photos ({', '.join(PHOTO_SUFFIXES)}); check --images")
    names.sort()
    by_image = {}
    for name in names:
        image = image_of(name)
        if image in by_image:
            raise DataError(f"{images} holds {by_image[image]} and {name}, whose masks would have one name; rename one")
        by_image[image] = name
    return images, names, sorted(skipped)


def image_of(name: str) -> str:
    """'monday/a_01.jpg' -> 'monday/a_01', by which a photo and its mask are known."""
    return PurePosixPath(name).with_suffix("").as_posix()


def is_output(folder: Path) -> bool:
    """True for a folder of masks, cut-outs ... that `predict` wrote; photos may lie beside it."""
    kinds = {name for name, _ in PREDICTION_KINDS.values()}
    return folder.name in kinds and bool(read_settings(folder.parent / "settings.json"))
