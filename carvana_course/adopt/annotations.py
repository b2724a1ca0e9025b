"""Outlines in JSON, as labelme and COCO write them: which photo each is of, and what shapes of which classes it has.

labelme (https://github.com/wkentaro/labelme) has a file for each photo, COCO (https://cocodataset.org/#format-data) one
for all.
"""

import json
import posixpath
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from carvana_lib import DataError, ParameterError

UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


class Shape(NamedTuple):
    """One shape of an annotation.

    label: its class, None where the file does not list it. kind: polygon, rectangle, circle, mask, rle, or another
    word of labelme's. where: what messages call it. points: (n, 2) float64, x and y in pixels from the picture's upper
    left corner. data: run lengths of the kind rle, or the PNG in base64 of the kind mask.
    """

    label: str | None
    kind: str
    where: str
    points: np.ndarray
    data: dict | str | None = None


class Annotation(NamedTuple):
    """What a file says of one photo: the photo's path without ending, its (H, W) or None, and the shapes.

    `problem` says why it cannot be used, or is ''. `image_path` is as `photo`, of labelme's file, where `photo` is by
    the file's own name.
    """

    name: str
    photo: str
    size: tuple[int, int] | None = None
    shapes: tuple[Shape, ...] = ()
    problem: str = ""
    image_path: str = ""


def read_annotations(path: Path, name: str) -> list[Annotation]:
    """The annotations of a JSON file, called `name` in messages. Raises DataError for one that is neither kind."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}; allow it, or take it away") from None
    except UnicodeDecodeError:
        raise DataError(f"{name} is no text in UTF-8; export it anew") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{name} is broken JSON: line {error.lineno}: {error.msg}; export it anew") from None
    except (ValueError, RecursionError):  # a number of 5,000 digits, brackets in brackets
        raise DataError(f"{name} is broken JSON; export it anew") from None
    kinds = {"labelme": ("shapes",), "COCO": ("images", "annotations")}
    readers = {"labelme": of_labelme, "COCO": of_coco}
    for kind, words in kinds.items():
        if isinstance(content, dict) and all(word in content for word in words):
            try:
                return readers[kind](content, name)
            except UNREADABLE as error:
                fault = f"{type(error).__name__}: {error}"
                raise DataError(f"{name} is not as {kind} writes it ({fault}); export it anew") from None
    raise DataError(f"{name} is neither labelme's JSON (shapes) nor COCO's (images, annotations); export it as one")


def of_labelme(content: dict, name: str) -> list[Annotation]:
    """The one annotation of a file of labelme's, which is called as its photo, or names it in imagePath."""
    shapes = []
    for number, shape in enumerate(content["shapes"], 1):
        kind = shape.get("shape_type") or "polygon"
        points = np.array(shape["points"], float).reshape(-1, 2)
        shapes.append(Shape(str(shape["label"]), kind, f"shape {number}", points, shape.get("mask")))
    size = None
    if content.get("imageHeight") and content.get("imageWidth"):
        size = (int(content["imageHeight"]), int(content["imageWidth"]))
    said = str(content.get("imagePath") or "").replace("\\", "/")
    image_path = posixpath.normpath(posixpath.join(posixpath.dirname(name), said))
    if posixpath.basename(said) in ("", ".", ".."):
        return [Annotation(name, path_of_photo(name), size, tuple(shapes))]
    return [Annotation(name, path_of_photo(name), size, tuple(shapes), image_path=path_of_photo(image_path))]


def path_of_photo(file_name) -> str:
    """A file's name as an annotation has it, perhaps of Windows, without its ending. Raises ValueError for ''."""
    return PurePosixPath(str(file_name).replace("\\", "/")).with_suffix("").as_posix()


def comparable(number) -> str:
    """An id as text: some programs write 1, others "1" or 1.0."""
    is_whole = isinstance(number, float) and number.is_integer()
    return str(int(number) if is_whole else number)


def coco_classes(content: dict, name: str) -> dict[str, str]:
    """{id: name} of a COCO file's categories. Raises DataError for two of one id: one would replace the other."""
    classes = {}
    for category in content.get("categories") or []:
        number = comparable(category["id"])
        label = str(category["name"])
        if classes.setdefault(number, label) != label:
            both = f"'{classes[number]}' and '{label}'"
            raise DataError(f"{name} has two categories of the id {number}, {both}; give each its own and export anew")
    return classes


def of_coco(content: dict, name: str) -> list[Annotation]:
    """An annotation for each picture that a COCO file lists, and one with a problem for each that it does not, and for
    pictures that share an id. Raises DataError as `coco_classes`, and where no annotation is of a listed picture.
    """
    classes = coco_classes(content, name)
    shapes = defaultdict(list)
    for number, annotation in enumerate(content["annotations"], 1):
        where = f"annotation {annotation.get('id', number)}"
        label = classes.get(comparable(annotation.get("category_id")))
        shapes[comparable(annotation["image_id"])] += coco_shapes(annotation.get("segmentation"), label, where)
    numbers = Counter(comparable(picture["id"]) for picture in content["images"])
    if shapes and not shapes.keys() & numbers.keys():
        raise DataError(f"{name}: no annotation is of a picture that the file lists, by their ids; export it anew")
    found = []
    for picture in content["images"]:
        photo = path_of_photo(picture["file_name"])
        number = comparable(picture["id"])
        if numbers[number] > 1:
            problem = f"{name} has {numbers[number]} pictures of the id {number}; give each its own and export anew"
            found.append(Annotation(name, photo, problem=problem))
            continue
        size = None
        if picture.get("height") and picture.get("width"):
            size = (int(picture["height"]), int(picture["width"]))
        found.append(Annotation(name, photo, size, tuple(shapes.get(number, ()))))
    for picture, lost in shapes.items():
        if picture in numbers:
            continue
        problem = f"{lost[0].where} is of picture {picture}, which the file does not list; export it anew"
        found.append(Annotation(name, "", problem=problem))
    return found


def coco_shapes(segmentation, label: str | None, where: str) -> list[Shape]:
    """The parts of one COCO segmentation: run lengths, or polygons, which together are one object."""
    nothing = np.zeros((0, 2))
    if isinstance(segmentation, dict):
        return [Shape(label, "rle", where, nothing, segmentation)]
    if not segmentation:
        return [Shape(label, "box without outline", where, nothing)]
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    shapes = []
    for part in parts:
        try:
            shapes.append(Shape(label, "polygon", where, np.array(part, float).reshape(-1, 2)))
        except UNREADABLE:
            shapes.append(Shape(label, "polygon without pairs of numbers", where, nothing))
    return shapes


def choose_classes(annotations: list[Annotation], asked: tuple[str, ...]) -> set[str]:
    """The classes that are the object: those asked for, or the only one there is. Raises ParameterError where several
    are there and none was asked for, since masks of the wrong things would look right, and for one that is not there.
    """
    found = Counter(shape.label for annotation in annotations for shape in annotation.shapes)
    del found[None]
    listed = ", ".join(f"{label} ({count})" for label, count in found.most_common())
    unknown = [label for label in asked if label not in found]
    if unknown:
        raise ParameterError(f"--class {unknown[0]}: no annotation has it; there are: {listed or 'none at all'}")
    if not asked and len(found) > 1:
        remedy = "say which is the object with --class NAME, again for each further one"
        raise ParameterError(f"the annotations have {len(found)} classes, {listed}; {remedy}")
    return set(asked) or set(found)
