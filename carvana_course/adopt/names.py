"""Which photo and which mask or annotation belong together, by their names, and what they are called once adopted."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from carvana_course.adopt.annotations import Annotation
from carvana_lib import DataError, ParameterError
from carvana_lib.pairs import STRANGE
from carvana_lib.reading import PHOTO_SUFFIXES

WORDS_OF_MASKS = "mask|masks|gt|seg|segmentation|label|labels|labelids|matte|annotation"
WORD_AFTER = re.compile(rf"[_\-. ]+({WORDS_OF_MASKS})$", re.I)  # IMG_0101_mask
WORD_BEFORE = re.compile(rf"^({WORDS_OF_MASKS})[_\-. ]+", re.I)  # mask_IMG_0101
LONGEST = 100  # letters of a group: with number and ending, a file's name stays below the 255 bytes that disks allow


@dataclass
class MaskSource:
    """Where a photo's mask comes from: its name in messages, and the path of a picture or what an annotation says."""

    name: str
    content: Path | Annotation

    @property
    def key(self) -> str:
        """The path of the photo that it names, without ending."""
        return self.content.photo if isinstance(self.content, Annotation) else without_ending(self.name)


@dataclass
class Candidate:
    """A photo and its mask, or one of the two; `problem` says why they are left out, and is '' where they are not.

    `file` is the path in the folder of photos, or of masks where there is no photo.
    """

    file: str
    mask: MaskSource | None = None
    problem: str = ""
    group: str = ""
    id: str = ""


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
    """'monday/IMG_0101.jpg' -> 'monday/IMG_0101'."""
    return PurePosixPath(name).with_suffix("").as_posix()


def photo_keys(key: str) -> list[str]:
    """The keys of photos that a mask of this key may belong to, the likeliest first: its own, and without its word."""
    path = PurePosixPath(key)
    bare = WORD_BEFORE.sub("", WORD_AFTER.sub("", path.name))
    if PurePosixPath(bare).suffix.lower() in PHOTO_SUFFIXES:  # IMG_0101.jpg.png
        bare = PurePosixPath(bare).stem
    return [key, path.with_name(bare or path.name).as_posix()]


def is_picture(name: str) -> bool:
    """True for the endings of pictures that can be read."""
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def split_folder(names: list[str]) -> tuple[list[str], list[str]]:
    """(photos and others, masks and annotations) of a folder that holds both: a mask has a photo's name and a word."""
    keys = {without_ending(name) for name in names if is_picture(name)}
    masks = []
    for name in names:
        own, bare = photo_keys(without_ending(name))
        if name.lower().endswith(".json") or (is_picture(name) and bare != own and bare in keys):
            masks.append(name)
    return [name for name in names if name not in set(masks)], masks


def fault_of_name(name: str) -> str:
    """Why a file cannot be a photo or mask, by its name alone; '' where it can."""
    if STRANGE.search(name):
        return "name is not UTF-8, or holds a line break; rename it"
    if not is_picture(name):
        return f"no picture: unknown ending '{PurePosixPath(name).suffix}'; save it as JPEG or PNG"
    return ""


def match_masks(photos: list[str], masks: list[MaskSource]) -> list[Candidate]:
    """A Candidate for each photo, and for each mask without one. Names are compared without their endings.

    A mask belongs to the photo at the same place in its folder, or else to the only photo of its name anywhere.
    """
    by_key = defaultdict(list)
    by_name = defaultdict(set)
    for photo in photos:
        key = without_ending(photo)
        by_key[key].append(photo)
        by_name[PurePosixPath(key).name].add(key)
    masks_of = defaultdict(list)  # key of a photo -> its masks
    shared = {}  # key of a photo -> why the mask of its name cannot be its own
    lonely = []
    for mask in masks:
        owners = find_owners(mask, by_key, by_name)
        if len(owners) == 1:
            masks_of[owners[0]].append(mask)
        elif owners:
            files = [photo for owner in owners for photo in by_key[owner]]
            reason = f"{len(files)} photos of one name for {mask.name}: {', '.join(files[:3])}"
            shared |= dict.fromkeys(owners, f"{reason}; put each mask into a folder of its photo's, or rename one")
        else:
            what = f"annotation of '{mask.key}'" if isinstance(mask.content, Annotation) else "mask"
            lonely.append(Candidate(mask.name, mask, f"{what} without photo; add the photo, or remove this"))
    found = []
    for photo in photos:
        key = without_ending(photo)
        of_photo = masks_of[key]
        problem = shared.get(key, "photo without mask; add one of its name")
        if len(by_key[key]) > 1:
            problem = f"{len(by_key[key])} photos of one name: {', '.join(by_key[key])}; keep or rename one"
        elif len(of_photo) > 1:
            problem = f"{len(of_photo)} masks of one photo: {', '.join(mask.name for mask in of_photo)}; keep one"
        elif of_photo:
            problem = ""
        found.append(Candidate(photo, of_photo[0] if of_photo else None, problem))
    return found + lonely


def find_owners(mask: MaskSource, by_key: dict, by_name: dict) -> list[str]:
    """The keys of the photos that a mask may belong to: one, none, or several that share its name."""
    keys = photo_keys(mask.key)
    for key in keys:
        if key in by_key:
            return [key]
    for key in keys:
        name = PurePosixPath(key).name
        if name in by_name:
            return sorted(by_name[name])
    return []


def quoted(text) -> str:
    """A word of a command line, in quotes where it has letters that need them."""
    return str(text) if re.fullmatch(r"[\w./:\\-]+", str(text)) else f'"{text}"'


def compile_group(pattern: str) -> re.Pattern:
    """The regular expression of --group. Raises ParameterError where it is none, or has not one pair of brackets."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ParameterError(
            f"--group '{pattern}' is no regular expression: {error}; see docs/own-pictures.md"
        ) from None
    if compiled.groups != 1:
        remedy = "put one pair of brackets around the group's name, as in '^([^_]+)_', and write any other as (?:...)"
        raise ParameterError(f"--group '{pattern}' has {compiled.groups} groups in brackets; {remedy}")
    return compiled


def find_group(pattern: re.Pattern, file: str) -> str:
    """What the brackets of --group hold for a photo, whose path is taken without its ending; '' for nothing."""
    match = pattern.search(without_ending(file))
    return (match[1] or "") if match else ""


def describe_sizes(sizes) -> str:
    """'of 2 to 4 photos', of the numbers of photos in some groups."""
    least = min(sizes)
    most = max(sizes)
    return f"of {least} photos each" if least == most else f"of {least} to {most} photos"


def name_candidates(candidates: list[Candidate], pattern: str = "") -> None:
    """Give each candidate without a problem its group and id, '<group>_<number>'; those of no group get a problem.

    Without a pattern each photo is its own group. Raises ParameterError for a pattern that fits no photo.
    """
    compiled = compile_group(pattern) if pattern else None
    fine = [candidate for candidate in candidates if not candidate.problem]
    raw = {}  # file -> group as the name says it
    for candidate in fine:
        raw[candidate.file] = find_group(compiled, candidate.file) if compiled else without_ending(candidate.file)
    if compiled and fine and not any(raw.values()):
        example = without_ending(fine[0].file)
        raise ParameterError(f"--group '{pattern}' fits no photo, such as '{example}'; change it, or leave it out")
    sizes = Counter(raw.values())
    names = {}
    taken = set()
    for group in sizes:
        names[group] = unique_name(group, taken)
    numbers = Counter()
    for candidate in fine:
        group = raw[candidate.file]
        if not group:
            candidate.problem = f"--group '{pattern}' does not fit its name; widen it, or rename the photo"
            continue
        numbers[group] += 1
        candidate.group = names[group]
        candidate.id = f"{names[group]}_{numbers[group]:0{max(2, len(str(sizes[group])))}d}"


def unique_name(text: str, taken: set[str]) -> str:
    """The text as a group's name: letters, digits, '-' and '.', no '_', and unlike all in `taken`, also in a system
    that takes a and A for one; it is added there.
    """
    letters = [letter if letter.isalnum() or letter in "-." else "-" for letter in unicodedata.normalize("NFC", text)]
    name = "".join(letters).strip("-.")[-LONGEST:].encode()[-2 * LONGEST :].decode(errors="ignore") or "photo"
    unique = name
    number = 2
    while unique.casefold() in taken:
        unique = f"{name}-{number}"
        number += 1
    taken.add(unique.casefold())
    return unique
