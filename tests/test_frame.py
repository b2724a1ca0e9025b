"""Photos of any shape in the net's frame: stretched or padded, and back; padding counts for nothing."""

import numpy as np
import pytest
import torch
from conftest import write_set

from carvana_course.parameters import load_params
from carvana_lib import ParameterError
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader
from carvana_lib.evaluation import score_images
from carvana_lib.frame import GREY, IGNORE, Frame
from carvana_lib.losses import LOSSES
from carvana_lib.metrics import confusion_counts
from carvana_lib.training import fit


@pytest.mark.parametrize("shape", [(60, 120), (120, 60), (64, 64), (1, 500), (500, 1)])
def test_a_padded_photo_keeps_its_aspect_ratio_and_comes_back(shape):
    frame = Frame(96, 128, pad=True)
    rows, columns = frame.place(shape)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    assert height == 96 or width == 128
    assert abs(height * shape[1] - width * shape[0]) <= max(shape), "the aspect ratio, up to a pixel"
    framed = frame.resize(np.full((*shape, 3), 7, np.uint8))
    assert (framed[rows, columns] == 7).all() and (framed == 7).all(-1).sum() == height * width
    assert (framed == GREY).all(-1).sum() == 96 * 128 - height * width
    logits = np.full((96, 128), -9, np.float32)
    logits[rows, columns] = 5
    assert (frame.restore(logits, shape) == 5).all(), "nothing of the padding is left"


def test_a_rectangle_is_height_and_width():
    params = Params(image_size=[64, 96])
    assert params.frame == Frame(64, 96) and Params(image_size=[64, 64]) == Params(image_size=64)
    assert load_params(image_size="64").frame == Frame(64, 64)
    for wrong in ([64], [64, 100], [64, 96, 32], [16, 64]):
        with pytest.raises(ParameterError, match=r"^image_size=\[.*multiple of 16 from 32 to 2048.*\)$"):
            Params(image_size=wrong)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_counts_neither_for_the_loss_nor_for_its_gradient(name):
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    masks = torch.randint(0, 2, (2, 1, 8, 8), dtype=torch.uint8)
    marked = masks.clone()
    marked[..., 4:] = IGNORE
    loss = LOSSES[name](logits, marked)
    assert loss.item() == pytest.approx(LOSSES[name](logits[..., :4], masks[..., :4]).item(), abs=1e-6)
    loss.backward()
    assert (logits.grad[..., 4:] == 0).all() and (logits.grad[..., :4] != 0).all()


def test_padding_is_no_pixel_of_the_score():
    predicted = torch.tensor([[1, 1, 0, 0, 1, 0]])
    masks = torch.tensor([[1, 0, 1, 0, IGNORE, IGNORE]], dtype=torch.uint8)
    assert confusion_counts(predicted, masks).tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    "how", [{"resize": "pad"}, {"image_size": [32, 64]}, {"image_size": [64, 32], "resize": "pad"}]
)
def test_a_run_trains_and_scores_in_any_frame(tmp_path, how):
    params = Params(
        data_dir=str(write_set(tmp_path)), base_channels=2, epochs=1, learning_rate=1e-3, loss="bce_dice", device="cpu"
    ).replace(**{"image_size": 32, **how})
    data = open_data(params)
    frame = params.frame
    assert data.images.shape[1:] == (frame.height, frame.width, 3) and data.masks.max() == 1
    from carvana_lib.checkpoints import make_model

    model = make_model(params)
    history = fit(model, data, data.rows("train"), data.rows("val"), params)
    assert history["val_miou"].between(0, 1).all()
    table, histograms = score_images(model, data, data.rows("test"), params)
    counted = table[["tp", "fp", "fn", "tn"]].sum(axis=1)
    shapes = zip(table["height"], table["width"], strict=True)
    inside = [np.ones((frame.height, frame.width))[frame.place(shape)].size for shape in shapes]
    assert counted.tolist() == inside == histograms.sum((1, 2)).tolist()
    images, masks, _ = next(iter(make_loader(data, data.rows("train"), params, train=True)))
    assert images.shape[2:] == masks.shape[2:] == (frame.height, frame.width)
    assert (IGNORE in masks) == frame.pad
