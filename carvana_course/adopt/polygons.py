"""Shapes of annotations -> masks: shapely says whether an outline is sound, pycocotools fills it as COCO's tools do."""

import base64
import binascii
import io
import re

import numpy as np

from carvana_course.adopt.annotations import UNREADABLE, Annotation, Shape
from carvana_lib import DataError, ParameterError
from carvana_lib.reading import read_mask

SLACK = 1.0  # pixels that an outline may lie outside, and square pixels that it may be unclear about


def check_libraries() -> None:
    """Raise ParameterError with the line that installs them, where the libraries (extra `polygons`) are missing."""
    try:
        import pycocotools.mask  # noqa: F401
        import shapely  # noqa: F401
    except ModuleNotFoundError as error:
        install = "run 'pip install pycocotools shapely'"
        raise ParameterError(f"outlines in JSON need the package {error.name.split('.')[0]}; {install}") from None


def draw_mask(annotation: Annotation, size: tuple[int, int], labels: set[str]) -> np.ndarray:
    """(H, W) uint8 {0, 1} of a photo's size, 1 in every shape of the classes `labels`, crowds included.

    Raises DataError naming the file and shape for another size, a class that the file does not list, and an outline
    that does not say what it encloses.
    """
    if annotation.problem:
        raise DataError(annotation.problem)
    if annotation.size and annotation.size != size:
        sizes = f"a photo of {annotation.size[1]}x{annotation.size[0]}, this one is {size[1]}x{size[0]} when upright"
        raise DataError(f"{annotation.name} is for {sizes}; annotate the upright photo at its own size")
    mask = np.zeros(size, np.uint8)
    for shape in annotation.shapes:
        if shape.label is None:
            unknown = f"{shape.where} is of a class that the file does not list"
            raise DataError(f"{annotation.name}: {unknown}; add it to the categories, or remove the annotation")
        if shape.label not in labels:
            continue
        try:
            mask |= draw_shape(shape, size)
        except UNREADABLE as error:
            fault = " ".join(str(error).split())
            raise DataError(f"{annotation.name}: {shape.where} {fault}; correct it and export anew") from None
    return mask


def draw_shape(shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 {0, 1}. Raises ValueError with what is wrong, to follow the shape's name in a sentence."""
    if shape.kind == "rle":
        return decode_runs(shape.data, size)
    if shape.kind == "mask":
        return place_mask(shape, size)
    from pycocotools import mask as coco

    outline = find_outline(shape, size)
    return coco.decode(coco.merge(coco.frPyObjects([outline.ravel().tolist()], *size)))


def find_outline(shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """(n, 2) float64, x and y of a closed outline within the picture. Raises ValueError as `draw_shape` does."""
    from shapely import Point, Polygon, box, is_valid_reason, make_valid

    points = shape.points
    picture = box(0, 0, size[1], size[0])
    if not np.isfinite(points).all():
        raise ValueError("has a point that is no number")
    if shape.kind == "circle" and len(points) == 2:
        circle = Point(points[0]).buffer(np.hypot(*(points[1] - points[0])), quad_segs=64).intersection(picture)
        if circle.area == 0:
            raise ValueError("is a circle without area in the picture")
        return np.array(circle.exterior.coords)[:-1]
    if shape.kind == "rectangle" and len(points) == 2:
        points = np.array(box(*points.min(0), *points.max(0)).exterior.coords)[:-1]
    elif shape.kind not in ("polygon", "rectangle", "oriented_rectangle"):
        raise ValueError(f"is a {shape.kind}, which encloses nothing")
    if len(points) < 3:
        raise ValueError(f"has only {len(points)} points, where an outline needs three")
    outside = max(-points.min(), (points - size[::-1]).max())
    if outside > SLACK:
        raise ValueError(f"reaches {outside:.0f} pixels out of the picture of {size[1]}x{size[0]}")
    outline = Polygon(points)
    if abs(outline.area - make_valid(outline).area) > SLACK:  # parts count twice or cancel; mere touching does not
        place = re.search(r"\[(.*)\]", is_valid_reason(outline))
        near = ", ".join(f"{float(number):.0f}" for number in place[1].split()[:2]) if place else "its start"
        raise ValueError(f"crosses itself near ({near})")
    if outline.area == 0:
        raise ValueError("encloses no area")
    return np.clip(points, 0, size[::-1])


def decode_runs(runs: dict, size: tuple[int, int]) -> np.ndarray:
    """COCO's run lengths, compressed (text) or not (a list) -> (H, W) uint8 {0, 1}. Raises ValueError for others than
    the picture's size, and for runs that do not fill it: pycocotools would leave what happened to be in memory.
    """
    from pycocotools import mask as coco

    height, width = size
    if list(runs["size"]) != [height, width]:
        raise ValueError(f"has run lengths for a size of {runs['size']}, not {[height, width]}")
    counts = runs["counts"]
    if isinstance(counts, list):
        counts = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
    elif not counts.isascii():
        raise ValueError("has broken run lengths")
    if fits(counts, 1, height * width - 1):
        raise ValueError("has run lengths that do not fill the picture")
    if not fits(counts, height, width):
        raise ValueError("has run lengths that do not fit into the picture")
    return coco.decode({"size": [height, width], "counts": counts})


def fits(counts, height: int, width: int) -> bool:
    """True for run lengths that end within a picture of this size."""
    from pycocotools import mask as coco

    try:
        coco.decode({"size": [height, width], "counts": counts})
    except ValueError:
        return False
    return True


def place_mask(shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """labelme's shape of the kind mask, a small picture with its place -> (H, W) uint8 {0, 1}. Raises ValueError."""
    try:
        small = read_mask(io.BytesIO(base64.b64decode(shape.data or "", validate=True)))
    except (binascii.Error, DataError):
        raise ValueError("has a mask that cannot be read") from None
    x, y = np.rint(shape.points[0]).astype(int)
    height, width = small.shape
    if x < 0 or y < 0 or y + height > size[0] or x + width > size[1]:
        raise ValueError(f"has a mask that reaches out of the picture of {size[1]}x{size[0]}")
    mask = np.zeros(size, np.uint8)
    mask[y : y + height, x : x + width] = small
    return mask
