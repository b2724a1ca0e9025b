"""The per-image table of a trained net, and what is computed from it."""

import numpy as np
import pandas as pd
import torch

from carvana_lib.checkpoints import is_trained, load_trained
from carvana_lib.dataset import make_loader
from carvana_lib.device import make_accelerator, progress
from carvana_lib.frame import IGNORE
from carvana_lib.metrics import COUNTS, boundary_iou, confusion_counts, dice, iou
from carvana_lib.training import train
from carvana_lib.tuning import search, with_best

BINS = 200  # probabilities are counted in steps of 0.005 for the threshold curve


def trained(data, params, train=train, search=search):
    """The run's best net, trained now if it is not yet: (model, the parameters it was trained with, history). Raises
    CheckpointError where the run holds a net of other pictures or parameters. Taught in 05.
    """
    if not is_trained(params):
        train(data, with_best(params, data, search))
    return load_trained(data, params)


@torch.inference_mode()
def predict_batches(model, data, rows, params, flip: bool = False):
    """Yield, batch by batch, (rows (B,), probability (B, 1, S, S) float32, masks (B, 1, S, S) uint8), on the device.
    `flip=True` averages the probabilities of each picture and its mirror image (test-time augmentation). Where the
    answer is no number, as after a training that diverged, the probability is 0: no car. Taught in 05.
    """
    accelerator = make_accelerator(params.device, params.precision, model)
    net = accelerator.prepare_model(model, evaluation_mode=True).eval()
    for images, masks, batch_rows in progress(accelerator.prepare(make_loader(data, rows, params)), "predicting"):
        probability = net(images).sigmoid()
        if flip:
            probability = (probability + net(images.flip(-1)).sigmoid().flip(-1)) / 2
        yield batch_rows, probability.nan_to_num(0.0), masks
    accelerator.unwrap_model(net, keep_fp32_wrapper=False)


def score_images(model, data, rows, params, flip: bool = False) -> tuple[pd.DataFrame, np.ndarray]:
    """Score each picture: (table with one row per image, histogram of its probabilities). The table joins the data's
    columns with tp, fp, fn, tn (pixels at probability 0.5), soft_tp, soft_union, iou, dice and boundary_iou. The
    histogram is (N, 2, BINS) int32 pixels: background and car, by probability. Taught in 05.
    """
    columns = [*COUNTS, "soft_tp", "soft_union", "boundary_iou"]
    scores = np.empty((len(rows), len(columns)))  # arrays from the start: many small ones would cut the memory up
    histograms = np.empty((len(rows), 2, BINS), np.int32)
    done = 0
    for batch_rows, probability, masks in predict_batches(model, data, rows, params, flip):
        part = slice(done, done + len(batch_rows))
        done += len(batch_rows)
        counted = masks != IGNORE
        car = masks == 1
        predicted = counted & (probability >= 0.5)
        soft_tp = probability.where(car, 0).sum((1, 2, 3))
        scores[part, :4] = confusion_counts(predicted, masks).cpu()
        scores[part, 4] = soft_tp.cpu()
        scores[part, 5] = (probability.where(counted, 0).sum((1, 2, 3)) + car.sum((1, 2, 3)) - soft_tp).cpu()
        pairs = zip(predicted[:, 0].cpu().numpy(), car[:, 0].cpu().numpy(), strict=True)
        scores[part, 6] = [boundary_iou(p, y) for p, y in pairs]
        bins = (probability * BINS).long().clamp_(max=BINS - 1) + BINS * car.long()  # those of the car are the last
        pictures = zip(bins.flatten(1).cpu(), counted.flatten(1).cpu(), strict=True)
        histograms[part] = [np.bincount(b[c], minlength=2 * BINS).reshape(2, BINS) for b, c in pictures]
    table = pd.DataFrame(scores, rows, columns).astype(dict.fromkeys(COUNTS, int))
    table["iou"] = iou(table.tp, table.fp, table.fn)
    table["dice"] = dice(table.tp, table.fp, table.fn)
    return data.table.loc[rows].join(table).reset_index(names="row"), histograms


def threshold_curve(histograms: np.ndarray) -> pd.DataFrame:
    """mIoU at each threshold of the probability: threshold, miou. Exact, since each pixel is counted. Taught in 05."""
    above = histograms[:, :, ::-1].cumsum(-1)[:, :, ::-1]  # pixels at or above each bin's lower edge
    fp = above[:, 0]
    tp = above[:, 1]
    fn = histograms[:, 1].sum(-1, keepdims=True) - tp
    return pd.DataFrame({"threshold": np.arange(BINS) / BINS, "miou": iou(tp, fp, fn).mean(0)})
