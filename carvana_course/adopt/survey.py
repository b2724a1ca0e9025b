"""`carvana look`: what an unknown folder holds, which photo goes with which mask, and how to adopt it."""

import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from carvana_course.adopt.findings import SAMPLE, Survey, counted, decide_group, decide_reading, spread
from carvana_course.adopt.names import is_picture, list_files
from carvana_course.adopt.pairing import LONELY, folders_of, split_folder
from carvana_course.adopt.sources import find_candidates
from carvana_lib import DataError
from carvana_lib.reading import open_photo, read_photo

FEW = 32  # colours: a picture with no more is no photo
NAMED_FAULTS = 3  # files without pair
MANY_PLACES = 40  # folders; of more, only those at the top are judged
MASK_FOLDER = re.compile(r"mask|label|annot|segm|matte|truth|\bgt\b", re.I)


def survey_folder(folder: Path) -> Survey:
    """Look at a folder without changing it. Raises DataError where it holds no photo, or nothing to take masks from."""
    names = list_files(folder)
    photos, masks = sort_pictures(folder, names)
    jsons = [name for name in names if name.lower().endswith(".json")]
    if not photos:
        raise DataError(
            f"'{folder}' holds no photos that can be read ({len(names)} files); name the folder of the photos"
        )
    if not masks and not jsons:
        what = "masks are pictures of few colours, in a folder of their own or with a word, as in a_mask.png"
        remedy = "or JSON of labelme or COCO; name the folder that holds both"
        raise DataError(f"'{folder}' holds {len(photos)} photos and no masks; {what}, {remedy}")
    survey = best_pairing(folder, photos, masks, jsons)
    survey.lines.append(f"{folder}: {len(names)} files")
    used_photos = within(survey.images, folder, photos)
    used_masks = within(survey.masks, folder, masks)
    survey.lines.append(f"photos: {describe_files(survey.images, folder, used_photos)}")
    if used_masks:
        survey.lines.append(f"masks: {describe_files(survey.masks, folder, used_masks)}")
    others = [name for name in names if not is_picture(name) and name not in jsons]
    if others:
        survey.lines.append(f"not looked at: {counted(PurePosixPath(name).suffix or name for name in others)}")
    used = {*used_photos, *used_masks, *within(survey.masks, folder, jsons)}
    annotations = [] if used_masks else jsons  # beside masks, JSON may be anything
    unused = [name for name in [*photos, *masks, *annotations] if name not in used]
    if unused:
        places = counted(PurePosixPath(folder, name).parent.as_posix() for name in unused)
        survey.lines.append(f"not in these folders, so left out below: {places}; adopt them by a line of their own")
    survey.lines.append(f"pairs of photo and mask: {len(survey.pairs)}")
    if survey.pairs and contradict(survey.images, survey.masks):
        survey.lines.append("warning: by their names, these folders seem to be of different photos; compare the sheet")
    faulty = [candidate for candidate in survey.candidates if candidate.problem]
    faulty.sort(key=lambda candidate: candidate.problem.startswith(LONELY))  # a broken file explains the others
    for candidate in faulty[:NAMED_FAULTS]:
        survey.lines.append(f"no pair: {candidate.file}: {candidate.problem}")
    if len(faulty) > NAMED_FAULTS:
        survey.lines.append(f"no pair: {len(faulty) - NAMED_FAULTS} more files")
    if survey.pairs:
        decide_reading(survey)
        decide_group(survey)
    return survey


def within(place: Path, folder: Path, names: list[str]) -> list[str]:
    """Those of a folder's files that are the file `place`, or lie in the folder `place`."""
    return [name for name in names if (folder / name).is_relative_to(place)]


def sort_pictures(folder: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """(photos, masks) among the names: masks have a word in their name, or lie where the pictures look like masks."""
    pictures = [name for name in names if is_picture(name)]
    rest, masks = split_folder(pictures)
    places = {name: PurePosixPath(name).parent.as_posix() for name in rest}
    if len(set(places.values())) > MANY_PLACES:
        places = {name: PurePosixPath(name).parts[0] for name in rest}
    photos = []
    for place in dict.fromkeys(places.values()):
        here = [name for name in rest if places[name] == place]
        looks = [looks_like_mask(folder / name) for name in spread(here, 6)]
        if sum(looks) > len(looks) / 2 or (MASK_FOLDER.search(PurePosixPath(place).name) and any(looks)):
            masks += here
        else:
            photos += here
    return photos, masks


def looks_like_mask(path: Path) -> bool:
    """True for a picture of few colours, or of greys that are nearly all black or white."""
    try:
        pixels = read_photo(path)
    except DataError:
        return False
    if len(np.unique(pixels.reshape(-1, 3)[:: max(1, pixels.size // 300_000)], axis=0)) <= FEW:
        return True
    is_grey = bool((pixels == pixels[..., :1]).all())
    return is_grey and float(((pixels < 32) | (pixels > 223)).mean()) > 0.9


def best_pairing(folder: Path, photos: list[str], masks: list[str], jsons: list[str]) -> Survey:
    """The folders of photos and masks, or the file of annotations, that pair the most photos; folders whose names
    contradict only where no others pair any.
    """
    common = common_folder(folder, photos)
    largest = largest_folder(folder, photos)
    ways = []
    if masks:
        ways.append((common, common_folder(folder, masks)))
        ways.append((largest, largest_folder(folder, masks)))
        ways.append((folder, folder))
    if len(jsons) == 1:
        ways.append((common, folder / jsons[0]))
    elif jsons:
        ways.append((common, common_folder(folder, jsons)))
        ways.append((largest, largest_folder(folder, jsons)))
    surveys = []
    fault = None
    for images, source in dict.fromkeys(ways):
        try:
            surveys.append(Survey(images, source, find_candidates(images, source)))
        except DataError as error:
            fault = error
    if not surveys:
        raise fault
    sound = [survey for survey in surveys if survey.pairs and not contradict(survey.images, survey.masks)]
    return max(sound or surveys, key=lambda survey: len(survey.pairs))


def contradict(images: Path, masks: Path) -> bool:
    """True for folders that seem to be of two days or parts: i/monday and m/tuesday, but not i and m alone;
    train/images and val/masks, but not images and masks.
    """
    if not masks.is_dir():
        return False
    shared = os.path.commonpath([images, masks])
    photo_parts = images.relative_to(shared).parts
    mask_parts = masks.relative_to(shared).parts
    left = folders_of("/".join([*photo_parts, "x"]))
    right = folders_of("/".join([*mask_parts, "x"]))
    if (left, right) == (photo_parts, mask_parts):  # no word tells photos from masks, so the first folder does
        left = left[1:]
        right = right[1:]
    common = min(len(left), len(right))
    return common > 0 and left[-common:] != right[-common:]


def common_folder(folder: Path, names: list[str]) -> Path:
    """The deepest folder that holds all the files."""
    return folder / os.path.commonpath([PurePosixPath(name).parent.as_posix() for name in names])


def largest_folder(folder: Path, names: list[str]) -> Path:
    """The folder that holds the most of the files."""
    return folder / Counter(PurePosixPath(name).parent.as_posix() for name in names).most_common(1)[0][0]


def describe_files(place: Path, folder: Path, names: list[str]) -> str:
    """Where files lie, with their endings, sizes in pixels and the shapes of their names."""
    endings = counted(PurePosixPath(name).suffix.lower() for name in names)
    shapes = counted((re.sub(r"\d", "#", PurePosixPath(name).stem) for name in names), 3)
    sizes = Counter()
    for name in spread(names, SAMPLE):
        try:
            height, width = open_photo(folder / name, at_least=1)[1]
            sizes[f"{width}x{height}"] += 1
        except DataError:
            sizes["unreadable"] += 1
    looked = f" of {sizes.total()} opened" if sizes.total() < len(names) else ""
    return f"{len(names)}, in {place}; {endings}; {counted(sizes.elements())} pixels{looked}; named like {shapes}"
