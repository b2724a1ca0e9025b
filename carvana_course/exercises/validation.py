"""The exercise of notebook 04 on validation, with the mistakes typical of it."""

import numpy as np
import torch
from torch import nn

from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.evaluation import LEFT_EMPTY, UNDEFINED
from carvana_lib.metrics import confusion_counts, dice, iou


def observe_validation(validate, batches) -> tuple:
    """(mIoU, did any forward pass record gradients?) of a one-layer net that comes from training."""
    model = nn.Sequential(nn.BatchNorm2d(1))
    model[0].running_mean.fill_(0.1)
    model[0].running_var.fill_(4.0)
    recorded = []
    model.register_forward_hook(lambda *_: recorded.append(torch.is_grad_enabled()))
    return validate(model.train(), batches), any(recorded)


def random_batches(seed: int, *sizes: int) -> list:
    """Batches of pictures (b, 1, 8, 8) that a threshold nearly segments; each with more car than the one before."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    share = 0.05
    for size in sizes:
        masks = torch.zeros(size, 1, 8, 8)
        for mask in masks:
            mask[torch.rand(mask.shape, generator=generator) < share] = 1
            share *= 1.5
        images = 2.4 * masks - 1 + torch.randn(masks.shape, generator=generator)
        batches.append((images, masks.byte()))
    return batches


def mean_iou(model, batches, predict=lambda logits: logits >= 0, measure=iou, each=lambda x: x, mode=nn.Module.eval,
             mean=lambda values: np.concatenate(values).mean(), grad=False) -> float:
    """mIoU over batches, and, with other arguments, what goes wrong with it."""
    mode(model)
    values = []
    with torch.set_grad_enabled(grad):
        for images, masks in batches:
            tp, fp, fn, tn = each(confusion_counts(predict(model(images)), masks).numpy()).T
            values.append(measure(tp, fp, fn) if measure in (iou, dice) else measure(tp, fp, fn, tn))
    return float(mean(values))


def wrong_validation(**changes):
    """A validation with one mistake."""
    return lambda model, batches: mean_iou(model, batches, **changes)


def iou_of_all_pixels(model, batches) -> float:
    """One IoU from the pixels of all pictures, as if they were one."""
    images = torch.cat([images for images, _ in batches])
    masks = torch.cat([masks for _, masks in batches])
    return mean_iou(model, [(images.reshape(1, 1, -1, 8), masks.reshape(1, 1, -1, 8))])


def soft_iou(model, batches) -> float:
    """IoU of probabilities, picture by picture."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).sigmoid().flatten(1), y.flatten(1)) for x, y in batches]
    return float(torch.cat([(p * y).sum(1) / (p + y - p * y).sum(1) for p, y in pairs]).mean())


VALIDATE = Exercise(
    "validate", mean_iou, observe=observe_validation, parts=("the mIoU", "whether gradients were recorded"),
    cases={"batches of 4, 4 and 1": (random_batches(0, 4, 4, 1),), "batches of 3 and 1": (random_batches(1, 3, 1),),
           "a picture without car": ([(torch.tensor([-3.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone(),
                                       torch.tensor([0, 1]).view(2, 1, 1, 1).expand(2, 1, 4, 4).clone().byte())],)},
    mistakes={
        "no eval": (wrong_validation(mode=nn.Module.train),
            "The net is still in training mode: BatchNorm normalises by the batch, so a mask depends on its "
            "neighbours. Call eval() first."),
        "gradients": (wrong_validation(grad=True),
            "The score is right, but every pass was recorded for a backward() that never comes, which costs memory: "
            "torch.no_grad() or inference_mode()."),
        "0.5 on logits": (wrong_validation(predict=lambda logits: logits >= 0.5),
            "0.5 is the threshold of a probability. These are logits, where one half lies at 0."),
        "all is car": (wrong_validation(predict=lambda logits: logits.sigmoid() >= 0),
            "Everything counts as car: a probability is never below 0, and a sigmoid of a sigmoid never below 0.5. "
            "Threshold logits at 0 or probabilities at 0.5."),
        "inverted": (wrong_validation(predict=lambda logits: logits < 0),
            "You score the background as if it were the car."),
        "one for a batch": (wrong_validation(each=lambda counts: counts.sum(0, keepdims=True)),
            "One IoU for each batch: the score then depends on batch_size. One for each picture, then the mean."),
        "mean of means": (wrong_validation(mean=lambda values: np.mean([v.mean() for v in values])),
            "The mean of the batches' means: pictures in a short last batch count more. Collect all, average once."),
        "all pixels": (iou_of_all_pixels,
            "All pixels in one IoU: large cars count more. One per picture, then the mean."),
        "soft": (soft_iou, "Probabilities went into the IoU; decide for each pixel first."),
        "last batch": (lambda model, batches: mean_iou(model, batches[-1:]),
            "Only the last batch counts; collect the values of all of them before you average."),
        "Dice": (wrong_validation(measure=dice), "That is Dice: the hits are counted twice. IoU is hits over union."),
        "accuracy": (wrong_validation(measure=lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)),
            "That is the share of correct pixels, flattered by the background; IoU leaves that out."),
        "0/0": (wrong_validation(measure=lambda tp, fp, fn, tn: tp / (tp + fp + fn)),
            UNDEFINED),
        "0/0 is 0": (wrong_validation(measure=lambda tp, fp, fn, tn: tp / np.maximum(tp + fp + fn, 1)),
            LEFT_EMPTY),
        "sum": (wrong_validation(mean=lambda values: np.concatenate(values).sum()), "That is the sum over pictures."),
    },
)
