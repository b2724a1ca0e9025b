"""Exercises of notebook 01: tables, photos, splits and masks, with the mistakes that are typical of each."""

import itertools

import cv2
import numpy as np
import pandas as pd
import torch

from carvana_course.exercises.checks import Exercise
from carvana_lib.model import MEAN, STD, Normalize

RNG = np.random.default_rng(0)
TINY_PHOTO = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)  # RGB, height and width differ on purpose
TINY_MASK = (TINY_PHOTO[..., 0] > 128).astype(np.uint8)


def areas(**of_car) -> pd.DataFrame:
    """A table like the notebook's, with the given areas for each car."""
    rows = [(f"{car}_{view:02d}", car, view, a) for car, values in of_car.items() for view, a in enumerate(values, 1)]
    return pd.DataFrame(rows, columns=["image_id", "car_id", "view", "area"])


CARS = {"a": [0.2, 0.21, 0.65], "b": [0.3, 0.31, 0.3], "c": [0.1, 0.1, 0.1, 0.1, 0.8], "d": [0.12] * 12, "e": [0.07]}

LARGEST_CAR = Exercise(
    "largest_car",
    lambda table: table.groupby("car_id")["area"].median().idxmax(),
    cases={"five cars": (areas(**CARS),), "the same, in another order": (areas(**dict(reversed(CARS.items()))),)},
    mistakes={
        "mean": (lambda t: t.groupby("car_id")["area"].mean().idxmax(),
            "That is the car with the largest mean; one unusual view can lift a mean, a median hardly notices it."),
        "single picture": (lambda t: t.loc[t["area"].idxmax(), "car_id"],
            "That is the car in the largest single picture. Find one number per car first, then the largest of them."),
        "sum": (lambda t: t.groupby("car_id")["area"].sum().idxmax(),
            "You added the areas up, so a car with more pictures wins."),
        "smallest": (lambda t: t.groupby("car_id")["area"].median().idxmin(),
            "That is the car with the smallest median area."),
        "area": (lambda t: t.groupby("car_id")["area"].median().max(),
            "That is the area itself; the question is which car it belongs to, and that is in the index."),
        "position": (lambda t: int(t.groupby("car_id")["area"].median().to_numpy().argmax()),
            "That is a position, not a name: argmax counts rows, idxmax gives the label of the row."),
    },
)

MIRROR = Exercise(
    "mirror",
    lambda photo, mask: (photo[:, ::-1], mask[:, ::-1]),
    cases={"4 x 6 pixels": (TINY_PHOTO, TINY_MASK), "one row": (TINY_PHOTO[:1], TINY_MASK[:1])},
    mistakes={
        "photo only": (lambda p, m: (p[:, ::-1], m),
            "The photo was mirrored and its mask was not: the mask no longer lies on the car."),
        "mask only": (lambda p, m: (p, m[:, ::-1]), "The mask was mirrored and its photo was not."),
        "upside down": (lambda p, m: (p[::-1], m[::-1]),
            "The car stands on its roof: axis 0 counts rows, from top to bottom; left and right is axis 1."),
        "turned": (lambda p, m: (p[::-1, ::-1], m[::-1, ::-1]), "Both axes were reversed: that turns by 180 degrees."),
        "colours": (lambda p, m: (p[..., ::-1], m[..., ::-1]),
            "The last axis of a photo is its colour, so red and blue swapped places; choose the axis of the width."),
        "swapped": (lambda p, m: (m[:, ::-1], p[:, ::-1]), "The order is photo, mask."),
    },
)


def chw(values) -> np.ndarray:
    """(H, W, 3) -> (3, H, W)."""
    return np.transpose(values, (2, 0, 1))


NORMALISE = Exercise(
    "normalise",
    lambda photo: Normalize()(torch.from_numpy(chw(photo))[None])[0],
    cases={"a photo": (TINY_PHOTO,), "another": (TINY_PHOTO[::-1, ::-1].copy(),), "black": (0 * TINY_PHOTO,),
           "red": (TINY_PHOTO[:, :4] // 9 + np.uint8([200, 0, 0]),)},
    mistakes={
        "bytes": (lambda x: chw((x - np.array(MEAN)) / STD),
            "The mean and standard deviation are those of values from 0 to 1; the photo still runs from 0 to 255."),
        "divided twice": (lambda x: chw((x / 255 / 255 - MEAN) / STD),
            "Divided by 255 twice: the picture is all but black. Check which step or library had done it already."),
        "BGR": (lambda x: chw((x[..., ::-1] / 255 - MEAN) / STD),
            "Red and blue are swapped. OpenCV reads BGR; this photo is RGB already."),
        "constants in BGR": (lambda x: chw((x / 255 - MEAN[::-1]) / STD[::-1]),
            "The constants are in the order RGB, like the photo; yours meet the wrong channels."),
        "result in BGR": (lambda x: chw((x / 255 - MEAN) / STD)[::-1],
            "The numbers are right, but the channels come out in the wrong order: red comes first."),
        "channels last": (lambda x: (x / 255 - MEAN) / STD,
            "The numbers are right, but a net wants channels first, (3, H, W)."),
        "reshaped": (lambda x: ((x / 255 - MEAN) / STD).reshape(3, *x.shape[:2]),
            "reshape keeps the order in memory and so scrambles the pixels; transpose or permute exchanges axes."),
        "width first": (lambda x: ((x / 255 - MEAN) / STD).T,
            "That is (3, W, H): `.T` reverses all the axes. Rows stay rows: (3, H, W)."),
        "no mean": (lambda x: chw(x / 255 / STD), "Scaled but not centred: subtract the mean before you divide."),
        "no deviation": (lambda x: chw(x / 255 - MEAN), "Centred but not scaled: divide by the standard deviation."),
        "variance": (lambda x: chw((x / 255 - MEAN) / np.square(STD)),
            "Divided by the variance: STD is the standard deviation as it stands."),
        "own statistics": (lambda x: chw((x / 255 - (x / 255).mean((0, 1))) / (x / 255).std((0, 1))),
            "You used this photo's own mean: a dark photo and a bright one would look alike. Use MEAN and STD."),
        "minus one to one": (lambda x: chw(x / 127.5 - 1),
            "That maps to -1..1, which other nets use; this exercise asks for MEAN and STD."),
        "overflow": (lambda x: chw((x - np.uint8([124, 116, 104])) / 255 / STD),
            "Bytes cannot be negative: uint8 minus uint8 wraps around. Turn the photo into float first."),
    },
)


def car_ids(*pictures: int) -> np.ndarray:
    """Car of each picture, shuffled: `pictures[i]` pictures of car i."""
    ids = np.repeat([f"{number * 7919:012x}" for number in range(len(pictures))], pictures)
    return np.random.default_rng(len(pictures)).permutation(ids)


def observe_split(split, cars, fraction: float) -> tuple:
    """What can be said of a random split without knowing its draws.

    (pictures of the test if a car is on both sides, most cars in a test, always as many?, the same when repeated?,
    another for another seed?, always the first or last cars by name?)
    """
    tests = [np.asarray(split(cars, fraction, seed)) for seed in (0, 0, 0, *range(12))]
    for test in tests:
        if test.shape != cars.shape or test.dtype.kind not in "biu":
            raise ValueError(f"one True or False for each of the {len(cars)} pictures was expected, not {test!r:.60}")
    *again, first = (test.astype(bool) for test in tests[:4])
    others = [test.astype(bool) for test in tests[4:]]
    names = np.unique(cars)
    leaks = np.isin(cars[first], cars[~first]).any()
    sizes = {len(set(cars[test])) for test in (first, *others)}
    chosen = [np.isin(names, cars[test]).tolist() for test in (first, *others)]
    in_order = all(which in (sorted(which), sorted(which, reverse=True)) for which in chosen)
    repeats = all((first == test).all() for test in again)
    differs = any((first != other).any() for other in others)
    if leaks:
        return int(first.sum()), 0, True, repeats, differs, False
    return 0, max(sizes), len(sizes) == 1, repeats, differs, in_order


def draw_test_cars(cars, fraction, seed, size=lambda wanted: max(1, round(wanted)), draw="permutation") -> np.ndarray:
    """The right split: True for the pictures of randomly drawn test cars; with other arguments, wrong ones."""
    names = np.unique(cars)
    rng = np.random.default_rng(seed)
    n_test = size(fraction * len(names))
    drawn = {"permutation": lambda: rng.permutation(names)[:n_test], "none": lambda: names[:n_test],
             "with repeats": lambda: rng.choice(names, n_test),
             "coins": lambda: names[rng.random(len(names)) < fraction]}
    return np.isin(cars, drawn[draw]())


def draw_test_share(cars, fraction, seed) -> np.ndarray:
    """Cars are taken until the test has its share of the pictures."""
    names = np.random.default_rng(seed).permutation(np.unique(cars))
    pictures = np.cumsum([(cars == name).sum() for name in names])
    return np.isin(cars, names[: np.searchsorted(pictures, fraction * len(cars)) + 1])


def one_picture_each(cars, fraction, seed) -> np.ndarray:
    """The right cars, but only the first picture of each of them."""
    _, first_pictures = np.unique(cars, return_index=True)
    return draw_test_cars(cars, fraction, seed) & np.isin(np.arange(len(cars)), first_pictures)


def first_rows(cars, fraction) -> np.ndarray:
    """True for as many rows as the test should have, from the top of the table."""
    return np.arange(len(cars)) < round(fraction * len(cars))


SEEDS = itertools.count(1000)  # a seed that is never the same, for the mistake of using none

SPLIT = Exercise(
    "split", draw_test_cars, observe=observe_split,
    parts=("how many pictures a test has whose car is in training too", "how many cars a test has",
           "whether every seed draws the same number of cars", "whether a seed draws the same cars again",
           "whether another seed draws other cars", "whether the cars are drawn in the order of their names"),
    cases={"22 cars, 15 %": (car_ids(*[10] * 22), 0.15), "26 cars, 15 %": (car_ids(*[10] * 26), 0.15),
           "20 cars, 2 %": (car_ids(*[20] * 20), 0.02),
           "cars with 2, 4 and 14 pictures": (car_ids(*[2, 4, 14] * 8), 0.25)},
    mistakes={
        "by image": (lambda c, f, s: np.random.default_rng(s).permutation(first_rows(c, f)),
            "Pictures were drawn, not cars: nearly every test car has its other views in training. Draw from the "
            "distinct cars, then take all pictures of those drawn."),
        "one picture each": (one_picture_each,
            "The test has one picture of each of its cars, and training keeps the others. All of them must move."),
        "rows in order": (lambda c, f, s: first_rows(c, f),
            "The first rows are not a random draw, and where cars are mixed in the table they cut through cars."),
        "every so many": (lambda c, f, s: np.arange(len(c)) % round(1 / f) == 0,
            "Taking every n-th picture splits by view: all test cars are in training, seen from the next angle."),
        "first cars": (lambda c, f, s: draw_test_cars(c, f, s, draw="none"),
            "Always the first cars by name. Names may follow date or maker: shuffle the cars by the seed first."),
        "same seed": (lambda c, f, s: draw_test_cars(c, f, 0),
            "Another seed gives the same split: `seed` has to reach the random generator."),
        "no seed": (lambda c, f, s: draw_test_cars(c, f, next(SEEDS)),
            "Called twice with one seed, it gives two splits: today's test car was yesterday's training car."),
        "inverted": (lambda c, f, s: ~draw_test_cars(c, f, s),
            "True should mark the test; yours marks everything else."),
        "with repeats": (lambda c, f, s: draw_test_cars(c, f, s, draw="with repeats"),
            "Some seeds give fewer test cars than others: the draw may take one car twice (replace=False)."),
        "by coin": (lambda c, f, s: draw_test_cars(c, f, s, draw="coins"),
            "Each car tosses a coin of its own, so the number of test cars is up to chance. Shuffle, then cut."),
        "perhaps none": (lambda c, f, s: draw_test_cars(c, f, s, round),
            "With few cars the share rounds to no test car at all; keep at least one."),
        "truncated": (lambda c, f, s: draw_test_cars(c, f, s, lambda wanted: max(1, int(wanted))),
            "int() cuts off: 3.9 cars become 3. Round to the nearest number."),
        "rounded up": (lambda c, f, s: draw_test_cars(c, f, s, lambda wanted: int(np.ceil(wanted))),
            "3.3 cars become 4: rounded up. Round to the nearest number, but keep at least one."),
        "share of pictures": (draw_test_share,
            "The share is of the pictures, so the number of test cars depends on the draw. Here it is of the cars."),
    },
)


def blocks(mask, factor: int) -> np.ndarray:
    """(H, W) -> (H / factor, W / factor) shares of car in each block."""
    return mask.reshape(mask.shape[0] // factor, factor, mask.shape[1] // factor, factor).mean((1, 3))


def by_opencv(mask, factor: int, interpolation: int) -> np.ndarray:
    """(H, W) -> (H / factor, W / factor) float values between 0 and 1."""
    size = (mask.shape[1] // factor, mask.shape[0] // factor)
    return cv2.resize(mask.astype(np.float32), size, interpolation=interpolation)


DOTS = np.zeros((8, 16), np.uint8)
SLOPE = np.zeros((8, 16), np.uint8)
DOTS[1::4, 2::4] = 1  # an antenna: car in one pixel of sixteen
SLOPE[np.add.outer(np.arange(8), np.arange(16)) % 11 > 4] = 1

SHRINK = Exercise(
    "shrink",
    lambda mask, factor: (blocks(mask, factor) >= 0.5).astype(np.uint8),
    cases={"a slope by 4": (SLOPE, 4), "a slope by 2": (SLOPE, 2), "an antenna by 4": (DOTS, 4),
           "noise by 4": (RNG.integers(0, 2, (12, 8), np.uint8), 4), "half a block": (np.eye(4, dtype=np.uint8), 2)},
    mistakes={
        "grey": (blocks, "The shares are right, but a mask is 0 or 1: a pixel that is 0.3 car has no class."),
        "linear, grey": (lambda m, f: by_opencv(m, f, cv2.INTER_LINEAR),
            "Linear interpolation invents values between 0 and 1, and when it shrinks it looks at four pixels only."),
        "linear": (lambda m, f: by_opencv(m, f, cv2.INTER_LINEAR) >= 0.5,
            "Linear interpolation looks at the four pixels around the centre, whatever the factor; average them all."),
        "nearest": (lambda m, f: m[::f, ::f],
            "One pixel of each block decides, the others are never read: outlines become ragged, antennas vanish."),
        "centre": (lambda m, f: m[f // 2 :: f, f // 2 :: f], "The pixel at the centre decides alone. Ask all of them."),
        "any": (lambda m, f: blocks(m, f) > 0, "One car pixel suffices, so cars grow. Half of them should agree."),
        "all": (lambda m, f: blocks(m, f) == 1, "Every pixel has to be car, so cars shrink. Half is enough."),
        "strict": (lambda m, f: blocks(m, f) > 0.5, "Almost: at exactly one half the pixel is car (at least half)."),
        "0 and 255": (lambda m, f: np.where(blocks(m, f) >= 0.5, 255, 0),
            "The right pixels, but with the value 255: in memory a mask holds 0 and 1; 255 is for files to look at."),
        "scrambled": (lambda m, f: m.reshape(f, m.shape[0] // f, f, m.shape[1] // f).mean((0, 2)) >= 0.5,
            "Those blocks are not square: reshape (H, W) to (H/f, f, W/f, f), the short axes after the long ones."),
        "cv2's size": (lambda m, f: cv2.resize(m, (m.shape[0] // f, m.shape[1] // f), interpolation=cv2.INTER_AREA),
            "Height and width are swapped: cv2 takes a size as (width, height)."),
    },
)
