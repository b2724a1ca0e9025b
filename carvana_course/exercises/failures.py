"""Exercise of notebook 05 on pictures: ten predictions, and why each went wrong where it is most wrong.

failures.png holds the ten masks side by side, as the net of the quick tier drew them: kept in a file, so that the
answers stay right whatever net a reader trains.
"""

from pathlib import Path

import numpy as np

from carvana_course.exercises.checks import Exercise
from carvana_lib.frame import Frame
from carvana_lib.reading import read_mask, read_photo
from carvana_lib.runs import ROOT

MASKS = Path(__file__).with_suffix(".png")
CAUSES = {  # image_id in sample/ -> where the largest patch of wrong pixels is
    "e0b45cbf7099_13": "W",
    "3d8918ddc3c5_10": "G",
    "f555ec7fb503_05": "F",
    "31ab878552d8_09": "T",
    "e0b45cbf7099_08": "W",
    "f555ec7fb503_11": "G",
    "1bbb55758def_13": "W",
    "f555ec7fb503_14": "F",
    "31ab878552d8_08": "T",
    "3d8918ddc3c5_11": "G",
}
CAUSE_LETTERS = "".join(CAUSES.values())


def failures() -> list[tuple]:
    """Ten predictions at 128 pixels: photo (128, 128, 3) uint8, true mask and predicted mask (128, 128) uint8 {0, 1}.

    Raises DataError where a picture of sample/ is missing.
    """
    frame = Frame.of(128)
    sample = ROOT / "sample"
    found = []
    for image_id, said in zip(CAUSES, np.split(read_mask(MASKS), len(CAUSES), axis=1), strict=True):
        photo = frame.resize(read_photo(sample / "train" / f"{image_id}.jpg"))
        mask = frame.resize(read_mask(sample / "train_masks" / f"{image_id}_mask.gif"))
        found.append((photo, mask, said))
    return found


def compare_causes(answer) -> tuple[str, ...]:
    """Of each picture whether its cause was found. Raises ValueError for other than ten letters W, F, T and G."""
    letters = [str(letter).strip().upper() for letter in answer()]
    if len(letters) != len(CAUSE_LETTERS) or set(letters) - set(CAUSE_LETTERS):
        raise ValueError("ten letters are expected, one for each picture, each of them W, F, T or G")
    pairs = zip(letters, CAUSE_LETTERS, strict=True)
    return tuple("its cause" if letter == right else "another cause" for letter, right in pairs)


def exchanged(cause: str, other: str):
    """A wrong answer that takes one cause for another."""
    return lambda: CAUSE_LETTERS.replace(cause, other)


MAIN_CAUSE = Exercise(
    "main_cause", CAUSE_LETTERS,
    observe=compare_causes,
    mistakes={
        "floor": (exchanged("F", "G"),
            "Pink is a false alarm, but not all pink is alike: in two pictures it lies low, between the wheels, where "
            "the car's shadow is."),
        "gap": (exchanged("G", "F"),
            "In three pictures the largest pink patch lies high, behind the cab. There is no floor up there."),
        "thin": (exchanged("T", "W"),
            "In two pictures the missed pixels are a frame above the roof: bars a pixel or two wide. Their colour is "
            "not the reason."),
        "wall": (exchanged("W", "T"),
            "In three pictures a broad piece of the body is missed, and it is as light as what lies behind it. A "
            "bonnet is not thin."),
        "by colour": (lambda: CAUSE_LETTERS.replace("F", "G").replace("T", "W"),
            "You went by colour alone: orange says missed and pink says false alarm, not why. Look where the patch "
            "is."),
        "all one": (lambda: "W" * len(CAUSE_LETTERS),
            "Not all ten have the same cause; each of the four occurs at least twice."),
    },
    parts=tuple(f"picture {number}" for number in range(1, len(CAUSE_LETTERS) + 1)),
)  # fmt: skip
