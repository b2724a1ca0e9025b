"""The per-image table of a trained net, and what is computed from it."""

import numpy as np
import pandas as pd
import torch

from carvana_lib.dataset import make_loader
from carvana_lib.device import make_accelerator
from carvana_lib.metrics import COUNTS, averagings, bootstrap_by_car, boundary_iou, confusion_counts, dice, iou, summary
from carvana_lib.model import count_parameters
from carvana_lib.training import training_rows

BINS = 200  # probabilities are counted in steps of 0.005 for the threshold curve


@torch.inference_mode()
def predict(model, data, rows, params, flip: bool = False):
    """Yield, batch by batch, (rows (B,), probability (B, 1, S, S) float32, masks (B, 1, S, S) uint8), on the device.

    `flip=True` averages the probabilities of each picture and its mirror image (test-time augmentation). Where the
    answer is no number, as after a training that diverged, the probability is 0: no car.
    """
    accelerator = make_accelerator(params)
    net = accelerator.prepare_model(model, evaluation_mode=True).eval()
    for images, masks, batch_rows in accelerator.prepare(make_loader(data, rows, params)):
        probability = net(images).sigmoid()
        if flip:
            probability = (probability + net(images.flip(-1)).sigmoid().flip(-1)) / 2
        yield batch_rows, probability.nan_to_num(0.0), masks
    accelerator.unwrap_model(net, keep_fp32_wrapper=False)


def per_image(model, data, rows, params, flip: bool = False) -> tuple[pd.DataFrame, np.ndarray]:
    """Score each picture: (table with a row an image, histogram of its probabilities).

    The table joins the data's columns with tp, fp, fn, tn (pixels at probability 0.5), soft_tp, soft_union, iou, dice
    and boundary_iou. The histogram is (N, 2, BINS) int32 pixels: background and car, by probability. Nothing else is
    kept, so memory does not grow with the size of the pictures.
    """
    # Into arrays that are there from the start: small results kept batch by batch would lie between the large
    # temporary ones, and the C library could never use that memory again (60 KB a picture at 128 pixels).
    n, done = len(rows), 0
    order, counts, histograms = np.empty(n, int), np.empty((n, len(COUNTS)), int), np.empty((n, 2, BINS), np.int32)
    others = np.empty((n, 3))
    for batch_rows, probability, masks in predict(model, data, rows, params, flip):
        part = slice(done, done := done + len(batch_rows))
        predicted, soft_tp = probability >= 0.5, (probability * masks).sum((1, 2, 3))
        order[part], counts[part] = batch_rows, confusion_counts(predicted, masks).cpu()
        histograms[part] = histogram(probability, masks).cpu()
        others[part, 0] = soft_tp.cpu()
        others[part, 1] = (probability.sum((1, 2, 3)) + masks.sum((1, 2, 3)) - soft_tp).cpu()
        pairs = zip(predicted[:, 0].cpu().numpy(), masks[:, 0].cpu().numpy(), strict=True)
        others[part, 2] = [boundary_iou(p, y) for p, y in pairs]
    scores = pd.DataFrame(counts, order, COUNTS)
    scores[["soft_tp", "soft_union", "boundary_iou"]] = others
    scores["iou"], scores["dice"] = iou(scores.tp, scores.fp, scores.fn), dice(scores.tp, scores.fp, scores.fn)
    return data.table.loc[scores.index].join(scores).reset_index(names="row"), histograms


def histogram(probability: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """(B, 1, S, S) probabilities and masks -> (B, 2, BINS) pixel counts of background and car."""
    size = len(probability)
    cell = (probability * BINS).long().clamp_(max=BINS - 1) + BINS * masks.long()
    cell += 2 * BINS * torch.arange(size, device=cell.device).view(-1, 1, 1, 1)
    return torch.bincount(cell.flatten(), minlength=2 * BINS * size).view(size, 2, BINS)


def threshold_curve(histograms: np.ndarray) -> pd.DataFrame:
    """mIoU at each threshold of the probability: threshold, miou. Exact, since every image's pixels are counted."""
    above = histograms[:, :, ::-1].cumsum(-1)[:, :, ::-1]  # pixels at or above each bin's lower edge
    fp, tp = above[:, 0], above[:, 1]
    fn = histograms[:, 1].sum(-1, keepdims=True) - tp
    return pd.DataFrame({"threshold": np.arange(BINS) / BINS, "miou": iou(tp, fp, fn).mean(0)})


def metrics(
    val: pd.DataFrame, test: pd.DataFrame, history: pd.DataFrame, n_train: int, parameters: int, params
) -> dict:
    """The numbers of a run, as metrics.json holds them, from the per-image tables of validation and test."""
    score = summary(test["iou"])
    low, high = bootstrap_by_car(test, seed=params.seed)
    return {
        "val_miou": float(val["iou"].mean()),
        "test_miou": score["mean"],
        "test_iou_std": score["std"],
        "test_iou_min": score["min"],
        "test_iou_max": score["max"],
        "test_miou_ci95": [low, high],
        "test_dice": float(test["dice"].mean()),
        "test_boundary_iou": float(test["boundary_iou"].mean()),
        "test_averagings": dict(averagings(test, params.batch_size)[["averaging", "value"]].to_numpy().tolist()),
        "seconds_per_epoch": float(history["seconds"].mean()),
        "epochs": len(history),
        "images_seen": int(history["images"].sum()),
        "n_train": n_train,
        "n_val": len(val),
        "n_test": len(test),
        "parameters": parameters,
    }


def scores(model, data, params, history: pd.DataFrame) -> tuple[pd.DataFrame, dict]:
    """Score a trained net as notebook 05 does: (the per-image table of the test pictures, the run's numbers)."""
    val, test = (per_image(model, data, data.rows(split), params, params.flip)[0] for split in ("val", "test"))
    n_train = len(np.unique(training_rows(data, params)))
    return test, metrics(val, test, history, n_train, count_parameters(model), params)
