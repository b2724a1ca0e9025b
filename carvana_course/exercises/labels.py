"""Exercises of notebook 09: what to look at first, what was corrected, what to trust, when to stop; with mistakes."""


import numpy as np
import pandas as pd

from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.letters import choose_letters

BEFORE = np.zeros((6, 8), np.uint8)
BEFORE[1:4, 2:6] = 1
AFTER = BEFORE.copy()
AFTER[1, 2:5] = 0
AFTER[4, 3] = 1


def count(before, after) -> tuple[int, int]:
    """Pixels added and removed."""
    return np.count_nonzero((after > 0) & (before == 0)), np.count_nonzero((after == 0) & (before > 0))


ADDED_REMOVED = Exercise(
    "added_removed", count,
    cases={"a roof taken off, a pixel added": (BEFORE, AFTER), "back again": (AFTER, BEFORE),
           "drawn from nothing": (0 * BEFORE, AFTER), "no change": (BEFORE, BEFORE),
           "masks of 0 and 255": (255 * BEFORE, 255 * AFTER)},
    parts=("the pixels added", "the pixels removed"),
    mistakes={
        "wrapped": (lambda before, after: ((after - before > 0).sum(), (before - after > 0).sum()),
            "Each change counts both ways: bytes cannot be negative, 0 - 1 is 255. Compare instead of subtracting."),
        "swapped": (lambda before, after: count(after, before),
            "The other way round: added is what is car after and was not before."),
        "difference": (lambda before, after: (max(0, (after > 0).sum() - (before > 0).sum()),
                                              max(0, (before > 0).sum() - (after > 0).sum())),
            "That is how much larger or smaller the mask became; what was added and removed elsewhere cancels out."),
        "shares": (lambda before, after: tuple(n / before.size for n in count(before, after)),
            "Those are shares of the picture; count pixels."),
        "values": (lambda before, after: (int(np.clip(after.astype(int) - before, 0, None).sum()),
                                          int(np.clip(before.astype(int) - after, 0, None).sum())),
            "You added up values, so a pixel of 255 counts 255 times; count pixels."),
        "not background": (lambda before, after: (((after == 1) & (before == 0)).sum(),
                                                  ((after == 0) & (before == 1)).sum()),
            "Car is whatever is not 0: in files it is 255."),
    },
)


def doubt(probability):
    """Of each picture, the mean over its pixels: 1 where the net cannot tell, 0 where it is certain."""
    return (1 - np.abs(2 * probability - 1)).mean((1, 2))


def pictures_of(*shares) -> np.ndarray:
    """Pictures (N, 4, 5) whose first pixels have probability 0.55, as many as `shares` say, and others are certain."""
    found = np.full((len(shares), 20), 0.98)
    found[:, ::2] = 0.01
    for picture, share in zip(found, shares, strict=True):
        picture[:share] = 0.55
    return found.reshape(-1, 4, 5)


MIXED = np.random.default_rng(2).random((7, 4, 5)).round(3)

LEAST_SURE = Exercise(
    "least_sure", lambda probability, k: np.argsort(-doubt(probability), kind="stable")[:k],
    cases={"two of four": (pictures_of(2, 9, 4, 0), 2), "all of four": (pictures_of(5, 1, 3, 12), 4),
           "three of seven": (MIXED, 3), "one of three": (pictures_of(3, 1, 7), 1)},
    mistakes={
        "surest first": (lambda p, k: np.argsort(doubt(p), kind="stable")[:k],
            "Those are the pictures that the net is surest of; argsort puts the smallest first."),
        "the last ones": (lambda p, k: np.argsort(doubt(p), kind="stable")[-k:],
            "The right pictures, but the least sure of them comes last."),
        "values": (lambda p, k: -np.sort(-doubt(p))[:k],
            "Those are the amounts of doubt; return the pictures' positions."),
        "all": (lambda p, k: np.argsort(-doubt(p), kind="stable"), "All pictures in order; only k are asked for."),
        "mean probability": (lambda p, k: np.argsort(p.mean((1, 2)), kind="stable")[:k],
            "A low mean means a small car, not doubt. A pixel is in doubt near 0.5, and certain at 0 and at 1."),
        "nearest to half": (lambda p, k: np.argsort(np.abs(p.mean((1, 2)) - 0.5), kind="stable")[:k],
            "The picture's mean is near 0.5 where half of it is certain car. Take the distance of each pixel first."),
        "one pixel": (lambda p, k: np.argsort(-(1 - np.abs(2 * p - 1)).max((1, 2)), kind="stable")[:k],
            "One doubtful pixel is on every outline; take the mean of all pixels."),
    },
)


def enough(labels, scores, interval):
    """The fewest labels after which no later round is better by more than the interval."""
    for number, score in zip(labels, scores, strict=True):
        if max(scores) - score <= interval:
            return number
    return labels[-1]


def first_small_step(labels, scores, interval):
    """Stop where one round brought little, whatever the next ones bring."""
    for i in range(len(labels) - 1):
        if scores[i + 1] - scores[i] <= interval:
            return labels[i]
    return labels[-1]


ROUNDS = np.array([10, 20, 40, 80, 160])

ENOUGH_LABELS = Exercise(
    "enough_labels", enough,
    cases={"a curve that flattens": (ROUNDS, np.array([0.80, 0.90, 0.93, 0.935, 0.936]), 0.02),
           "a round that brought nothing": (ROUNDS, np.array([0.80, 0.805, 0.90, 0.91, 0.915]), 0.02),
           "still rising": (ROUNDS, np.array([0.60, 0.70, 0.80, 0.87, 0.93]), 0.02),
           "the last round was worse": (ROUNDS, np.array([0.80, 0.90, 0.945, 0.92, 0.915]), 0.02),
           "a wide interval": (ROUNDS, np.array([0.80, 0.88, 0.92, 0.93, 0.935]), 0.06)},
    mistakes={
        "first small step": (first_small_step,
            "One round that brings little may be chance, and the next may bring much: look at all later rounds."),
        "best": (lambda labels, scores, interval: labels[np.argmax(scores)],
            "That is the best score, however small its lead; a lead within the interval is not worth the labels."),
        "all": (lambda labels, scores, interval: labels[-1], "That is all labels; an earlier round may be as good."),
        "against the last": (lambda labels, scores, interval: labels[np.argmax(scores >= scores[-1] - interval)],
            "The last round need not be the best one; compare with the best."),
        "position": (lambda labels, scores, interval: np.argmax(scores >= max(scores) - interval),
            "That is the number of the round; return the number of its labels."),
        "score": (lambda labels, scores, interval: scores[np.argmax(scores >= max(scores) - interval)],
            "That is the score; return the number of labels it took."),
        "both sides": (lambda labels, scores, interval: labels[np.argmax(scores >= max(scores) - 2 * interval)],
            "The interval is what a lead must exceed; do not double it."),
    },
)

OFFERED_MASKS = pd.DataFrame(
    [
        ("A", "fifty predictions, accepted unseen; the net that drew them was run again and agrees with 99.8 % of "
              "their pixels"),
        ("B", "fifty predictions, all looked at by one person; 19 accepted and 31 corrected, as review.csv says"),
        ("C", "fifty predictions, all looked at, says review.csv: one accepted every two seconds, none corrected"),
        ("D", "forty masks drawn by hand by two people; one counts the windows as car, the other does not"),
        ("E", "fifty predictions; those in doubt were corrected, and of the others twenty, drawn at random, were "
              "looked at closely and needed nothing"),
        ("F", "fifty masks drawn by hand with great care, twelve of them of cars that are in the test"),
    ],
    columns=["folder", "where its masks come from"],
)

WHICH_TO_TRUST = choose_letters(
    "which_to_trust", "BE", "ABCDEF", "folder",
    hints={
        "A": "A: the net agrees with itself, whatever it drew. Nobody has looked.",
        "C": ("C: two seconds are too few to follow an outline, and fifty masks without a fault "
            "are too good. That was clicking, not looking."),
        "D": ("D: each of the two is right, but together they teach the net both. Write the rule "
            "down first."),
        "F": ("F: good masks, wrong cars. Once test cars have been trained on, the test no "
            "longer asks about new ones."),
        "not B": ("B: corrected predictions are no worse than drawn ones; somebody has looked at "
            "each, and the trail says who."),
        "not E": ("E: not every mask was looked at, but the doubtful ones were, and a random "
            "sample of the others says what they are worth."),
        "by hand": ("DF",
            "Drawn by hand is not the same as right: ask which rule was followed, and which cars."),
        "all": ("ABCDEF", "In some of them nobody looked, or two rules meet, or test cars take part."),
        "none": ("", "Two of them can be trusted as they are: somebody has looked, and says so."),
    },
)
