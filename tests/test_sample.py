"""The committed sample: its layout, sizes, values, and that masks and pictures belong together."""

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

SAMPLE = Path(__file__).resolve().parent.parent / "sample"
CARS, VIEWS, SIZE = 32, 16, (480, 320)


@pytest.fixture(scope="module")
def stems():
    """Names like 0123456789ab_01, sorted."""
    return sorted(path.stem for path in (SAMPLE / "train").glob("*.jpg"))


@pytest.fixture(scope="module")
def masks(stems):
    """All masks (pictures, height, width) as stored."""
    return np.stack([np.array(Image.open(SAMPLE / "train_masks" / f"{stem}_mask.gif")) for stem in stems])


def test_layout(stems):
    """32 cars with 12-digit hexadecimal ids, views 01 to 16 of each, a mask for each picture, no more."""
    assert len(stems) == CARS * VIEWS
    assert all(re.fullmatch(r"[0-9a-f]{12}_(0[1-9]|1[0-6])", stem) for stem in stems)
    assert len({stem[:12] for stem in stems}) == CARS
    masks = sorted(path.name for path in (SAMPLE / "train_masks").iterdir())
    assert masks == [f"{stem}_mask.gif" for stem in stems]
    assert len(list((SAMPLE / "train").iterdir())) == len(stems)


def test_size_on_disk():
    """At most 8 MB, so that a clone stays quick."""
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 8_000_000


def test_picture_files(stems):
    """480x320 colour JPEGs and palette GIFs."""
    for stem in stems:
        with Image.open(SAMPLE / "train" / f"{stem}.jpg") as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", SIZE)
        with Image.open(SAMPLE / "train_masks" / f"{stem}_mask.gif") as mask:
            assert (mask.format, mask.mode, mask.size) == ("GIF", "P", SIZE)


def test_mask_values(masks):
    """Every mask holds both values, 0 and 1, and no other."""
    assert masks.dtype == np.uint8
    assert all(np.array_equal(np.unique(mask), [0, 1]) for mask in masks)


def test_car_area(masks):
    """The car takes 9 to 41 % of the picture, as in the real set; a median near 21 %."""
    area = masks.mean((1, 2))
    assert area.min() >= 0.09
    assert area.max() <= 0.41
    assert 0.17 <= np.median(area) <= 0.25


def test_one_connected_car(masks):
    """The largest connected piece holds at least 97 % of the mask, and pieces are few."""
    for mask in masks:
        labels, pieces = ndimage.label(mask, structure=np.ones((3, 3)))
        largest = np.bincount(labels.ravel())[1:].max()
        assert largest >= 0.97 * mask.sum()
        assert pieces <= 6


def test_car_inside_picture(masks):
    """No car is cut off by the picture's edge."""
    assert not masks[:, [0, -1], :].any()
    assert not masks[:, :, [0, -1]].any()


def test_metadata(stems):
    """metadata.csv names every car once, with Carvana's columns, and says that it is rendered."""
    table = pd.read_csv(SAMPLE / "metadata.csv")
    assert list(table.columns) == ["id", "year", "make", "model", "trim1", "trim2"]
    assert sorted(table["id"]) == sorted({stem[:12] for stem in stems})
    assert (table["trim2"] == "rendered").all()
    assert table.notna().all().all()
    kinds = table["trim1"].str.split().str[0].value_counts()
    assert len(kinds) == 7 and kinds.max() - kinds.min() <= 1
    assert table["make"].nunique() >= 5
    for paint in ("white", "black"):
        wearing = table[table["trim1"].str.endswith(paint)]
        assert wearing["trim1"].nunique() >= 3, f"{paint} in too few kinds"


def boundary_contrast(picture, mask, shift):
    """Mean gradient of the picture along the boundary of a mask that was moved by (down, right) pixels."""
    moved = np.roll(mask, shift, (0, 1))
    boundary = cv2.morphologyEx(moved, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    return picture[boundary].mean()


def test_masks_are_aligned(stems, masks):
    """Boundaries lie on the picture's edges: a mask moved by 2 or 3 pixels fits clearly worse."""
    shifts = [(0, 0), (0, 2), (0, -2), (2, 0), (-2, 0), (3, 3), (-3, -3), (3, -3), (-3, 3)]
    scores = []
    for stem, mask in list(zip(stems, masks, strict=True))[::3]:
        grey = cv2.imread(str(SAMPLE / "train" / f"{stem}.jpg"), cv2.IMREAD_GRAYSCALE).astype(np.float32)
        gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
        scores.append([boundary_contrast(gradient, mask, shift) for shift in shifts])
    mean = np.mean(scores, axis=0)
    assert (mean[1:] < 0.9 * mean[0]).all(), dict(zip(shifts, mean.round(1), strict=True))
