"""Which photo and which mask or annotation belong together, by their names and folders."""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from carvana_course.adopt.annotations import Annotation
from carvana_course.adopt.names import is_picture, without_ending
from carvana_lib.reading import PHOTO_SUFFIXES

WORDS_OF_MASKS = (
    "mask|masks|gt|seg|segmentation|label|labels|labelids|matte|annotation|annotations|ann|"
    "segmentationclass|segmentationobject"
)
WORDS_OF_PHOTOS = "image|images|img|imgs|photo|photos|picture|pictures|jpegimages"


LONELY = ("photo without mask", "mask without photo", "annotation of ", "no picture")  # so begin problems of a name

ELSEWHERE = "has its name, in another folder"


@dataclass
class MaskSource:
    """Where a photo's mask comes from: its name in messages, and the path of a picture or what an annotation says."""

    name: str
    content: Path | Annotation

    @property
    def key(self) -> str:
        """The path of the photo that it is called after, without ending, in Unicode's form NFC."""
        is_annotation = isinstance(self.content, Annotation)
        return unicodedata.normalize("NFC", self.content.photo) if is_annotation else without_ending(self.name)


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


def without_words(name: str, words: str) -> str:
    """'IMG_0101_mask' and 'mask_IMG_0101' -> 'IMG_0101', of the words of masks; '' for a word alone."""
    name = re.sub(rf"(^|[_\-. ]+)({words})$", "", name, flags=re.I)
    return re.sub(rf"^({words})[_\-. ]+", "", name, flags=re.I)


def photo_keys(key: str) -> list[str]:
    """The keys of photos that a mask of this key may belong to, the likeliest first: its own, and without its word."""
    path = PurePosixPath(key)
    bare = without_words(path.name, WORDS_OF_MASKS)
    if PurePosixPath(bare).suffix.lower() in PHOTO_SUFFIXES:  # IMG_0101.jpg.png
        bare = PurePosixPath(bare).stem
    return [key, path.with_name(bare or path.name).as_posix()]


def bare_photo(key: str) -> str:
    """The key of a photo without a word such as image: 'a/image_0' -> 'a/0'."""
    path = PurePosixPath(key)
    return path.with_name(without_words(path.name, WORDS_OF_PHOTOS) or path.name).as_posix()


def is_among_masks(name: str) -> bool:
    """True for a file in a folder that is called after masks."""
    folders = PurePosixPath(name).parts[:-1]
    return any(without_words(folder, WORDS_OF_MASKS) != folder for folder in folders)


def split_folder(names: list[str]) -> tuple[list[str], list[str]]:
    """(photos and others, masks and annotations) of a folder that holds both: a mask has a photo's name and a word, or
    lies in a folder that is called after masks and has a photo's name in it.
    """
    keys = set()
    outside = set()  # the names of pictures that lie in no folder of masks
    for name in filter(is_picture, names):
        key = without_ending(name)
        keys |= {key, bare_photo(key)}
        if not is_among_masks(name):
            outside |= {PurePosixPath(key).name, PurePosixPath(bare_photo(key)).name}
    masks = set()
    folders = set()
    for name in filter(is_picture, names):
        own, bare = photo_keys(without_ending(name))
        if bare != own and bare in keys:
            masks.add(name)
        if is_among_masks(name) and PurePosixPath(bare).name in outside:
            folders.add(PurePosixPath(name).parent)
    masks |= {name for name in names if is_picture(name) and PurePosixPath(name).parent in folders}
    masks |= {name for name in names if name.lower().endswith(".json")}
    return [name for name in names if name not in masks], [name for name in names if name in masks]


def folders_of(key: str) -> tuple[str, ...]:
    """The folders of a key, without words of photos and masks: 'train/masks/a' and 'train_images/a' -> ('train',)."""
    folders = PurePosixPath(key).parts[:-1]
    parts = [without_words(part, f"{WORDS_OF_MASKS}|{WORDS_OF_PHOTOS}") for part in folders if part not in ("/", "..")]
    return tuple(part for part in parts if part)


class Pairing:
    """The keys of photos, to be asked for those that a mask of some key may belong to."""

    def __init__(self, photos: set[str], masks: list[str]):
        self.photos = photos
        self.photo_places = {folders_of(key) for key in photos}
        self.mask_places = {folders_of(key) for key in masks}
        self.by_name = defaultdict(set)  # name -> keys
        self.by_bare_name = defaultdict(set)
        for key in photos:
            self.by_name[PurePosixPath(key).name].add(key)
            self.by_bare_name[PurePosixPath(bare_photo(key)).name].add(key)

    def owners(self, key: str) -> list[str]:
        """The photos that a mask of this key may belong to: one, none, or several that share its name."""
        keys = photo_keys(key)
        for one in keys:
            if one in self.photos:
                return [one]
        for table in (self.by_name, self.by_bare_name):
            for one in keys:
                fitting = [photo for photo in table[PurePosixPath(one).name] if self.agree(photo, key)]
                if fitting:
                    return sorted(fitting)
        return []

    def namesake(self, key: str) -> str:
        """A photo of the mask's name, in whatever folder; '' for none."""
        for one in photo_keys(key):
            for photo in sorted(self.by_name[PurePosixPath(one).name]):
                return photo
        return ""

    def agree(self, photo: str, mask: str) -> bool:
        """True where the folders of a photo and a mask are the same, or only one side has them."""
        left = folders_of(photo)
        right = folders_of(mask)
        if left == right:
            return True
        if (left and left in self.mask_places) or (right and right in self.photo_places):
            return False  # the other side has that folder too, and should have the file there
        common = min(len(left), len(right))
        return common == 0 or left[-common:] == right[-common:]


def match_masks(photos: list[str], masks: list[MaskSource]) -> list[Candidate]:
    """A Candidate for each photo, and for each mask without one. Names are compared without their endings.

    A mask belongs to the photo at the same place in its folder, or else to the only photo of its name, unless the
    folders of both contradict. An annotation may name its photo in its text as well.
    """
    by_key = defaultdict(list)
    for photo in photos:
        by_key[without_ending(photo)].append(photo)
    pairing = Pairing(set(by_key), [mask.key for mask in masks])
    masks_of = defaultdict(list)  # key of a photo -> its masks
    faults = {}  # key of a photo -> why the mask of its name cannot be its own
    lonely = []
    for mask in masks:
        owners, fault = find_owners(mask, pairing)
        if len(owners) > 1:
            files = [photo for owner in owners for photo in by_key[owner]]
            reason = f"{len(files)} photos of one name for {mask.name}: {', '.join(files[:3])}"
            fault = f"{reason}; put each mask into a folder of its photo's, or rename one"
        if fault:
            faults |= dict.fromkeys(owners, fault)
        elif owners:
            masks_of[owners[0]].append(mask)
        else:
            namesake = pairing.namesake(mask.key)
            lonely.append(Candidate(mask.name, mask, fault_of_lonely(mask, namesake)))
            if namesake:
                elsewhere = f"'{mask.name}' {ELSEWHERE}; call both folders the same"
                faults.setdefault(namesake, f"photo without mask: {elsewhere}")
    found = []
    for photo in photos:
        key = without_ending(photo)
        of_photo = masks_of[key]
        problem = faults.get(key, "photo without mask; add one of its name")
        if len(by_key[key]) > 1:
            problem = f"{len(by_key[key])} photos of one name: {', '.join(by_key[key])}; keep or rename one"
        elif len(of_photo) > 1:
            problem = f"{len(of_photo)} masks of one photo: {', '.join(mask.name for mask in of_photo)}; keep one"
        elif of_photo:
            problem = fault_of_annotation(of_photo[0])
        found.append(Candidate(photo, of_photo[0] if of_photo else None, problem))
    return found + lonely


def find_owners(mask: MaskSource, pairing: Pairing) -> tuple[list[str], str]:
    """(the photos that a mask may belong to, '' or why it can be of none of them): by its name, else by its text."""
    owners = pairing.owners(mask.key)
    said = mask.content.image_path if isinstance(mask.content, Annotation) else ""
    if not said:
        return owners, ""
    by_text = pairing.owners(unicodedata.normalize("NFC", said))
    if owners and by_text and not set(owners) & set(by_text):
        other = PurePosixPath(by_text[0]).name
        return owners, f"{mask.name} says in imagePath that it is of '{other}'; correct that, or rename the file"
    return owners or by_text, ""


def fault_of_annotation(mask: MaskSource) -> str:
    """Why an annotation cannot be used; '' where it can, and for pictures, which have not been opened yet."""
    return mask.content.problem if isinstance(mask.content, Annotation) else ""


def fault_of_lonely(mask: MaskSource, namesake: str) -> str:
    """Why a mask or annotation is left out, where `namesake` is a photo of its name in another folder, or ''."""
    if fault_of_annotation(mask):
        return fault_of_annotation(mask)
    what = f"annotation of '{mask.key}' without photo" if isinstance(mask.content, Annotation) else "mask without photo"
    if namesake:
        return f"{what}: '{namesake}' {ELSEWHERE}; call both folders the same, or remove this"
    return f"{what}; add the photo, or remove this"
