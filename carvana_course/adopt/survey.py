"""`carvana look`: what an unknown folder holds, which photo goes with which mask, and how to adopt it."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from carvana_course.adopt.annotations import Annotation
from carvana_course.adopt.masks import LOSSY, HowToRead, colours_of, mask_of_picture
from carvana_course.adopt.names import (
    Candidate,
    compile_group,
    describe_sizes,
    find_group,
    is_picture,
    list_files,
    quoted,
    split_folder,
)
from carvana_course.adopt.sources import find_candidates
from carvana_lib import DataError
from carvana_lib.reading import open_photo, read_photo

SAMPLE = 24  # pictures that are opened, spread over all
FEW = 32  # colours: a picture with no more is no photo
SOFT_GREYS = 16  # a mask with more greys is soft; with fewer, each may be a class
MANY_PLACES = 40  # folders; of more, only those at the top are judged
GROUPS = (
    "^(.+)/",
    "^(.+)[_-][0-9]+",
    "^([^_-]+)[_-]",
)  # what may hold a group: a sub-folder, all but a last number ...
MASK_FOLDER = re.compile(r"mask|label|annot|segm|matte|truth|\bgt\b", re.I)


@dataclass
class Survey:
    """What `survey_folder` found: photos paired with masks, and how the masks are read; `lines` are for a person."""

    images: Path
    masks: Path
    candidates: list[Candidate]
    how: HowToRead = HowToRead()
    group: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> list[Candidate]:
        """The photos that have a mask."""
        return [candidate for candidate in self.candidates if not candidate.problem]

    def command(self, target: Path) -> str:
        """The line that adopts the folder; in double quotes, which all shells know, what they would take apart."""
        words = ["carvana adopt", "--images", quoted(self.images), "--masks", quoted(self.masks)]
        words += ["--target", quoted(target)]
        if self.group:
            words += ["--group", f'"{self.group}"']
        if self.how.colour:
            words += ["--colour", bytes(self.how.colour).hex()]
        if self.how.threshold:
            words += ["--threshold", str(self.how.threshold)]
        for label in sorted(self.how.classes):
            words += ["--class", quoted(label)]
        return " ".join(words)


def spread(items: list, count: int) -> list:
    """At most `count` of the items, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).astype(int)]


def counted(items, most: int = 4) -> str:
    """'.jpg (28), .png (2)': what occurs how often, the commonest first."""
    found = Counter(items).most_common()
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(f"{item} ({count})" for item, count in found[:most]) + more


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
        remedy = "masks are pictures of few colours, or JSON of labelme or COCO; name the folder that holds both"
        raise DataError(f"'{folder}' holds {len(photos)} photos and no masks; {remedy}")
    survey = best_pairing(folder, photos, masks, jsons)
    survey.lines.append(f"{folder}: {len(names)} files")
    survey.lines.append(f"photos: {describe_files(survey.images, folder, photos)}")
    if masks:
        survey.lines.append(f"masks: {describe_files(survey.masks, folder, masks)}")
    others = [name for name in names if not is_picture(name) and name not in jsons]
    if others:
        survey.lines.append(f"not looked at: {counted(PurePosixPath(name).suffix or name for name in others)}")
    survey.lines.append(f"pairs of photo and mask: {len(survey.pairs)}")
    for candidate in [candidate for candidate in survey.candidates if candidate.problem][:3]:
        survey.lines.append(f"no pair: {candidate.file}: {candidate.problem}")
    decide_reading(survey)
    decide_group(survey)
    return survey


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
    """The folders of photos and masks, or the file of annotations, that pair the most photos."""
    ways = []
    for files in (masks, jsons):
        if files:
            ways.append((common_folder(folder, photos), common_folder(folder, files)))
            ways.append((largest_folder(folder, photos), largest_folder(folder, files)))
    if len(jsons) == 1:
        ways = [*ways[:-2], (common_folder(folder, photos), folder / jsons[0])]
    surveys = []
    fault = None
    for images, source in dict.fromkeys(ways):
        try:
            surveys.append(Survey(images, source, find_candidates(images, source)))
        except DataError as error:
            fault = error
    if not surveys:
        raise fault
    return max(surveys, key=lambda survey: len(survey.pairs))


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


def decide_reading(survey: Survey) -> None:
    """Find the options with which the masks can be read, and say what they hold."""
    contents = [candidate.mask.content for candidate in survey.pairs]
    labels = Counter()
    for content in contents:
        if isinstance(content, Annotation):
            labels.update(shape.label for shape in content.shapes if shape.label is not None)
    if labels:
        survey.lines.append(f"classes: {counted(labels.elements(), 20)}")
        survey.how = survey.how._replace(classes=frozenset([labels.most_common(1)[0][0]]))
    if len(labels) > 1:
        survey.lines.append("the commonest class is taken below; put another, or several, into --class")
    paths = [content for content in spread(contents, SAMPLE) if isinstance(content, Path)]
    if not paths:
        return
    colours = Counter()
    masks_with = Counter()
    refused = ""
    is_soft = False
    for path in paths:
        try:
            found = colours_of(path)
        except DataError as error:
            survey.lines.append(f"unreadable: {error}")
            continue
        greys = [colour for colour in found if colour[:2] == colour[2:4] == colour[4:]]
        is_soft = is_soft or not found or len(greys) > SOFT_GREYS or path.suffix.lower() in LOSSY
        colours.update(found)
        masks_with.update(found.keys())
        try:
            mask_of_picture(path, HowToRead())
        except DataError as error:
            refused = refused or str(error)
    survey.lines.append(f"colours, and in how many of {len(paths)} masks: {counted(masks_with.elements(), 6)}")
    if not refused:
        return
    survey.lines.append(f"not read as they are: {refused}")
    if is_soft or len(colours) < 2:
        survey.how = survey.how._replace(threshold=128)
        survey.lines.append("taken below: --threshold 128, object is the brighter half of grey")
    else:
        guess = colours.most_common(2)[1][0]
        survey.how = survey.how._replace(colour=tuple(bytes.fromhex(guess)))
        survey.lines.append(f"taken below, a guess: --colour {guess}, which covers most after the background")


def decide_group(survey: Survey) -> None:
    """Find a pattern that puts several photos into a group, and leaves at least three groups."""
    files = [candidate.file for candidate in survey.pairs]
    for pattern in GROUPS:
        compiled = compile_group(pattern)
        groups = Counter(find_group(compiled, file) for file in files)
        if "" not in groups and 3 <= len(groups) < len(files):
            survey.group = pattern
            makes = f"{len(groups)} groups {describe_sizes(groups.values())}, such as '{next(iter(groups))}'"
            survey.lines.append(f'groups: --group "{pattern}" makes {makes}')
            return
    survey.lines.append("groups: the names show none; if several photos show one object, keep them together by --group")
