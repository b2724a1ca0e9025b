"""The cut-out: a solid car, a narrow smooth edge, no rim of the old wall, and the shadow that was there."""

import io

import cv2
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from carvana_course.deployment import cutout
from carvana_lib import reading


def disk(size: int = 120, radius: int = 40) -> np.ndarray:
    """How much of each pixel a disk covers, (size, size) float32: a mask with an exact edge."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip(radius - np.hypot(y, x) + 0.5, 0, 1).astype(np.float32)


def scene(height: int = 240, width: int = 360):
    """(photo, mask, shadow): a red box on a grey floor that gets darker to the front, lettering on a white wall, and
    a soft shadow of known strength below the box."""
    floor = np.interp(np.arange(height), [0, 0.4 * height, height - 1], [240, 230, 170])[:, None].repeat(width, 1)
    mask, dark = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    mask[80:170, 90:270] = 1
    dark[150:185, 85:275] = 0.6
    shadow = 1 - cv2.GaussianBlur(dark, (0, 0), 4)
    photo = np.repeat((floor * shadow)[..., None], 3, -1)
    photo[20:60, 60:300:20] = 60  # letters
    photo[mask == 1] = (170, 20, 20)
    return photo.round().astype(np.uint8), mask, shadow


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 10**6), st.floats(0, 3))
def test_alpha_agrees_with_the_mask(height, width, seed, blur):
    probability = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    probability = cv2.GaussianBlur(probability, (0, 0), blur) if blur else probability
    solidity = cutout.alpha(probability)
    assert solidity.shape == probability.shape and solidity.dtype == np.uint8
    assert (solidity[probability >= 0.5] >= 128).all() and (solidity[probability < 0.5 - 1e-6] < 128).all()


@pytest.mark.parametrize("unsure", [1, 4, 12])
def test_the_edge_is_narrow_however_unsure_the_net_is(unsure):
    solidity = cutout.alpha(cv2.GaussianBlur(disk(), (0, 0), unsure))
    across = solidity[60].astype(int)
    assert (np.diff(across[:60]) >= 0).all() and across[60] == 255 and across[0] == 0
    assert 1 <= ((across[:60] > 0) & (across[:60] < 255)).sum() <= 3
    inside = disk(radius=34) == 1
    assert (solidity[inside] == 255).all() and (solidity[disk(radius=46) == 0] == 0).all()


def test_a_hesitant_but_decided_net_gives_a_solid_car():
    probability = 0.35 + 0.2 * cv2.GaussianBlur(disk(), (0, 0), 2)
    solidity = cutout.alpha(probability)
    assert set(np.unique(solidity[disk(radius=30) == 1])) == {255} and solidity[0, 0] == 0
    assert not cutout.alpha(np.zeros((5, 7), np.float32)).any() and cutout.alpha(np.ones((5, 7), np.float32)).all()


def test_the_rim_of_the_old_wall_is_gone():
    cover = disk()[..., None]
    truth, wall, night = np.full((120, 120, 3), 40.0), 255.0, 10.0
    photo = (cover * truth + (1 - cover) * wall).round().astype(np.uint8)  # a dark car before a white wall
    ideal = cover * truth + (1 - cover) * night
    found = cutout.composite(photo, disk(), np.full((4, 4, 3), 10, np.uint8), shadow=False)
    own = cutout.alpha(disk())[..., None] / 255
    naive = own * photo + (1 - own) * night
    edge = (cover[..., 0] > 0) & (cover[..., 0] < 1)
    errors = [np.abs(picture - ideal)[edge].mean() for picture in (found, naive)]
    assert errors[0] < 0.6 * errors[1] and errors[1] > 5


def test_cut_out_keeps_the_car_and_nothing_else():
    photo, mask, _ = scene()
    rgba = cutout.cut_out(photo, mask.astype(np.float32))
    assert rgba.shape == (240, 360, 4) and rgba.dtype == np.uint8
    solid, outside = cv2.erode(mask, np.ones((5, 5))) == 1, cv2.dilate(mask, np.ones((5, 5))) == 0
    assert (rgba[solid][:, :3] == photo[solid]).all() and (rgba[solid][:, 3] == 255).all()
    assert not rgba[outside].any()
    small = cv2.resize(mask.astype(np.float32), (90, 60), interpolation=cv2.INTER_AREA)
    assert ((cutout.cut_out(photo, small)[..., 3] >= 128) == mask).mean() > 0.99  # a smaller probability is stretched


def test_the_shadow_is_the_one_that_was_there():
    photo, mask, truth = scene()
    found = cutout.floor_shadow(photo, mask.astype(np.float32))
    assert found.shape == mask.shape and found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    below = np.zeros(mask.shape, bool)
    below[174:200, 100:260] = True
    assert np.abs(found - truth)[below].mean() < 0.08 and truth[below].min() < 0.6
    assert found[:130].min() == 1 and found[235:].min() > 0.97  # neither the letters nor the front of the floor
    without = cutout.floor_shadow(np.where(mask[..., None], photo, 200).astype(np.uint8), mask.astype(np.float32))
    assert without[cv2.dilate(mask, np.ones((9, 9))) == 0].min() > 0.97


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (64, 2), (40, 60)])
def test_no_car_or_nothing_but_car(value, shape):
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    probability, ground = np.full(shape, value, np.float32), cutout.studio_gradient(*shape)
    assert (cutout.floor_shadow(photo, probability) == 1).all()
    assert (cutout.composite(photo, probability, ground) == (photo if value else ground)).all()


def test_composite_takes_any_background():
    photo, mask, _ = scene()
    probability, before = mask.astype(np.float32), photo.copy()
    ground = np.random.default_rng(0).integers(0, 256, (20, 50, 3), dtype=np.uint8)
    covering = cv2.resize(ground[:, 10:40], (360, 240))  # what is too wide for 3:2 is cut off at both ends
    plain = cutout.composite(photo, probability, ground, shadow=False).astype(int)
    outside = cv2.dilate(mask, np.ones((5, 5))) == 0
    assert (plain[outside] == covering[outside]).all() and (photo == before).all()
    shaded = cutout.composite(photo, probability, ground).astype(int)
    assert (shaded <= plain + 1).all() and (shaded[172:182, 100:260] < 0.8 * plain[172:182, 100:260] + 2).mean() > 0.9
    assert (shaded[:130] == plain[:130]).all()


def test_wrong_arrays_are_explained():
    photo, mask, _ = scene()
    with pytest.raises(ValueError, match="sigmoid"):
        cutout.composite(photo, 9.0 * mask - 4, cutout.studio_gradient(8, 8))
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8"):
        cutout.cut_out(photo / 255, mask)


def test_the_studio_is_grey_smooth_and_darker_in_front():
    ground = cutout.studio_gradient(100, 30)
    assert ground.shape == (100, 30, 3) and ground.dtype == np.uint8 and ground.flags.writeable
    rows = ground[:, 0, 0].astype(int)
    assert (np.diff(rows) <= 0).all() and np.diff(rows).min() >= -4 and rows[0] == 235 and rows[-1] == 150


def check_picture(photo, mask):
    """What must hold on any studio picture: the car stays, the wall goes, some floor below the car is darker."""
    ground = np.full((2, 2, 3), (90, 120, 160), np.uint8)
    found = cutout.composite(photo, mask.astype(np.float32), ground)
    solid = cv2.erode(mask, np.ones((5, 5))) == 1
    assert (found[solid] == photo[solid]).all()
    top = np.flatnonzero(mask.any(1))[0]
    assert (found[: top - 3] == ground[0, 0]).all()
    kept = cutout.floor_shadow(photo, mask.astype(np.float32))
    below = (cv2.dilate(mask, np.ones((9, 9))) == 1) & (cv2.dilate(mask, np.ones((3, 3))) == 0)
    below[: np.flatnonzero(mask.any(1))[-1] - photo.shape[0] // 20] = False
    assert kept[below].mean() < 0.9, "the car floats"


@pytest.mark.parametrize("number", [0, 70, 133, 300, 410])
def test_on_the_sample(number):
    name = sorted((ROOT / "sample" / "train").iterdir())[number].stem
    photo = reading.read_photo(ROOT / "sample" / "train" / f"{name}.jpg")
    check_picture(photo, reading.read_mask(ROOT / "sample" / "train_masks" / f"{name}_mask.gif"))


@pytest.mark.parametrize("number", [0, 5, 20])
def test_on_real_pictures(real, number):
    path = sorted((real / "carvana-native" / "train").iterdir())[number]
    mask = reading.read_mask(real / "carvana-native" / "train_masks" / f"{path.stem}_mask.gif")
    check_picture(reading.read_photo(path), mask)


def test_steps_show_photo_and_cut_out_side_by_side():
    photo, mask, _ = scene()
    picture = np.asarray(Image.open(io.BytesIO(cutout.steps(photo, mask).data)))
    height, width = picture.shape[:2]
    first, *_, last = np.array_split(picture[height // 4 : 3 * height // 4], 4, axis=1)
    assert width > 600 and first.min() < 80 and last.std() > 10
    with pytest.raises(ValueError):
        cutout.steps(photo, mask[..., None, None])
