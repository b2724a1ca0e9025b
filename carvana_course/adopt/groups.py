"""Which photos belong to one group, and what they are called once adopted."""

import re
import unicodedata
from collections import Counter

from carvana_course.adopt.names import without_ending
from carvana_course.adopt.pairing import Candidate
from carvana_lib import ParameterError

LONGEST = 100  # letters of a group: with number and ending, a file's name stays below the 255 bytes that disks allow


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
    short = "".join(letters).strip("-.")[-LONGEST:].encode()[-2 * LONGEST :].decode(errors="ignore")
    name = short.strip("-.") or "photo"  # once more: a file whose name begins with a point is hidden
    unique = name
    number = 2
    while unique.casefold() in taken:
        unique = f"{name}-{number}"
        number += 1
    taken.add(unique.casefold())
    return unique
