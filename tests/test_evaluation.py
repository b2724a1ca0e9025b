import re

import cv2
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from carvana_course.exercises.failures import CAUSES, failures
from carvana_course.headless.scores import run_metrics, score_run
from carvana_lib import evaluation
from carvana_lib.checkpoints import make_model
from carvana_lib.metrics import iou
from carvana_lib.model import count_parameters
from carvana_lib.training import train


class Oracle(torch.nn.Module):
    """Says car where the picture is bright, less surely the darker it is; needs no training."""

    def forward(self, images):
        return images.float().mean(1, keepdim=True) / 20 - 6


def test_each_row_is_its_own_picture(data, params):
    rows = data.rows("test")
    table, histograms = evaluation.score_images(Oracle(), data, rows, params)
    assert (
        table["row"].tolist() == rows.tolist() and (table["image_id"] == data.table["image_id"][rows].to_numpy()).all()
    )
    for i, row in enumerate(rows):
        predicted = torch.sigmoid(Oracle()(torch.tensor(data.images[row]).permute(2, 0, 1)[None]))[0, 0].numpy() >= 0.5
        truth = data.masks[row] > 0
        assert table["iou"][i] == pytest.approx((predicted & truth).sum() / (predicted | truth).sum())
    assert (histograms.sum((1, 2)) == 32 * 32).all() and (histograms[:, 1].sum(1) == data.masks[rows].sum((1, 2))).all()


def test_the_threshold_curve_is_exact(data, params):
    rows = data.rows("val")
    table, histograms = evaluation.score_images(Oracle(), data, rows, params)
    curve = evaluation.threshold_curve(histograms).set_index("threshold")["miou"]
    assert curve[0.5] == pytest.approx(table["iou"].mean())
    for threshold in (0.25, 0.9):
        scores = []
        for _, probability, masks in evaluation.predict_batches(Oracle(), data, rows, params):
            p, y = (probability >= threshold).flatten(1), masks.flatten(1) > 0
            scores += iou((p & y).sum(1), (p & ~y).sum(1), (~p & y).sum(1)).tolist()
        assert curve[threshold] == pytest.approx(np.mean(scores))


def test_flip_averages_both_directions(data, params):
    class LeftHanded(torch.nn.Module):
        def forward(self, images):
            logits = torch.full_like(images[:, :1], -4.0, dtype=torch.float32)
            logits[..., :16] = 4.0
            return logits

    rows = data.rows("val")
    plain = next(evaluation.predict_batches(LeftHanded(), data, rows, params))[1]
    both = next(evaluation.predict_batches(LeftHanded(), data, rows, params, flip=True))[1]
    assert plain[..., :16].min() > 0.9 and torch.allclose(both, torch.full_like(both, 0.5), atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_a_net_of_nan_finds_no_car(data, params, flip):
    class Diverged(torch.nn.Module):
        def forward(self, images):
            return torch.full_like(images[:, :1], torch.nan, dtype=torch.float32)

    rows = data.rows("val")
    table, histograms = evaluation.score_images(Diverged(), data, rows, params, flip)
    assert (table[["iou", "tp", "fp", "soft_tp"]] == 0).all(axis=None)
    assert histograms[:, :, 0].sum() == histograms.sum() == len(rows) * 32 * 32


def test_prediction_leaves_the_model_as_it_was(data, params):
    model = make_model(params)
    list(evaluation.predict_batches(model, data, data.rows("val"), params.replace(precision="bf16")))
    assert "autocast" not in repr(model.forward) and model(torch.zeros(2, 3, 32, 32)).dtype == torch.float32


def test_metrics_have_the_promised_names(data, params):
    model, history = train(data, params)
    val, test = (evaluation.score_images(model, data, data.rows(name), params)[0] for name in ("val", "test"))
    found = run_metrics(val, test, model, data, params, history)
    promised = {
        "val_miou",
        "test_miou",
        "test_iou_std",
        "test_iou_min",
        "test_iou_max",
        "test_miou_ci95",
        "test_dice",
        "seconds_per_epoch",
        "n_train",
        "n_val",
        "n_test",
        "parameters",
    }
    assert promised <= set(found)
    assert found["val_miou"] == pytest.approx(history["val_miou"].iloc[-1])  # training's validation says the same
    assert found["test_iou_min"] <= found["test_miou"] <= found["test_iou_max"]
    low, high = found["test_miou_ci95"]
    assert low <= found["test_miou"] <= high and (found["n_val"], found["n_test"]) == (len(val), len(test))


def test_fewer_cars_are_counted_once_wherever_a_run_is_scored(data, params):
    """Their pictures are repeated to fill an epoch; the card and the results count each once."""
    few = params.replace(train_cars=2, epochs=1)
    model, history = train(data, few)
    _, numbers = score_run(model, data, few, history)
    assert numbers["n_train"] == 8 and numbers["images_seen"] == 24
    assert numbers["parameters"] == count_parameters(model)


# What chapter 05 does in its own cells

CELLS = {cell["id"]: cell for cell in nbformat.read(ROOT / "notebooks" / "05_evaluation.ipynb", 4).cells}


def run_cells(*names, **namespace) -> dict:
    """Execute the definitions of some cells, up to where they draw or print, and return what they define."""
    for name in names:
        source = re.split(r"^(?:plots|print|before =)", CELLS[name].source, flags=re.M)[0]
        exec(source, namespace)
    return namespace


def test_the_chapter_finds_the_temperature_of_a_net_that_is_too_modest():
    """Pixels whose share of car is that of their logit divided by 0.3."""
    middle = (np.arange(evaluation.BINS) + 0.5) / evaluation.BINS
    true = 1 / (1 + np.exp(-np.log(middle / (1 - middle)) / 0.3))
    pixels = np.random.default_rng(0).integers(1000, 100_000, evaluation.BINS)
    histograms = np.stack([pixels * (1 - true), pixels * true])[None]
    found = run_cells(
        "05-reliability", "05-ece", "05-temperature", np=np, pd=pd, middle=middle, val_histograms=histograms
    )
    assert found["temperature"] == pytest.approx(0.3, rel=1e-3)
    before, after = (found["calibration_error"](found["reliability"](histograms[0], said)) for said in (middle, true))
    assert before == pytest.approx(np.average(np.abs(middle - true), weights=pixels), abs=0.01) and before > 0.1
    assert after == pytest.approx(0, abs=1e-9)


def test_what_the_chapter_says_of_the_temperature_is_what_it_printed():
    (table,) = CELLS["05-tempered"].outputs
    rows = re.findall(r"^(?:before|after) +(.{6}) +(.{6}) +(.{6})$", table.data["text/plain"], re.M)
    (error, soft, miou), (error_after, soft_after, miou_after) = [[float(number) for number in row] for row in rows]
    said = CELLS["05-tempered-seen"].source
    assert f"from {error:.3f} to below 0.005" in said and error_after < 0.005
    assert f"from {soft:.3f} to {soft_after:.3f}" in said
    assert miou == miou_after and "No mask has changed" in said


@pytest.mark.parametrize("number", range(10))
def test_the_largest_patch_of_a_failure_is_of_the_kind_that_its_cause_makes(number):
    """Wall and thin parts are missed, floor and gaps are false alarms; no other patch is nearly as large."""
    photo, mask, said = failures()[number]
    assert photo.shape == (128, 128, 3) and set(np.unique(said)) == {0, 1}
    patches = []
    for kind, wrong in (("missed", mask > said), ("false alarm", mask < said)):
        _, _, sizes, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=8)
        patches += [(int(size), kind) for size in sizes[1:, cv2.CC_STAT_AREA]]
    (largest, kind), (second, _) = sorted(patches, reverse=True)[:2]
    assert kind == ("missed" if list(CAUSES.values())[number] in "WT" else "false alarm")
    assert largest > 1.4 * second
