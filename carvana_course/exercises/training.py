"""Exercises of notebook 04: the step and what surrounds it, with the mistakes typical of each."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from carvana_course.exercises.checks import Exercise
from carvana_lib.losses import bce_loss


def history(*mious, start=0) -> pd.DataFrame:
    """A history like the notebook's, whose losses have their minima in other epochs than the mIoU its maximum."""
    n = len(mious)
    return pd.DataFrame(
        {
            "epoch": range(1, n + 1),
            "train_loss": np.abs(np.arange(n) - 2) + 0.1,
            "val_loss": np.abs(np.arange(n) - 1) + 0.2,
            "val_miou": mious,
        },
        index=range(start, start + n),
    )


BEST_EPOCH = Exercise(
    "best_epoch", lambda history: history.loc[history["val_miou"].idxmax(), "epoch"],
    cases={"five epochs": (history(0.87, 0.86, 0.91, 0.94, 0.92),), "four epochs": (history(0.6, 0.5, 0.9, 0.8),),
           "rows counted from 7": (history(0.3, 0.7, 0.6, 0.65, 0.5, start=7),)},
    mistakes={
        "row": (lambda h: h["val_miou"].idxmax(),
            "That is the row's label, and rows are not counted like epochs; look in the column `epoch` of that row."),
        "position": (lambda h: int(h["val_miou"].to_numpy().argmax()),
            "That is the position, counted from 0; epochs are counted from 1."),
        "value": (lambda h: h["val_miou"].max(), "That is the mIoU itself; the question is which epoch it belongs to."),
        "last": (lambda h: h["epoch"].iloc[-1], "The last epoch need not be the best one."),
        "training loss": (lambda h: h.loc[h["train_loss"].idxmin(), "epoch"],
            "You chose by the training loss, which falls even while the net only memorises its pictures."),
        "validation loss": (lambda h: h.loc[h["val_loss"].idxmin(), "epoch"],
            "You chose by the validation loss; the checkpoint `best` goes by the mIoU, and the two can disagree."),
        "worst": (lambda h: h.loc[h["val_miou"].idxmin(), "epoch"], "That is the epoch of the lowest mIoU."),
    },
)


def scaled(gradients, norm: float, limit: float, always=False) -> tuple:
    """All gradients times one factor, so that `norm` becomes `limit`."""
    factor = limit / norm if always or norm > limit else 1.0
    return tuple(g * factor for g in gradients)


def norm(gradients, order=2) -> float:
    """Norm of all the numbers of all the arrays."""
    return float(np.linalg.norm(np.concatenate([g.ravel() for g in gradients]), order))


LARGE = [np.array([[3.0, -1.0], [0.5, 2.0]]), np.array([4.0, 0.1])]

CLIP = Exercise(
    "clip", lambda gradients, limit: scaled(gradients, norm(gradients), limit),
    cases={"large": (LARGE, 1.0), "large, limit 2": (LARGE, 2.0), "small": ([g / 100 for g in LARGE], 1.0),
           "many small ones": ([np.full((20, 20), 0.2), np.full(50, -0.3)], 1.0),
           "zero": ([0 * g for g in LARGE], 1.0)},
    mistakes={
        "each number": (lambda gs, limit: tuple(np.clip(g, -limit, limit) for g in gs),
            "Each number was clipped by itself, which turns the direction. Clip by norm: shrink all by one factor."),
        "each array": (lambda gs, limit: tuple(scaled([g], norm([g]), limit)[0] for g in gs),
            "Each array got a factor of its own. The norm is that of all arrays together, as if they were one."),
        "always": (lambda gs, limit: scaled(gs, norm(gs), limit, True),
            "Gradients below the limit were blown up to it; leave them as they are."),
        "zero norm": (lambda gs, limit: tuple(g * min(1, limit / norm(gs)) for g in gs),
            "Gradients that are all 0 have the norm 0, and you cannot divide by 0; check whether it is above the "
            "limit before you divide."),
        "square": (lambda gs, limit: scaled(gs, norm(gs) ** 2, limit), "The norm is the square root of that sum."),
        "sum": (lambda gs, limit: scaled(gs, norm(gs, 1), limit),
            "That norm adds absolute values; take the square root of the sum of squares."),
        "largest": (lambda gs, limit: scaled(gs, norm(gs, np.inf), limit),
            "You limited the largest number; many small ones together still make a long step."),
        "unchanged": (lambda gs, limit: tuple(gs), "Nothing was clipped."),
    },
)


def small_net() -> nn.Module:
    """Convolution, BatchNorm, convolution: small, but with everything that a step can get wrong."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))


def three_steps(train_step, rate: float, limit: float) -> tuple:
    """Take three steps, with the net in evaluation mode before each, as after a validation.

    What is compared: (losses, weights after each step, was any call of step() before backward()?, steps, backwards,
    does the loss still hold on to the graph?)
    """
    model = small_net()
    optimizer = torch.optim.SGD(model.parameters(), rate)
    log = []
    model[0].weight.register_hook(lambda gradient: log.append("backward"))
    optimizer.register_step_pre_hook(lambda *_: log.append("step"))
    losses = []
    weights = []
    any_early = False
    any_graph = False
    for _ in range(3):
        images = torch.randn(4, 3, 8, 8)
        masks = torch.rand(4, 1, 8, 8).round()
        model.eval()
        begin = len(log)
        value = train_step(model, optimizer, bce_loss, images, masks, limit)
        if log[begin : begin + 1] == ["step"]:
            any_early = True
        if isinstance(value, torch.Tensor) and value.requires_grad:
            any_graph = True
        losses.append(torch.as_tensor(value).detach().float())
        weights.append(torch.cat([p.detach().flatten() for p in model.state_dict().values()]))
    return (torch.stack(losses), torch.stack(weights), any_early, log.count("step"), log.count("backward"),
            any_graph)


def step_in_order(model, optimizer, loss_function, images, masks, limit, order="predict zero backward clip step",
                  train=True, measure=None, clip=clip_grad_norm_, attached=False):
    """One step of training: the right one, and with other arguments those that go wrong."""
    measure = measure or loss_function
    losses = []
    actions = {
        "predict": lambda: losses.append(measure(model(images), masks)),
        "zero": optimizer.zero_grad,
        "backward": lambda: losses[0].backward(),
        "clip": lambda: clip(model.parameters(), limit),
        "step": optimizer.step,
    }
    model.train(train)
    for name in order.split():
        actions[name]()
    return losses[0] if attached else losses[0].item()


def wrong_step(**changes):
    """A training step with one mistake."""
    return lambda *arguments: step_in_order(*arguments, **changes)


TRAIN_STEP = Exercise(
    "train_step", step_in_order, observe=three_steps,
    parts=("the losses of three steps", "the weights after each step", "whether step() came before backward()",
           "how often step() was called", "how often backward() was called", "whether the loss keeps its graph"),
    cases={"a high learning rate": (2.0, 0.05), "limit that is not reached": (0.5, 100.0)},
    mistakes={
        "no zero_grad": (wrong_step(order="predict backward clip step"),
            "The first step is right, later ones are not: backward() adds to the gradients that are there. "
            "Without zero_grad() each step repeats all the earlier ones."),
        "zero_grad before step": (wrong_step(order="predict backward clip zero step"),
            "The weights never move: zero_grad() stands between backward() and step() and erases what was just found."),
        "step before backward": (wrong_step(order="predict zero step backward"),
            "step() comes before backward(): it walks with no gradient, or with that of the batch before."),
        "one batch late": (wrong_step(order="step zero predict backward clip"),
            "step() comes before backward(): every step uses the gradient of the batch before."),
        "no step": (wrong_step(order="predict zero backward clip"),
            "Gradients are found and never used: optimizer.step() is missing."),
        "no backward": (wrong_step(order="predict zero clip step"),
            "step() is called, but nothing has found any gradients: loss.backward() is missing."),
        "two steps": (wrong_step(order="predict zero backward clip step step"), "step() is called twice per batch."),
        "no train": (wrong_step(train=False),
            "The net comes from a validation, in eval mode, so BatchNorm keeps its old statistics: call train()."),
        "no clipping": (wrong_step(order="predict zero backward step"),
            "The gradients' norm was not limited between backward() and step(); earlier or later it has no effect."),
        "clipping by value": (wrong_step(clip=clip_grad_value_),
            "Each number was clipped by itself; the limit is for the norm of all gradients (clip_grad_norm_)."),
        "sigmoid": (wrong_step(measure=lambda logits, masks: bce_loss(logits.sigmoid(), masks)),
            "A sigmoid before a loss that takes logits is one sigmoid too many: gradients shrink, learning stalls."),
        "swapped": (wrong_step(measure=lambda logits, masks: bce_loss(masks, logits)),
            "The loss takes the logits first and the masks second."),
        "attached": (wrong_step(attached=True),
            "All correct except the return value: a loss that keeps its graph keeps the batch in memory. Use .item()."),
    },
)
