"""What `carvana look` found, and the options of `carvana adopt` that fit it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from carvana_course.adopt.annotations import Annotation
from carvana_course.adopt.groups import compile_group, describe_sizes, find_group
from carvana_course.adopt.masks import LOSSY, HowToRead, colours_of, mask_of_picture, object_colour
from carvana_course.adopt.names import quoted, without_ending
from carvana_course.adopt.pairing import ELSEWHERE, LONELY, Candidate
from carvana_lib import DataError

SAMPLE = 24  # pictures that are opened, spread over all
SOFT_GREYS = 16  # a mask with more greys is soft; with fewer, each may be a class
GROUPS = (
    "^(.+)/",
    "^(.+)[_-][0-9]+",
    "^([^_-]+)[_-]",
)  # what may hold a group: a sub-folder, all but a last number ...


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

    def fault(self) -> str:
        """One sentence on why there are no pairs, with the remedy."""
        telling = [one for one in self.candidates if ELSEWHERE in one.problem or not one.problem.startswith(LONELY)]
        photos = [one.file for one in self.candidates if one.problem.startswith("photo without mask")]
        masks = [one.file for one in self.candidates if " without photo" in one.problem]
        if telling or not photos or not masks:
            first = (telling or self.candidates)[0]
            return f"no photo can be used with its mask; one of {len(self.candidates)}, {first.file}: {first.problem}"
        names = f"such as '{photos[0]}' and '{masks[0]}'"
        remedy = f"call masks as their photos, as in '{without_ending(photos[0])}_mask.png'"
        return f"no photo and mask have the same name, {names}; {remedy}"

    def command(self, target: Path) -> str:
        """The line that adopts the folder; in quotes what a shell would take apart."""
        words = ["carvana adopt", "--images", quoted(self.images), "--masks", quoted(self.masks)]
        words += ["--target", quoted(target)]
        if self.group:
            words += ["--group", quoted(self.group)]
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
    objects = Counter()
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
            objects[object_colour(path, mask_of_picture(path, HowToRead()))] += 1
        except DataError as error:
            refused = refused or str(error)
    survey.lines.append(f"colours, and in how many of {len(paths)} masks: {counted(masks_with.elements(), 6)}")
    del objects[""]
    if not refused and len(objects) > 1:
        refused = f"the object differs from mask to mask: {counted(objects.elements())}"
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
            survey.lines.append(f"groups: --group {quoted(pattern)} makes {makes}")
            return
    survey.lines.append("groups: the names show none; if several photos show one object, keep them together by --group")
