"""A car of 0.2 % of the picture: with which loss is it found? The sample's cars, far away, before made-up streets."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import tensor
from torchvision.ops import sigmoid_focal_loss

from carvana_lib.checkpoints import make_model
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.losses import LOSSES
from carvana_lib.pairs import find_pairs
from carvana_lib.reading import read_mask, read_photo
from carvana_lib.runs import ROOT
from carvana_lib.training import fit

SHARE = 0.002  # of the picture that is car
RATES = (5e-4, 2e-3)  # the grid's highest, and four times that
RARE_SEEDS = (0, 1)
EPOCHS = 6


def weighted_bce(logits, masks):
    """BCE in which a car pixel counts ten times."""
    return F.binary_cross_entropy_with_logits(logits.float(), masks.float(), pos_weight=tensor(10.0))


def focal(logits, masks):
    """The focal loss of Lin et al. 2017, section 3: BCE in which a pixel that is right counts little."""
    return sigmoid_focal_loss(logits.float(), masks.float(), alpha=0.75, gamma=2, reduction="mean")


TRIED = LOSSES | {"bce, car pixels ten times": weighted_bce, "focal, alpha 0.75, gamma 2": focal}


def far_away(photo: np.ndarray, mask: np.ndarray, seed: int, share: float = SHARE) -> tuple[np.ndarray, np.ndarray]:
    """The car of a photo, made so small that it covers `share` of the picture, somewhere in a made-up street.

    Photo (H, W, 3) uint8 RGB and mask (H, W) uint8 {0, 1} -> the same of the new picture.
    """
    height, width = mask.shape
    draw = np.random.default_rng([5, seed])
    sky_to_road = np.linspace((150, 180, 220), (90, 90, 95), height)
    street = sky_to_road.astype(np.uint8)[:, None].repeat(width, 1)
    for x, y, w, h in draw.uniform((0, 0, 0.03, 0.05), (1, 0.8, 0.12, 0.25), (25, 4)) * (width, height, width, height):
        street[int(y) : int(y + h), int(x) : int(x + w)] = draw.integers(60, 256, 3)
    street = np.clip(street + draw.normal(0, 6, street.shape), 0, 255).astype(np.uint8)
    scale = np.sqrt(share * mask.size / mask.sum())
    size = (max(4, round(width * scale)), max(4, round(height * scale)))
    car = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    top = int(draw.integers(height // 4, height - size[1]))
    left = int(draw.integers(0, width - size[0]))
    place = np.s_[top : top + size[1], left : left + size[0]]
    street[place][car] = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)[car]
    found = np.zeros_like(mask)
    found[place][car] = 1
    return street, found


def far_pictures():
    """Yield (image_id, photo, mask) of the sample's 512 pictures with their cars far away."""
    sample = ROOT / "sample"
    for number, pair in enumerate(find_pairs(sample).to_dict("records")):
        photo = read_photo(sample / pair["image"])
        yield pair["image_id"], *far_away(photo, read_mask(sample / pair["mask"]), number)


def far_example() -> tuple[np.ndarray, np.ndarray]:
    """The first of these pictures: (photo, mask)."""
    _, photo, mask = next(far_pictures())
    return photo, mask


def write_pictures(folder: Path, pictures) -> None:
    """Write (image_id, photo, mask), arrays as `far_away` returns them, in Carvana's layout, as PNG."""
    for name in ("train", "train_masks"):
        (folder / name).mkdir(parents=True)
    for image_id, photo, mask in pictures:
        Image.fromarray(photo).save(folder / "train" / f"{image_id}.png")
        Image.fromarray(255 * mask).save(folder / "train_masks" / f"{image_id}_mask.png")


def train_each(_: str):
    """Yield a row for each loss, rate and seed, trained on the sample: loss, learning_rate, seed, val_miou by epoch."""
    with tempfile.TemporaryDirectory() as name:
        write_pictures(Path(name) / "far", far_pictures())
        yield from train_far_away(Path(name) / "far")


def train_far_away(folder: Path):
    """The rows of `train_each`, of pictures that have been written."""
    bce = LOSSES["bce"]
    for seed in RARE_SEEDS:
        asked = Params(run_name="study-rare", data_dir=str(folder), seed=seed, loss="bce", epochs=EPOCHS)
        data = open_data(asked)
        for rate in RATES:
            params = asked.replace(learning_rate=rate)
            for name, loss in TRIED.items():
                LOSSES["bce"] = loss  # `fit` asks for a loss by name, and the parameter knows the course's three
                try:
                    history = fit(make_model(params), data, data.rows("train"), data.rows("val"), params)
                finally:
                    LOSSES["bce"] = bce
                scores = history["val_miou"].tolist()
                yield {"loss": name, "learning_rate": rate, "seed": seed, "val_miou": scores}
