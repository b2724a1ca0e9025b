"""Exercises of notebook 06: opacity, padding, run lengths, what to ship; with the mistakes that are typical of each."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from carvana_course.deployment.submission import rle_encode
from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.letters import choose_letters

P = np.float32([[0, 0.1, 0.4, 0.49], [0.51, 0.77, 0.9995, 1]])

ALPHA = Exercise(
    "alpha", lambda probability: np.round(255 * probability).astype(np.uint8),
    cases={"soft edges": (P,), "nothing": (0 * P,), "certainty": (np.ones_like(P),)},
    mistakes={
        "not scaled": (lambda p: p.astype(np.uint8), "All but 1.0 became 0: scale to 255 before you make it a byte."),
        "float": (lambda p: p, "Those are still probabilities; 8 bits of opacity run from 0 to 255."),
        "mask": (lambda p: p >= 0.5, "That is a mask of 0 and 1; opacity runs to 255 and keeps what lies between."),
        "hard": (lambda p: np.where(p >= 0.5, 255, 0),
            "Thresholded: the outline becomes a staircase. Half-sure should be half-opaque."),
        "cut off": (lambda p: (255 * p).astype(np.uint8), "astype cuts off: 254.9 becomes 254. Round first."),
        "wrapped": (lambda p: (256 * p).astype(np.uint16).astype(np.uint8),
            "256 * 1.0 does not fit in a byte and wraps around to 0: the surest pixels vanish. Scale to 255."),
        "inverted": (lambda p: np.round(255 * (1 - p)), "Inverted: the car is transparent and the background stays."),
        "sigmoid": (lambda p: np.round(255 / (1 + np.exp(-p))), "These are probabilities already: no second sigmoid."),
    },
)


def net_of_16(images):
    """Stands for a net: gives the first channel, and like ours refuses sides that 16 does not divide."""
    height, width = images.shape[-2:]
    if height % 16 or width % 16:
        raise ValueError(f"picture of {width}x{height}: both sides must be divisible by 16")
    return images[:, :1]


def pad(images) -> torch.Tensor:
    """Pad right and bottom to multiples of 16."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % 16, 0, -height % 16))


def through(images, net, size, back) -> torch.Tensor:
    """Resize to `size`, predict, resize back to `back`."""
    return F.interpolate(net(F.interpolate(images, size, mode="bilinear")), back, mode="bilinear")


def noise(height: int, width: int) -> torch.Tensor:
    """(1, 3, height, width) random values."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def dot(height: int, width: int) -> torch.Tensor:
    """A black picture but for its first pixel: where that is found, and not what padding holds, tells what was cut."""
    return F.pad(torch.ones(1, 3, 1, 1), (0, width - 1, 0, height - 1))


PREDICT_PADDED = Exercise(
    "predict_padded", lambda net, images: net(pad(images))[..., : images.shape[-2], : images.shape[-1]],
    cases={"20 x 30": (net_of_16, noise(20, 30)), "40 x 17, one bright pixel": (net_of_16, dot(40, 17)),
           "20 x 30, one bright pixel": (net_of_16, dot(20, 30)),
           "32 x 48, nothing to pad": (net_of_16, noise(32, 48))},
    mistakes={
        "not undone": (lambda net, x: net(pad(x)), "The padding is still there: the mask is larger than the photo."),
        "wrong corner": (lambda net, x: net(pad(x))[..., -x.shape[-2] :, -x.shape[-1] :],
            "Right size, wrong corner: cut off the side that you padded, or the mask is shifted against the car."),
        "wrong corner 2": (lambda net, x: net(pad(x.flip(-1, -2)).flip(-1, -2))[..., : x.shape[-2], : x.shape[-1]],
            "You padded on the left and at the top and cut on the right and at the bottom: the mask is shifted."),
        "resized": (lambda net, x: through(x, net, [side + -side % 16 for side in x.shape[-2:]], x.shape[-2:]),
            "Resized there and back: every pixel is blurred, and the car is a little wider. Padding moves nothing."),
        "cut": (lambda net, x: net(x[..., : x.shape[-2] // 16 * 16, : x.shape[-1] // 16 * 16]),
            "You cut the photo down to a multiple of 16: its right and bottom edges get no prediction."),
    },
)


def runs_of(flat) -> np.ndarray:
    """(n, 2) start and length of the runs of ones, counted from 0."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    return np.column_stack([changes[::2], changes[1::2] - changes[::2]])


def as_text(runs, plus=(1, 0), by=" ") -> str:
    """Starts and lengths, each with something added, in one line."""
    return by.join(map(str, (np.asarray(runs, int).reshape(-1, 2) + plus).ravel()))


def unpadded(mask) -> str:
    """Changes of value without a zero before the first pixel and after the last."""
    changes = np.flatnonzero(np.diff(mask.ravel().astype(int))) + 2
    changes[1::2] -= changes[::2][: len(changes) // 2]
    return " ".join(map(str, changes))


TINY = np.uint8([[0, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1]])

RLE = Exercise(
    "rle", rle_encode,
    cases={"3 x 4 pixels": (TINY,), "noise": ((np.random.default_rng(0).random((6, 9)) > 0.5).astype(np.uint8),),
           "car in the first pixel": (1 - TINY,), "all car": (0 * TINY + 1,), "no car": (0 * TINY,)},
    mistakes={
        "from zero": (lambda m: as_text(runs_of(m.ravel()), (0, 0)),
            "All starts are one too small: the first pixel has the number 1, not 0."),
        "from two": (lambda m: as_text(runs_of(m.ravel()), (2, 0)),
            "All starts are one too large; a zero put in front of the mask moves it by one already."),
        "columns": (lambda m: as_text(runs_of(m.T.ravel())),
            "Pixels are counted column by column; this challenge counts along the rows, left to right, then down."),
        "last pixel": (lambda m: as_text([(a, a + n) for a, n in runs_of(m.ravel())]),
            "The second number of a pair is the length of the run, and yours is its last pixel."),
        "end": (lambda m: as_text([(a, a + n + 1) for a, n in runs_of(m.ravel())]),
            "The second number of a pair is the length of the run, and yours is the first pixel after it."),
        "short": (lambda m: as_text(runs_of(m.ravel()), (1, -1)),
            "Every length is one too small: a run from pixel 5 to pixel 5 has the length 1."),
        "long": (lambda m: as_text(runs_of(m.ravel()), (1, 1)), "Every length is one too large."),
        "edges": (unpadded,
            "A run that touches the first or the last pixel has no change of value there; put a 0 before and after."),
        "row by row": (lambda m: as_text([(a + i * m.shape[1], n) for i, r in enumerate(m) for a, n in runs_of(r)]),
            "Runs are broken at the end of each row; a run that goes on in the next row is one run."),
        "background": (lambda m: as_text(runs_of(1 - m.ravel())), "Those are the runs of the background."),
        "reversed": (lambda m: as_text(runs_of(m.ravel())[:, ::-1], (0, 1)), "Each pair is start, then length."),
        "commas": (lambda m: as_text(runs_of(m.ravel()), by=","), "Right numbers; separate them by spaces."),
        "list": (lambda m: (runs_of(m.ravel()) + (1, 0)).ravel(), "Right numbers; join them into one line of text."),
        "pairs": (lambda m: runs_of(m.ravel()) + (1, 0), "Right numbers; join them into one line of text."),
    },
)

OFFERS = pd.DataFrame(
    [
        ("A", "ONNX, float32", 0.000002, "0.0000, on 160 validation pictures", "6.4 ms, on the server", 7.8),
        ("B", "ONNX, 8 bits", 0.11, "-0.0012, on 160 validation pictures", "3.9 ms, on the server", 2.0),
        ("C", "ONNX, 8 bits, one scale for all filters", 0.62, "-0.0610, on 160 validation pictures",
         "3.8 ms, on the server", 2.0),
        ("D", "ONNX, float32", 0.31, "0.0000, on one picture", "6.4 ms, on the server", 7.8),
        ("E", "ONNX, 16 bits", 0.0004, "0.0000, on 160 validation pictures", "9.8 ms, on the server", 3.9),
        ("F", "ONNX, 8 bits, the best of 20 on the test", 0.12, "+0.0011, on 80 test pictures",
         "3.9 ms, on the server", 2.0),
        ("G", "TorchScript, float32", 0.000001, "0.0000, on 160 validation pictures", "0.9 ms, on a graphics card",
         7.8),
    ],
    columns=["offer", "file", "largest difference", "mIoU against PyTorch", "time per picture", "MB"],
)


WHICH_TO_SHIP = choose_letters(
    "which_to_ship", "AB", "ABCDEFG", "offer",
    hints={
        "not A": "A: the same net to the last digits, and faster than PyTorch's 7.0 ms.",
        "not B": "B: some numbers differ by 0.11, as 8 bits will; the masks lose 0.0012, which is less than 0.005.",
        "C": "C: fast and small, and it loses 0.06 of mIoU, twelve times what is allowed.",
        "D": "D: float32 does not differ by 0.31 from float32. A step is missing, and one picture did not show it.",
        "E": "E: half the size, but slower than PyTorch's 7.0 ms on this server.",
        "F": "F: the test chose it among 20, so the +0.0011 flatters it. Ask for its score on validation.",
        "G": "G: timed on a machine that the server is not. Ask for its time there.",
        "fastest": ("G", "The least time was measured elsewhere; only times on the server compare."),
        "smallest": ("BCF",
            "Size comes third. Ask first whether the masks are as good, and on which pictures that was measured."),
        "exact only": ("AEG",
            "These are those with hardly a difference in their numbers. What people use are masks, and they have to "
            "come faster than now, on the server."),
        "all": ("ABCDEFG", "Five of them lack something: the score, a fair score, a fair time, a gain."),
        "none": ("", "Two of them are as good, measured fairly, and faster than PyTorch's 7.0 ms."),
    },
)
