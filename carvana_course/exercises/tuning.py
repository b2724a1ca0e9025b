"""Exercises of notebook 03: losses, learning rates, range tests to judge; with the mistakes typical of each."""


import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.letters import choose_letters
from carvana_lib import losses
from carvana_lib.training import STEP_EPOCHS, STEP_GAMMA

LEARNING_RATES = Exercise(
    "learning_rates", np.geomspace,
    cases={"1e-5 to 1, 6 values": (1e-5, 1.0, 6), "1e-4 to 5e-4, 3 values": (1e-4, 5e-4, 3)},
    mistakes={
        "equal differences": (np.linspace,
            "Equal differences put nearly all values in the largest decade; use equal factors from one to the next."),
        "powers": (lambda low, high, n: np.logspace(low, high, n),
            "logspace takes exponents: it made 10 to the power of your limits, which is more than 1."),
        "exponents": (lambda low, high, n: np.linspace(np.log10(low), np.log10(high), n),
            "Those are the exponents; raise 10 to them."),
        "without the end": (lambda low, high, n: np.geomspace(low, high, n, endpoint=False),
            "The largest value is missing: n values have n - 1 steps between them."),
        "without the start": (lambda low, high, n: np.geomspace(low, high, n + 1)[1:],
            "The smallest value is missing: n values have n - 1 steps between them."),
        "one too many": (lambda low, high, n: np.geomspace(low, high, n + 1), "That is one value too many."),
        "downwards": (lambda low, high, n: np.geomspace(high, low, n), "In a range test the learning rate rises."),
    },
)

TESTED = np.geomspace(1e-6, 1, 61)  # the learning rates of the range tests below


def range_test_curve(seed: int, falls: float, breaks: float, depth: float = 0.4, noise: float = 0.012) -> pd.DataFrame:
    """A made-up range test (learning_rate, loss): it falls by `depth` around one rate and rises from another on."""
    place = np.log10(TESTED)
    fallen = depth / (1 + np.exp(-3 * (place - np.log10(falls))))
    risen = 0.6 * np.clip(place - np.log10(breaks), 0, None)
    loss = 0.7 - fallen + risen + np.random.default_rng(seed).normal(0, noise, len(TESTED))
    return pd.DataFrame({"learning_rate": TESTED, "loss": loss})


RANGE_TESTS = {
    "A": range_test_curve(0, falls=8e-4, breaks=2e-2),
    "B": range_test_curve(1, falls=8e-6, breaks=2e-4),
    "C": range_test_curve(2, falls=1e-3, breaks=1e-1, noise=0.05),
    "D": range_test_curve(3, falls=8e-2, breaks=1),
    "E": range_test_curve(4, falls=1e-3, breaks=1, depth=0),
    "F": range_test_curve(5, falls=1e-4, breaks=1.3e-3),
}

READ_RANGE_TESTS = choose_letters(
    "read_range_tests", "AC", "".join(RANGE_TESTS), "range test",
    hints={
        "B": ("B: at 1e-3 this one broke long ago. The same code, and another net or batch size, may "
            "need a hundredth of the rate."),
        "D": "D: at 1e-3 the loss has not begun to fall. Training would be safe, and take for ever.",
        "E": "E: it never falls, at any rate. No rate mends that: something is wired wrongly.",
        "F": ("F: at 1e-3 the loss is lowest, just before it breaks. A training run has thousands of "
            "steps in which to fail; take a fifth or a tenth of that rate."),
        "not A": "A: 1e-3 is where the loss falls fastest, and far from where it breaks.",
        "not C": "C: single steps jump, as those of small batches do. Look at their mean: it falls.",
        "lowest": ("F", "The lowest point is not the goal. Look for the slope that leads down to it."),
        "all": ("ABCDEF", "The six differ in where they learn. See whether the loss falls at the mark."),
        "none": ("", "In two of them the loss falls steadily at the mark, and breaks much later."),
    },
)

STEP_LR = Exercise(
    "step_lr", lambda learning_rate, epoch: learning_rate * STEP_GAMMA ** ((epoch - 1) // STEP_EPOCHS),
    cases={f"epoch {epoch}": (8e-4, epoch) for epoch in (1, 4, 5, 6, 10, 11, 16)},
    mistakes={
        "an epoch early": (lambda lr, epoch: lr * 0.5 ** (epoch // 5),
            "One epoch early: with epochs counted from 1, the fifth is still trained at the full learning rate."),
        "an epoch late": (lambda lr, epoch: lr * 0.5 ** (max(0, epoch - 2) // 5),
            "One epoch late: the sixth epoch is the first one at half the learning rate."),
        "every epoch": (lambda lr, epoch: lr * 0.5 ** (epoch - 1), "Halved after every epoch instead of every fifth."),
        "smooth": (lambda lr, epoch: lr * 0.5 ** ((epoch - 1) / 5),
            "A smooth decline; StepLR goes down in steps, so only whole fives count (//)."),
        "once": (lambda lr, epoch: lr * (0.5 if epoch > 5 else 1), "Halved once; after epoch 10 it is halved again."),
        "divided": (lambda lr, epoch: lr / (1 + (epoch - 1) // 5),
            "Divided by 1, 2, 3; halving each time divides by 1, 2, 4."),
        "never": (lambda lr, epoch: lr, "That never changes."),
    },
)


def random_batch(seed: int, share: float, scale: float = 2.0, size=(3, 1, 6, 5)) -> tuple:
    """Random logits and a mask (uint8) whose pictures have `share`, half of it and a quarter of it as car."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(size, generator=generator)
    shares = share / 2 ** torch.arange(float(size[0])).view(-1, 1, 1, 1)
    return logits, (torch.rand(size, generator=generator) < shares).byte()


def value_and_gradient(loss, logits, masks) -> tuple:
    """What training sees of a loss: its value, and its gradient at the logits (0 where there is none)."""
    value = loss(logits.requires_grad_(), masks)
    if not (isinstance(value, torch.Tensor) and value.requires_grad):
        return value, torch.zeros_like(logits)
    value.sum().backward()
    return value, logits.grad


VALUE_AND_GRADIENT = ("the value", "the gradient at the logits")
SURE = (200 * torch.tensor([[-1.0, 1, -1, 1]]).view(1, 1, 2, 2), torch.tensor([[1, 0, 0, 1]]).byte().view(1, 1, 2, 2))
EMPTY = (torch.full((2, 1, 4, 4), -200.0), torch.zeros(2, 1, 4, 4).byte())


def cross_entropy(p, y, log=torch.log, car: float = 1, background: float = 1) -> torch.Tensor:
    """Binary cross-entropy of probabilities, pixel by pixel, as textbooks have it."""
    return -(car * y * log(p) + background * (1 - y) * log(1 - p))


BCE = Exercise(
    "bce", losses.bce_loss, observe=value_and_gradient, parts=VALUE_AND_GRADIENT,
    cases={"three pictures": random_batch(0, 0.8), "three others": random_batch(1, 0.5),
           "sure, and half of it wrong": SURE},
    mistakes={
        "unstable": (lambda x, y: cross_entropy(x.sigmoid(), y).mean(),
            "Right for moderate logits. At 200 the sigmoid rounds to 1, log(1 - 1) is infinite, training ends in NaN: "
            "take the log of the sigmoid in one step (logsigmoid, softplus, or binary_cross_entropy_with_logits)."),
        "clamped": (lambda x, y: cross_entropy(x.sigmoid().clamp(1e-7, 1 - 1e-7), y).mean(),
            "Clamping avoids infinity, but has no gradient where the net is sure and wrong, where it most needs one."),
        "torch clamps": (lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.float()),
            "After a sigmoid, torch cuts the log off at -100, and a net that is sure and wrong learns nothing from it. "
            "There is a version that takes logits."),
        "sigmoid twice": (lambda x, y: losses.bce_loss(x.sigmoid(), y),
            "Sigmoid twice: a function that says `with_logits` applies it by itself, so the net could never say 0."),
        "no sigmoid": (lambda x, y: cross_entropy(x, y).mean(),
            "Those are logits, not probabilities: their logarithm is NaN below 0. The sigmoid comes first."),
        "sign": (lambda x, y: -losses.bce_loss(x, y), "The sign is wrong: this loss grows as the net gets better."),
        "sum": (lambda x, y: losses.bce_loss(x, y) * y.numel(),
            "The sum over pixels grows with the picture's size, and so would the steps; take the mean."),
        "one per picture": (lambda x, y: (F.softplus(x) - x * y).mean((1, 2, 3)),
            "One loss per picture; backward() needs a single number: take their mean as well."),
        "one per pixel": (lambda x, y: F.softplus(x) - x * y,
            "One loss per pixel; backward() needs a single number: take the mean."),
        "car only": (lambda x, y: -(y * F.logsigmoid(x)).mean(),
            "Only car pixels count, so saying car everywhere costs nothing. Add the term of the background."),
        "background only": (lambda x, y: -((1 - y.float()) * F.logsigmoid(-x)).mean(),
            "Only background pixels count; add the term of the car."),
        "log2": (lambda x, y: losses.bce_loss(x, y) / np.log(2),
            "That is in bits; the course takes the natural logarithm."),
        "inverted": (lambda x, y: losses.bce_loss(x, 1 - y), "Car and background are swapped: y belongs to log(p)."),
        "detached": (lambda x, y: losses.bce_loss(x.detach(), y),
            "The number is right but carries no gradient: .item(), .detach() or NumPy cut it off."),
    },
)


def soft_dice_loss(p, y, smooth=1.0, dims=(1, 2, 3), areas=None, factor=2.0) -> torch.Tensor:
    """1 - soft Dice of probabilities, and, with other arguments, what goes wrong with it."""
    y = y.float()
    if areas is None:
        areas = p.sum(dims) + y.sum(dims)
    return 1 - (factor * (p * y).sum(dims) + smooth) / (areas + smooth)


def soft_hits(x, y) -> torch.Tensor:
    """Hits of each picture, from logits."""
    return (x.sigmoid() * y.float()).sum((1, 2, 3))


def soft_areas(x, y) -> torch.Tensor:
    """Sum of both areas of each picture, from logits."""
    return x.sigmoid().sum((1, 2, 3)) + y.float().sum((1, 2, 3))


DICE_LOSS = Exercise(
    "dice_loss", losses.dice_loss, observe=value_and_gradient, parts=VALUE_AND_GRADIENT,
    cases={"three pictures": random_batch(0, 0.8), "three others": random_batch(1, 0.5),
           "sure, and half of it wrong": SURE, "no car, none claimed": EMPTY},
    mistakes={
        "threshold": (lambda x, y: soft_dice_loss((x > 0).float(), y).mean(),
            "A threshold inside the loss (>, round): a step is flat, no gradient passes it, and nothing is learned. "
            "Use the probabilities as they are."),
        "no smoothing": (lambda x, y: soft_dice_loss(x.sigmoid(), y, 0).mean(),
            "A picture without a car, and none claimed, gives 0/0: NaN. Add `smooth` above and below the line."),
        "tiny smoothing": (lambda x, y: soft_dice_loss(x.sigmoid(), y, 1e-6).mean(),
            "The form is right; the smoothing of this exercise is 1, yours is next to nothing."),
        "smooth below": (lambda x, y: (1 - 2 * soft_hits(x, y) / (soft_areas(x, y) + 1)).mean(),
            "With `smooth` in the denominator alone, an empty picture left empty has loss 1; add it above too."),
        "smooth above": (lambda x, y: (1 - (2 * soft_hits(x, y) + 1) / soft_areas(x, y)).mean(),
            "With `smooth` in the numerator alone, an empty picture divides by 0; add it below too."),
        "whole batch": (lambda x, y: soft_dice_loss(x.sigmoid(), y, dims=(0, 1, 2, 3)),
            "One Dice over the whole batch: large cars drown small ones. Sum over each picture, average at the end."),
        "coefficient": (lambda x, y: 1 - losses.dice_loss(x, y),
            "That is the Dice coefficient: 1 when all is right. A loss must fall as the net improves."),
        "negative": (lambda x, y: losses.dice_loss(x, y) - 1,
            "Falls as it should, but ends at -1: the loss is 1 - Dice."),
        "no 2": (lambda x, y: soft_dice_loss(x.sigmoid(), y, factor=1).mean(),
            "Without the factor 2 perfect overlap gives one half: the hits are in both areas, so count them twice."),
        "no sigmoid": (lambda x, y: soft_dice_loss(x, y).mean(),
            "Logits went into the sums: they are not areas and may be negative. The sigmoid comes first."),
        "sigmoid twice": (lambda x, y: soft_dice_loss(x.sigmoid().sigmoid(), y).mean(),
            "Sigmoid twice: what lay between 0 and 1 now lies between 0.5 and 0.73, so it can never say background."),
        "IoU": (lambda x, y: (1 - (soft_hits(x, y) + 1) / (soft_areas(x, y) - soft_hits(x, y) + 1)).mean(),
            "That is the soft IoU loss: overlap over union. Dice divides twice the overlap by the sum of both areas."),
        "squares": (lambda x, y: soft_dice_loss(x.sigmoid(), y, areas=(x.sigmoid() ** 2 + y).sum((1, 2, 3))).mean(),
            "Squares in the denominator: that is V-Net's variant. Here the areas are plain sums."),
        "sum": (lambda x, y: losses.dice_loss(x, y) * len(y), "Summed over pictures; take the mean."),
        "one per picture": (lambda x, y: soft_dice_loss(x.sigmoid(), y),
            "One loss per picture; take their mean at the end."),
        "axis": (lambda x, y: soft_dice_loss(x.sigmoid(), y, dims=(1,)).mean(),
            "Summed over dimension 1 alone, which has length 1: that compares pixel by pixel. Flatten each picture."),
        "detached": (lambda x, y: losses.dice_loss(x.detach(), y),
            "The number is right but carries no gradient: .item(), .detach() or NumPy cut it off."),
    },
)
