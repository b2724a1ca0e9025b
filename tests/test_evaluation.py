import numpy as np
import pytest
import torch

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
