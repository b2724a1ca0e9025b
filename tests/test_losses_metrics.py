import numpy as np
import pandas as pd
import pytest
import torch
import torchmetrics.functional.classification as tm
from hypothesis import given, settings
from hypothesis import strategies as st

from carvana_lib.losses import LOSSES, bce_dice_loss, bce_loss, dice_loss
from carvana_lib.metrics import averagings, bootstrap_by_car, boundary_iou, confusion_counts, dice, iou, summary


def masks(kind: str, seed: int):
    generator = torch.Generator().manual_seed(seed)
    p, y = (torch.rand(4, 1, 16, 16, generator=generator) > 0.5 for _ in range(2))
    return {
        "random": (p, y),
        "empty": (p & False, y & False),
        "full": (p | True, y | True),
        "missed": (p & False, y),
        "invented": (p, y & False),
    }[kind]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["random", "full", "missed", "invented"])
def test_iou_and_dice_agree_with_torchmetrics(kind, seed):
    predicted, truth = masks(kind, seed)
    tp, fp, fn, _ = confusion_counts(predicted, truth).numpy().T
    for i in range(len(truth)):
        p, y = predicted[i].int().flatten(), truth[i].int().flatten()
        assert iou(tp, fp, fn)[i] == pytest.approx(tm.binary_jaccard_index(p, y).item(), abs=1e-6)
        assert dice(tp, fp, fn)[i] == pytest.approx(tm.binary_f1_score(p, y).item(), abs=1e-6)


def test_empty_and_rightly_found_empty_scores_one():
    predicted, truth = masks("empty", 0)
    tp, fp, fn, tn = confusion_counts(predicted, truth).numpy().T
    assert (iou(tp, fp, fn) == 1).all() and (dice(tp, fp, fn) == 1).all() and (tn == 256).all()


counts = st.integers(0, 10**6)


@given(counts, counts, counts)
def test_iou_is_at_most_dice_and_symmetric(tp, fp, fn):
    assert 0 <= iou(tp, fp, fn) <= dice(tp, fp, fn) <= 1
    assert iou(tp, fp, fn) == iou(tp, fn, fp)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_boundary_iou_is_one_for_equal_masks_and_zero_for_far_ones(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((64, 64), np.uint8)
    x, y = rng.integers(0, 20, 2)
    mask[y : y + 12, x : x + 10] = 1
    assert boundary_iou(mask, mask) == 1 and boundary_iou(mask, mask[::-1, ::-1]) == 0


def test_boundary_iou_notices_what_iou_hardly_does():
    truth, shrunk = np.zeros((2, 100, 100), np.uint8)
    truth[10:90, 10:90], shrunk[12:88, 12:88] = 1, 1
    plain = iou((truth & shrunk).sum(), (shrunk & ~truth & 1).sum(), (truth & ~shrunk & 1).sum())
    assert boundary_iou(shrunk, truth) < plain - 0.2


def test_summary_is_over_images():
    assert summary([0.5, 1.0]) == {"mean": 0.75, "std": 0.25, "min": 0.5, "max": 1.0}


def table(rows):
    columns = ["tp", "fp", "fn", "tn", "soft_tp", "soft_union", "car_id"]
    return pd.DataFrame(rows, columns=columns)


def test_averagings_by_hand():
    found = averagings(table([(1, 1, 0, 2, 0.8, 2.0, "a"), (3, 0, 0, 1, 2.7, 3.0, "b")]), batch_size=2)
    values = dict(zip(found["averaging"], found["value"], strict=True))
    assert values == pytest.approx(
        {
            "per image": (0.5 + 1) / 2,
            "micro": 4 / 5,
            "pooled classes": (4 / 5 + 3 / 4) / 2,
            "batch mean": 4 / 5,
            "both classes": ((0.5 + 2 / 3) / 2 + 1) / 2,
            "soft": (0.4 + 0.9) / 2,
        }
    )


def test_the_bootstrap_draws_cars():
    """Sixteen copies of each car carry no more information than one, so the interval must not shrink."""
    cars = pd.DataFrame({"car_id": list("abcdefgh"), "iou": np.linspace(0.8, 1.0, 8)})
    low, high = bootstrap_by_car(cars)
    assert (low, high) == pytest.approx(bootstrap_by_car(pd.concat([cars] * 16)))
    assert low < cars["iou"].mean() < high and high - low > 0.05
    assert bootstrap_by_car(cars) == (low, high)


def test_bce_of_a_coin_toss_is_ln_2():
    logits, y = torch.zeros(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8))
    assert bce_loss(logits, y).item() == pytest.approx(np.log(2), abs=1e-6)


def test_dice_loss_by_hand():
    y = torch.zeros(1, 1, 2, 2)
    y[..., 0, 0] = 1
    assert dice_loss(torch.zeros_like(y), y, smooth=0).item() == pytest.approx(1 - 2 * 0.5 / (2 + 1))
    assert dice_loss(40 * (2 * y - 1), y).item() == pytest.approx(0, abs=1e-6)


def test_the_mean_of_dice_is_over_images_not_over_the_batch():
    y = torch.zeros(2, 1, 8, 8)
    y[0], y[1, 0, 0, 0] = 1, 1
    logits = torch.full_like(y, -20.0)
    logits[0] = 20
    each = [dice_loss(logits[i : i + 1], y[i : i + 1]) for i in range(2)]
    assert dice_loss(logits, y).item() == pytest.approx(sum(each).item() / 2)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_are_finite_float32_with_gradients_even_for_absurd_logits(name, dtype):
    for y in (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.ones(2, 1, 8, 8, dtype=torch.uint8)):
        logits = torch.full((2, 1, 8, 8), 1e4, dtype=dtype, requires_grad=True)
        loss = LOSSES[name](logits, y)
        loss.backward()
        assert loss.dtype == torch.float32 and loss.isfinite() and logits.grad.isfinite().all()


def test_bce_dice_is_half_of_each():
    logits, y = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8))
    assert bce_dice_loss(logits, y).item() == pytest.approx((bce_loss(logits, y) + dice_loss(logits, y)).item() / 2)
