"""Exercises of notebook 07: weights by place, two learning rates, what to believe; with typical mistakes."""


import numpy as np
import pandas as pd

from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.letters import choose_letters


def named(names: str, *shapes, start: int = 0) -> dict:
    """{name: array} for the names in a text, each array filled with a number of its own."""
    arrays = [np.full(shape, start + i, float) for i, shape in enumerate(shapes)]
    return dict(zip(names.split(), arrays, strict=True))


def by_place(ours, theirs) -> dict:
    """The weights of `theirs` under the names of `ours`, first to first."""
    return dict(zip(ours, theirs.values(), strict=False))


def first_of_shape(ours, theirs) -> dict:
    """Under each name the first weights that have its shape."""
    return {name: next(w for w in theirs.values() if w.shape == mine.shape) for name, mine in ours.items()}


def from_the_end(ours, theirs) -> dict:
    """Last to last."""
    return dict(zip(ours, list(theirs.values())[-len(ours):], strict=True))


def by_sorted_names(ours, theirs) -> dict:
    """In the order of the alphabet."""
    return dict(zip(sorted(ours), [theirs[name] for name in sorted(theirs)], strict=False))


def arrays_by_name(answer, ours, theirs) -> tuple:
    """What is compared: the array under each of our names, an empty one where there is none, and how many there are."""
    found = answer(ours, theirs)
    return (*(found.get(name, np.zeros(0)) for name in ours), len(found))


MATCH_WEIGHTS = Exercise(
    "match_weights", by_place,
    observe=arrays_by_name,
    cases={
        "two layers and a classifier": (named("stem.weight stem.bias", (4, 3), (4,)),
                                        named("c1.w c1.b fc.w fc.b", (4, 3), (4,), (10, 4), (10,), start=5)),
        "two layers of one shape": (named("a b c", (4, 4), (4, 4), (4,)),
                                    named("x1 x2 x3 fc", (4, 4), (4, 4), (4,), (9, 4), start=7)),
        "names out of order": (named("stem block10 block2", (2, 2), (2, 2), (2, 2)),
                               named("z y x head", (2, 2), (2, 2), (2, 2), (2, 2), start=3)),
    },
    mistakes={
        "sorted": (by_sorted_names,
            "Sorted names come in a different order from the layers: 'block10' before 'block2'. A dictionary keeps the "
            "order in which it was filled."),
        "first of the shape": (first_of_shape,
            "Layers of one shape all got the weights of the first one. Count places instead."),
        "from the end": (from_the_end,
            "Theirs ends with the classifier's layers, which ours lacks. Begin at the front."),
        "its own": (lambda ours, theirs: ours, "Those are the net's own weights, the random ones."),
        "their names": (lambda ours, theirs: theirs,
            "There is nothing under our names: the nets name a layer differently. Go by place, and return ours."),
    },
)


def two_rates(names, rate) -> list:
    """A tenth of the rate for the encoder's."""
    return [rate / 10 if name.startswith("encoder.") else rate for name in names]


LAYER_NAMES = ["encoder.conv_stem.weight", "encoder.blocks.3.bn.bias", "decoder.0.weight", "head.bias"]
TRICKY = ["decoder.2.weight", "head.encoder_scale", "encoder.bn1.weight", "encoder_free.weight"]

TWO_RATES = Exercise(
    "two_rates", two_rates,
    cases={"four layers": (LAYER_NAMES, 0.003), "another rate": (LAYER_NAMES[::-1], 0.01),
           "names that mislead": (TRICKY, 0.001)},
    mistakes={
        "anywhere": (lambda names, rate: [rate / 10 if "encoder" in name else rate for name in names],
            "'head.encoder_scale' is not part of the encoder: ask how the name starts, up to the dot."),
        "no dot": (lambda names, rate: [rate / 10 if name.startswith("encoder") else rate for name in names],
            "'encoder_free.weight' starts like the encoder's and is not. The dot belongs to it."),
        "swapped": (lambda names, rate: [rate if name.startswith("encoder.") else rate / 10 for name in names],
            "The other way round: what has learned already takes the short steps."),
        "frozen": (lambda names, rate: [0.0 if name.startswith("encoder.") else rate for name in names],
            "A rate of 0 freezes the encoder; a tenth of the rate was asked for."),
        "times ten": (lambda names, rate: [10 * rate if name.startswith("encoder.") else rate for name in names],
            "Ten times the rate would soon forget what the encoder has learned."),
        "all": (lambda names, rate: [rate / 10 for name in names], "The decoder is new: it takes the full rate."),
    },
)

REPORTS = pd.DataFrame(
    [
        ("A", "ImageNet 0.93 after 1,900 steps, random 0.88 after 190; the same three seeds, the same test cars"),
        ("B", "ImageNet 0.930, random 0.881: as many steps, the same three seeds and test cars; each at the learning "
              "rate that was best for it on validation cars"),
        ("C", "ImageNet 0.957, the best of five seeds; random 0.949, the mean of five; all else equal"),
        ("D", "ImageNet 0.961 on 40 test cars, random 0.948 on the 31 of them that were easy to label"),
        ("E", "ImageNet 0.968 at the epoch that scored highest on the test cars, random 0.962 at the last"),
        ("F", "+0.004, +0.006 and +0.005 with seeds 0, 1 and 2; as many steps, the same test cars, one recipe"),
    ],
    columns=["report", "what it says of pretraining"],
)

WHICH_TO_BELIEVE = choose_letters(
    "which_to_believe", "BF", "ABCDEF", "report",
    hints={
        "A": "A: ten times the steps are a reason of their own. Count them before you read a score.",
        "C": "C: the best of five lies above the mean of five, whatever the start.",
        "D": "D: different test cars, and easy ones; they may explain a gap of 0.013.",
        "E": "E: one of the two was chosen by the test cars, so its score flatters it.",
        "not B": ("B: one rate for both would favour the one it suits. A choice on validation cars, "
            "made for each alike, is fair."),
        "not F": "F: small, but three pairs agree and nothing else differs: a result.",
        "all": ("ABCDEF", "In some of them more than the start differs: steps, seeds, test cars, who chose."),
        "none": ("", "Two of them are fair comparisons: the start is all that differs."),
        "the largest": ("AB", "Not the size of the gain decides, but whether only the start differs."),
    },
)
