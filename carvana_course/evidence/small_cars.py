"""Cars of 2 % of the picture: real photographs shrunk, with their edge pixels drawn out to fill the frame."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from carvana_course.evidence.experiments import read_experiment
from carvana_course.evidence.rare import write_pictures
from carvana_course.evidence.results import RESULTS
from carvana_lib.checkpoints import make_model
from carvana_lib.data import open_data
from carvana_lib.evaluation import score_images
from carvana_lib.losses import LOSSES
from carvana_lib.pairs import find_pairs
from carvana_lib.reading import read_mask, read_photo
from carvana_lib.training import fit

SMALL_SHARE = 0.02  # of the picture that is car
SMALL_RATES = (1e-4, 1e-3)  # the protocol's, and the better recipe's first ingredient
SMALL_SIZE = 64  # pixels: the car has some eighty
SMALL_SEEDS = (0, 1, 2)


def pad_to_share(photo: np.ndarray, mask: np.ndarray, share: float = SMALL_SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a photo until its car covers `share` of the picture, and fill the frame around it with its edge pixels.

    Photo (H, W, 3) uint8 RGB and mask (H, W) uint8 {0, 1} -> the same, of the same size.
    """
    height, width = mask.shape
    scale = min(1.0, np.sqrt(share * mask.size / max(1, mask.sum())))
    size = (round(width * scale), round(height * scale))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    small_mask = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    top = (height - size[1]) // 2
    left = (width - size[0]) // 2
    around = (top, height - size[1] - top, left, width - size[0] - left)
    padded = cv2.copyMakeBorder(small, *around, cv2.BORDER_REPLICATE)
    return padded, cv2.copyMakeBorder(small_mask.astype(np.uint8), *around, cv2.BORDER_CONSTANT, value=0)


def padded_pictures(folder: Path):
    """Yield (image_id, photo, mask) of a folder's photos, padded so."""
    for pair in find_pairs(folder).to_dict("records"):
        photo = read_photo(folder / pair["image"])
        yield pair["image_id"], *pad_to_share(photo, read_mask(folder / pair["mask"]))


def train_on_small_cars(folder: str):
    """Yield a row for each seed, rate and loss: test mIoU, and by_car, the mean IoU of each test car."""
    experiment = read_experiment(RESULTS / "params" / "protocol-small.yaml")
    with tempfile.TemporaryDirectory() as name:
        padded = Path(name) / "padded"
        write_pictures(padded, padded_pictures(Path(folder)))
        for seed in SMALL_SEEDS:
            asked = experiment.params(seed, data_dir=str(padded), image_size=SMALL_SIZE, run_name="study-small-cars")
            data = open_data(asked)
            for rate in SMALL_RATES:
                for loss in LOSSES:
                    params = asked.replace(loss=loss, learning_rate=rate)
                    model = make_model(params)
                    fit(model, data, data.rows("train"), data.rows("val"), params)
                    table, _ = score_images(model, data, data.rows("test"), params)
                    by_car = table.groupby("car_id")["iou"].mean()
                    row = {"seed": seed, "learning_rate": rate, "loss": loss, "test_miou": float(table["iou"].mean())}
                    yield row | {"by_car": by_car.to_dict()}
