"""The document validates at 0.952 and tests at 0.980. Which mistake on the validation side gives such a gap?"""

import copy

import numpy as np
import torch

from carvana_course.evidence.experiments import read_experiment
from carvana_course.evidence.results import RESULTS
from carvana_lib.checkpoints import load_trained
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import CHOICES, SegmentationDataset, collate
from carvana_lib.device import make_accelerator
from carvana_lib.evaluation import score_images
from carvana_lib.metrics import averagings, confusion_counts, iou
from carvana_lib.runs import Run

SIZES_TRIED = ("protocol-small", "protocol-full")  # those of them that have been trained on this machine


@torch.inference_mode()
def miou_under(model, data, params: Params, augment: bool, batch_statistics: bool) -> float:
    """Validation mIoU with augmentation left on, or with BatchNorm normalising by each batch, as in `train` mode."""
    names = CHOICES[params.augment]
    dataset = SegmentationDataset(data, data.rows("val"), augment, params.seed, names)
    loader = torch.utils.data.DataLoader(dataset, params.batch_size, collate_fn=collate)
    accelerator = make_accelerator(params.device, params.precision, model)
    net = accelerator.prepare_model(copy.deepcopy(model), evaluation_mode=True)
    net.train(batch_statistics)
    counts = []
    for images, masks, _ in accelerator.prepare(loader):
        counts.append(confusion_counts(net(images) >= 0, masks))
    tp, fp, fn, _ = torch.cat(counts).cpu().numpy().T
    return float(np.mean(iou(tp, fp, fn)))


def figures(model, data, params: Params, history) -> dict[str, float]:
    """What could be reported as the validation score of a trained net, by how it comes about."""
    val, _ = score_images(model, data, data.rows("val"), params)
    test, _ = score_images(model, data, data.rows("test"), params)
    found = {"test, as it is": float(test["iou"].mean()), "validation, as it is": float(val["iou"].mean())}
    for epoch, score in zip(history["epoch"], history["val_miou"], strict=True):
        found[f"after epoch {epoch}"] = float(score)
    found["augmentation left on"] = miou_under(model, data, params, True, False)
    found["BatchNorm in training mode"] = miou_under(model, data, params, False, True)
    found["both"] = miou_under(model, data, params, True, True)
    for row in averagings(val, params.batch_size).itertuples():
        found[f"averaged: {row.averaging}"] = row.value
    return found


def compare_figures(folder: str):
    """Yield a row for each trained size, seed and figure: experiment, seed, figure, value."""
    for name in SIZES_TRIED:
        experiment = read_experiment(RESULTS / "params" / f"{name}.yaml")
        for seed in experiment.seeds:
            params = experiment.params(seed, data_dir=folder)
            if not Run(params.run_name).best_checkpoint.exists():
                continue
            data = open_data(params)
            model, _, history = load_trained(data, params)
            for figure, value in figures(model, data, params, history).items():
                yield {"experiment": name, "seed": seed, "figure": figure, "value": value}
