"""What a leak is worth to a net that has time to memorise: few cars, many passes, seen from the other views or not."""

import numpy as np

from carvana_course.evidence.experiments import read_experiment
from carvana_course.evidence.results import RESULTS
from carvana_lib.checkpoints import make_model
from carvana_lib.data import open_data
from carvana_lib.evaluation import score_images
from carvana_lib.training import fit

LEAK_CARS = 13
LEAK_EPOCHS = 10  # epochs, each so many passes over the photos
PASSES = 10
LEAK_SEEDS = (0, 1, 2, 3, 4)
LEAK_SIZE = 64  # pixels, half of the small size: a quarter of the time


def train_with_leak(data, params, cars: int, passes: int = PASSES):
    """Train two nets on as many photos, and score both on the even views of the same `cars` cars.

    By image, a net trains on those cars' odd views; by car, on the odd views of as many others. Of fewer than twice
    `cars`, each gets half. Yields a row a split:
    split, the mIoU after each epoch of `passes` passes, miou, and by_car, the mean IoU of each car that is scored.
    """
    order = np.random.default_rng(params.seed).permutation(sorted(set(data.table["car_id"])))
    cars = min(cars, len(order) // 2)
    is_odd = data.table["view"] % 2 == 1
    scored = np.flatnonzero(data.table["car_id"].isin(order[:cars]) & ~is_odd)
    learned = {"image": order[:cars], "car": order[cars : 2 * cars]}
    for split, names in learned.items():
        rows = np.flatnonzero(data.table["car_id"].isin(names) & is_odd)
        model = make_model(params)
        history = fit(model, data, np.tile(rows, passes), scored, params)
        table, _ = score_images(model, data, scored, params)
        by_car = table.groupby("car_id")["iou"].mean()
        yield {
            "split": split,
            "each_epoch": history["val_miou"].tolist(),
            "miou": float(table["iou"].mean()),
            "by_car": by_car.to_dict(),
        }


def compare_splits(folder: str):
    """Yield the rows of `train_with_leak` for each seed, without augmentation: augment, seed, photos, and theirs."""
    experiment = read_experiment(RESULTS / "params" / "cars-all-small.yaml")
    changed = {"image_size": LEAK_SIZE, "augment": "none", "epochs": LEAK_EPOCHS, "run_name": "study-leak"}
    for seed in LEAK_SEEDS:
        params = experiment.params(seed, data_dir=folder, **changed)
        data = open_data(params)
        for row in train_with_leak(data, params, LEAK_CARS):
            yield {"augment": params.augment, "seed": seed, "photos": LEAK_CARS * 8} | row
