"""Exercises of notebook 04: the loop, its validation and what surrounds it, with the mistakes typical of each."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.evaluation import LEFT_EMPTY, UNDEFINED
from carvana_lib.losses import bce_loss
from carvana_lib.metrics import confusion_counts, dice, iou


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
            "That is the row's label, and rows are not counted like epochs; look into the column `epoch` of that row."),
        "position": (lambda h: int(h["val_miou"].to_numpy().argmax()),
            "That is the position, counted from 0; epochs are counted from 1."),
        "value": (lambda h: h["val_miou"].max(), "That is the mIoU itself; asked for is its epoch."),
        "last": (lambda h: h["epoch"].iloc[-1], "The last epoch need not be the best one."),
        "training loss": (lambda h: h.loc[h["train_loss"].idxmin(), "epoch"],
            "You chose by the training loss, which falls even while the net learns its pictures by heart."),
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
            "Each number was cut by itself, which turns the direction. Clipping by norm shrinks all by one factor."),
        "each array": (lambda gs, limit: tuple(scaled([g], norm([g]), limit)[0] for g in gs),
            "Each array got a factor of its own. The norm is that of all arrays together, as if they were one."),
        "always": (lambda gs, limit: scaled(gs, norm(gs), limit, True),
            "Gradients below the limit were blown up to it; leave them as they are."),
        "zero norm": (lambda gs, limit: tuple(g * min(1, limit / norm(gs)) for g in gs),
            "Gradients that are all 0 have the norm 0, by which nothing can be divided; look whether it is above the "
            "limit before you divide."),
        "square": (lambda gs, limit: scaled(gs, norm(gs) ** 2, limit), "The norm is the root of the sum of squares."),
        "sum": (lambda gs, limit: scaled(gs, norm(gs, 1), limit),
            "That norm adds absolute values; take the root of the squares."),
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
    model, log, kept = small_net(), [], False
    optimizer = torch.optim.SGD(model.parameters(), rate)
    model[0].weight.register_hook(lambda gradient: log.append("backward"))
    optimizer.register_step_pre_hook(lambda *_: log.append("step"))
    losses, weights, early = [], [], False
    for _ in range(3):
        images, masks = torch.randn(4, 3, 8, 8), torch.rand(4, 1, 8, 8).round()
        model.eval()
        begin = len(log)
        value = train_step(model, optimizer, bce_loss, images, masks, limit)
        early |= log[begin : begin + 1] == ["step"]
        kept |= isinstance(value, torch.Tensor) and value.requires_grad
        losses.append(torch.as_tensor(value).detach().float())
        weights.append(torch.cat([p.detach().flatten() for p in model.state_dict().values()]))
    return torch.stack(losses), torch.stack(weights), early, log.count("step"), log.count("backward"), kept


def step(model, optimizer, loss_function, images, masks, limit, order="predict zero backward clip step", train=True,
         measure=None, clip=clip_grad_norm_, attached=False):
    """One step of training: the right one, and with other arguments those that go wrong."""
    losses, measure = [], measure or loss_function
    does = {"predict": lambda: losses.append(measure(model(images), masks)), "zero": optimizer.zero_grad,
            "backward": lambda: losses[0].backward(), "clip": lambda: clip(model.parameters(), limit),
            "step": optimizer.step}
    model.train(train)
    for action in order.split():
        does[action]()
    return losses[0] if attached else losses[0].item()


def wrong_step(**changes):
    """A training step with one mistake."""
    return lambda *arguments: step(*arguments, **changes)


TRAIN_STEP = Exercise(
    "train_step", step, observe=three_steps,
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
        "two steps": (wrong_step(order="predict zero backward clip step step"), "step() is called twice a batch."),
        "no train": (wrong_step(train=False),
            "The net comes from a validation, in eval mode, so BatchNorm keeps its old statistics: call train()."),
        "no clipping": (wrong_step(order="predict zero backward step"),
            "The gradients' norm was not limited between backward() and step(); earlier or later it has no effect."),
        "clipping by value": (wrong_step(clip=clip_grad_value_),
            "Each number was cut by itself; the limit is for the norm of all gradients together (clip_grad_norm_)."),
        "sigmoid": (wrong_step(measure=lambda logits, masks: bce_loss(logits.sigmoid(), masks)),
            "A sigmoid before a loss that takes logits is one sigmoid too many: gradients shrink, learning stalls."),
        "swapped": (wrong_step(measure=lambda logits, masks: bce_loss(masks, logits)),
            "The loss takes the logits first and the masks second."),
        "attached": (wrong_step(attached=True),
            "All right but the return value: a loss that keeps its graph keeps the batch in memory. Use .item()."),
    },
)


def observe_validation(validate, batches) -> tuple:
    """(mIoU, did any forward pass record gradients?) of a one-layer net that comes from training."""
    model, recorded = nn.Sequential(nn.BatchNorm2d(1)), []
    model[0].running_mean.fill_(0.1), model[0].running_var.fill_(4.0)
    model.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    return validate(model.train(), batches), any(recorded)


def pictures(seed: int, *sizes: int) -> list:
    """Batches of pictures (b, 1, 8, 8) that a threshold nearly segments; each with more car than the one before."""
    generator, batches, share = torch.Generator().manual_seed(seed), [], 0.05
    for size in sizes:
        masks = torch.zeros(size, 1, 8, 8)
        for mask in masks:
            mask += torch.rand(mask.shape, generator=generator) < share
            share *= 1.5
        batches.append((2.4 * masks - 1 + torch.randn(masks.shape, generator=generator), masks.byte()))
    return batches


def score(model, batches, predict=lambda logits: logits >= 0, measure=iou, each=lambda x: x, mode=nn.Module.eval,
          mean=lambda values: np.concatenate(values).mean(), grad=False) -> float:
    """mIoU over batches, and, with other arguments, what goes wrong with it."""
    mode(model)
    values = []
    with torch.set_grad_enabled(grad):
        for images, masks in batches:
            tp, fp, fn, tn = each(confusion_counts(predict(model(images)), masks).numpy()).T
            values.append(measure(tp, fp, fn) if measure in (iou, dice) else measure(tp, fp, fn, tn))
    return float(mean(values))


def wrong_score(**changes):
    """A validation with one mistake."""
    return lambda model, batches: score(model, batches, **changes)


def of_all_pixels(model, batches) -> float:
    """One IoU from the pixels of all pictures."""
    return score(model, [tuple(torch.cat(parts).reshape(1, 1, -1, 8) for parts in zip(*batches, strict=True))])


def soft(model, batches) -> float:
    """IoU of probabilities, picture by picture."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).sigmoid().flatten(1), y.flatten(1)) for x, y in batches]
    return float(torch.cat([(p * y).sum(1) / (p + y - p * y).sum(1) for p, y in pairs]).mean())


VALIDATE = Exercise(
    "validate", score, observe=observe_validation, parts=("the mIoU", "whether gradients were recorded"),
    cases={"batches of 4, 4 and 1": (pictures(0, 4, 4, 1),), "batches of 3 and 1": (pictures(1, 3, 1),),
           "a picture without car": ([(torch.tensor([-3.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone(),
                                       torch.tensor([0, 1]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone().byte())],)},
    mistakes={
        "no eval": (wrong_score(mode=nn.Module.train),
            "The net is still in training mode: BatchNorm normalises by the batch, so a mask depends on its "
            "neighbours. Call eval() first."),
        "gradients": (wrong_score(grad=True),
            "The score is right, but every pass was recorded for a backward() that never comes, which costs memory: "
            "torch.no_grad() or inference_mode()."),
        "0.5 on logits": (wrong_score(predict=lambda logits: logits >= 0.5),
            "0.5 is the threshold of a probability. These are logits, where one half lies at 0."),
        "all is car": (wrong_score(predict=lambda logits: logits.sigmoid() >= 0),
            "Everything counts as car: a probability is never below 0, and a sigmoid of a sigmoid never below 0.5. "
            "Threshold logits at 0 or probabilities at 0.5."),
        "inverted": (wrong_score(predict=lambda logits: logits < 0), "You score the background as if it were the car."),
        "one for a batch": (wrong_score(each=lambda counts: counts.sum(0, keepdims=True)),
            "One IoU for each batch: the score then depends on batch_size. One for each picture, then the mean."),
        "mean of means": (wrong_score(mean=lambda values: np.mean([v.mean() for v in values])),
            "The mean of the batches' means: pictures of a short last batch count more. Collect all, average once."),
        "all pixels": (of_all_pixels, "All pixels in one IoU: large cars count more. One a picture, then the mean."),
        "soft": (soft, "Probabilities went into the IoU; decide for each pixel first."),
        "last batch": (lambda model, batches: score(model, batches[-1:]),
            "Only the last batch counts; collect the values of all of them before you average."),
        "Dice": (wrong_score(measure=dice), "That is Dice: the hits are counted twice. IoU is hits over union."),
        "accuracy": (wrong_score(measure=lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)),
            "That is the share of right pixels, flattered by the background; IoU leaves that out."),
        "0/0": (wrong_score(measure=lambda tp, fp, fn, tn: tp / (tp + fp + fn)),
            UNDEFINED),
        "0/0 is 0": (wrong_score(measure=lambda tp, fp, fn, tn: tp / np.maximum(tp + fp + fn, 1)),
            LEFT_EMPTY),
        "sum": (wrong_score(mean=lambda values: np.concatenate(values).sum()), "That is the sum over pictures."),
    },
)
