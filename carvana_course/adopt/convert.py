"""`carvana adopt`: any folder of photos and masks -> train/, train_masks/ and names.csv, whole or not at all."""

import math
import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from carvana_course.adopt.annotations import Annotation, choose_classes
from carvana_course.adopt.groups import describe_sizes, name_candidates
from carvana_course.adopt.masks import HowToRead, colours_of, mask_of, object_colour, parse_colour
from carvana_course.adopt.names import quoted
from carvana_course.adopt.pairing import LONELY, Candidate
from carvana_course.adopt.sources import find_candidates
from carvana_course.deployment.threads import bounded_map
from carvana_lib import DataError, ParameterError, RunError
from carvana_lib.config import Params
from carvana_lib.reading import open_photo
from carvana_lib.runs import atomic, remove, stale

NAMES_COLUMNS = ["file", "id", "group", "area", "problem"]  # of names.csv
NAMED = 5  # photos that are named on the screen
STEPS = 120  # of a first training at least: thirty photos of mugs, which five epochs teach nothing, need so many


@dataclass
class Adopted:
    """What `adopt_folder` wrote: the folder, and names.csv, a row for each photo and each mask without one.

    file: path in the folder of photos (or of masks); id: '<group>_<number>', '' for what was left out; area: share of
    the picture that is object, 0 to 1.
    """

    target: Path
    names: pd.DataFrame

    def lines(self) -> list[str]:
        """What a person should know, a sentence a line."""
        kept = self.names[self.names["problem"] == ""]
        left = telling_first(self.names[self.names["problem"] != ""])
        said = [f"{len(kept)} photos adopted, {len(left)} files left out -> {self.target}"]
        for _, row in left.head(NAMED).iterrows():
            said.append(f"left out: {row['file']}: {row['problem']}")
        if len(left) > NAMED:
            said.append(f"left out: {len(left) - NAMED} more; {self.target / 'names.csv'} has a row for each")
        sizes = kept["group"].value_counts()
        if sizes.max() == 1:
            said.append("each photo is its own group; where several show one object, --group keeps them together")
        else:
            said.append(f"{len(sizes)} groups {describe_sizes(sizes)}")
        if len(sizes) < 3:
            said.append("training needs at least three groups: for training, validation and test")
        shown = 100 * kept["area"][kept["area"] > 0].astype(float)
        if len(shown):
            areas = f"least {shown.min():.3g}, median {shown.median():.3g}, most {shown.max():.3g}"
            said.append(f"object, in % of the picture: {areas}")
        if len(shown) and shown.median() > 50:
            said.append("more than half of a typical picture is object: are the masks inverted?")
        empty = len(kept) - len(shown)
        if empty:
            said.append(f"{empty} photos show no object; training leaves them out, unless you add -p keep_empty true")
        name = re.sub(r"[^\w.-]", "-", self.target.name).lstrip(".-") or "mine"
        data = f"-p data_dir {quoted(self.target)} -p epochs {enough_epochs(len(kept))} --name {name}"
        said.append(f"a first training: carvana train -p learning_rate 1e-3 -p loss bce_dice {data}")
        said.append(f"all chapters: carvana run {data}")
        return said


def enough_epochs(photos: int) -> int:
    """The epochs of a first training: the default's, or, of few photos, as many as make up STEPS."""
    params = Params()
    trained_on = (1 - params.val_fraction - params.test_fraction) * photos
    return max(params.epochs, math.ceil(STEPS / max(1, trained_on // params.batch_size)))


def adopt_folder(
    images: Path,
    masks: Path,
    target: Path,
    group: str = "",
    colour: str = "",
    threshold: int | None = None,
    classes: tuple[str, ...] = (),
) -> Adopted:
    """Convert each photo that has a mask, into a folder beside `target` that gets its name when all is done.

    images, masks: folders, which may be one and the same; `masks` may also be a file of annotations. group: a regular
    expression whose brackets hold a photo's group. colour: 'rrggbb' of the object. threshold: as of `read_mask`.
    classes: of annotations, which are the object. What is wrong with one photo is said in its row of names.csv.

    Raises DataError where nothing can be used, ParameterError for an option that cannot be meant, and RunError where
    `target` cannot be written; nothing is left at `target` then, and sources are only ever read.
    """
    from carvana_lib.device import cores, progress  # here, for it brings torch

    if colour and threshold:
        raise ParameterError("--colour and --threshold are two ways to read a mask; give one of them")
    target = Path(os.path.abspath(target))
    check_target(target, images, masks)
    candidates = find_candidates(images, masks)
    name_candidates(candidates, group)
    how = HowToRead(parse_colour(colour), threshold, wanted_classes(candidates, classes))
    for leftover in stale(target.parent.glob(f".{escape(target.name)}.{'[0-9a-f]' * 8}{escape(target.suffix)}")):
        remove(leftover)
    with atomic(target, folder=True) as temporary, ThreadPoolExecutor(cores()) as threads:
        (temporary / "train").mkdir()
        (temporary / "train_masks").mkdir()
        convert = partial(convert_photo, folder=images, temporary=temporary, how=how)
        results = bounded_map(threads, convert, candidates, 4 * cores())
        rows = list(progress(results, "adopting photos", len(candidates), "photo"))
        names = pd.DataFrame(rows, columns=NAMES_COLUMNS)
        check_result(names, candidates, how)
        check_objects(rows)
        names.to_csv(temporary / "names.csv", index=False)
        if target.is_dir():
            target.rmdir()  # empty, or it would have been refused
        written = temporary.stat()
    if not os.path.samestat(written, target.stat()):
        raise RunError(f"{target} was made by another program meanwhile; give another --target")
    return Adopted(target, names)


def check_target(target: Path, images: Path, masks: Path) -> None:
    """Raise ParameterError for a target that holds something already, or would lie among the photos or masks."""
    for source in (images, masks):
        if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
            raise ParameterError(f"--target {target} lies in {source}, which is only read; give a folder elsewhere")
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise ParameterError(f"--target {target} exists already; give a new name, or move it away")


def wanted_classes(candidates: list[Candidate], asked: tuple[str, ...]) -> frozenset[str]:
    """The classes that are the object, of the photos that are there. Raises ParameterError as `choose_classes`."""
    contents = [candidate.mask.content for candidate in candidates if candidate.mask and not candidate.problem]
    annotations = [content for content in contents if isinstance(content, Annotation)]
    if not annotations:
        if asked and contents:
            raise ParameterError("--class is for annotations, and these masks are pictures; use --colour for those")
        return frozenset()
    return frozenset(choose_classes(annotations, asked))


def convert_photo(candidate: Candidate, folder: Path, temporary: Path, how: HowToRead) -> dict:
    """Write one photo and its mask, if nothing is wrong with them: its row of names.csv, and the object's colour where
    nobody has chosen it.
    """
    row = dict.fromkeys(NAMES_COLUMNS, "") | {
        "file": printable(candidate.file),
        "problem": printable(candidate.problem),
    }
    if candidate.problem:
        return row
    path = folder / candidate.file
    try:
        stored = stored_as_it_is(path)
        photo, size = open_photo(path, at_least=1 if stored else 0)
        mask = mask_of(candidate.mask.content, size, how)
        is_chosen = isinstance(candidate.mask.content, Annotation) or how.colour or how.threshold
        colour = "" if is_chosen else object_colour(candidate.mask.content, mask)
        content = path.read_bytes() if stored else b""
    except (DataError, OSError) as error:
        roots = [f"{folder}{os.sep}"]
        if isinstance(candidate.mask.content, Path):
            roots.append(str(candidate.mask.content).removesuffix(candidate.mask.name))
        problem = str(error)
        for root in roots:
            problem = problem.replace(root, "")
        return row | {"problem": printable(problem)}
    if stored:
        (temporary / "train" / f"{candidate.id}{stored}").write_bytes(content)
    else:
        Image.fromarray(photo).save(temporary / "train" / f"{candidate.id}.png", compress_level=1)
    Image.fromarray(255 * mask).save(temporary / "train_masks" / f"{candidate.id}_mask.png")
    area = round(float(np.mean(mask)), 6)
    return row | {"id": candidate.id, "group": candidate.group, "area": area, "colour": colour}


def printable(text: str) -> str:
    """The text with '?' for what is no UTF-8, as in names that come from other systems."""
    return text.encode(errors="replace").decode()


def stored_as_it_is(path: Path) -> str:
    """'.jpg' or '.png' for a file that is to be copied byte by byte; '' for one to be written anew, as PNG.

    Copied is what is upright, and, of PNG, opaque and of 8 bits: then every program sees the same in it.
    """
    try:
        with Image.open(path) as image:
            if image.getexif().get(0x0112, 1) not in (0, 1):  # EXIF's orientation
                return ""
            if image.format in ("JPEG", "MPO"):
                return ".jpg"
            is_plain = image.mode in ("L", "RGB") and not image.has_transparency_data and ";16" not in str(image.tile)
            is_still = getattr(image, "n_frames", 1) == 1
            return ".png" if image.format == "PNG" and is_plain and is_still else ""
    except Exception:  # Pillow raises OSError, SyntaxError, ValueError ... by format; `open_photo` will say what it is
        return ""


def telling_first(names: pd.DataFrame) -> pd.DataFrame:
    """The rows, those whose problem is their name at the end: a broken file explains others."""
    return names.iloc[np.argsort(names["problem"].str.startswith(LONELY), kind="stable")]


def check_objects(rows: list[dict]) -> None:
    """Raise DataError where the object has one colour in some masks and another in others, as classes have: each mask
    by itself looks right.
    """
    found = defaultdict(list)
    for row in rows:
        if row.get("colour"):
            found[row["colour"]].append(row["file"])
    if len(found) < 2:
        return
    rarest_last = sorted(found, key=lambda colour: -len(found[colour]))
    listed = ", ".join(f"{colour} ({len(found[colour])})" for colour in rarest_last[:NAMED])
    example = f"as in the mask of {found[rarest_last[-1]][0]}"
    remedy = "--colour says which is the object; where all are, --threshold says how bright it is at least, of 255"
    raise DataError(f"the object differs from mask to mask, {listed}, {example}; {remedy}")


def check_result(names: pd.DataFrame, candidates: list[Candidate], how: HowToRead) -> None:
    """Raise DataError where no photo can be used, or no mask holds the colour that was asked for."""
    kept = names[names["problem"] == ""]
    if kept.empty:
        first = telling_first(names).iloc[0]
        raise DataError(f"none of {len(names)} files can be used; the first, {first['file']}: {first['problem']}")
    if how.colour and not kept["area"].any():
        paths = [candidate.mask.content for candidate in candidates if candidate.id]
        pictures = [path for path in paths if isinstance(path, Path)][:20]
        seen = list(dict.fromkeys(colour for path in pictures for colour in colours_of(path, 16)))
        there = f"the first hold {', '.join(seen[:8])}" if seen else "look at one in a viewer"
        raise DataError(f"no mask holds --colour {bytes(how.colour).hex()}; {there}")
