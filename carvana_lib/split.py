"""Who trains and who judges: pictures split by car, and the leaky split by picture for comparison."""

import numpy as np
import pandas as pd

from carvana_lib import DataError


def split_by_car(table: pd.DataFrame, seed: int, val_fraction: float, test_fraction: float) -> list[str]:
    """'train', 'val' or 'test' for each row, drawn by car, so that all views of a car fall on one side.

    318 cars at 15 % and 15 % give 222, 48 and 48. With two cars only, the second one's odd views become validation
    and its even views test. Raises DataError for one car.
    """
    cars = sorted(set(table["car_id"]))
    if len(cars) < 2:
        raise DataError(f"{len(cars)} usable car(s) cannot be split by car; add pictures of at least 3 cars")
    order = np.random.default_rng(seed).permutation(cars).tolist()
    if len(cars) == 2:
        held_out = np.where(table["view"] % 2 == 1, "val", "test")
        return np.where(table["car_id"] == order[0], held_out, "train").tolist()
    n_val, n_test = (max(1, round(fraction * len(cars))) for fraction in (val_fraction, test_fraction))
    n_val -= n_val + n_test == len(cars)  # four cars at 40 % and 40 % would leave none to train on
    names = ["val"] * n_val + ["test"] * n_test + ["train"] * (len(cars) - n_val - n_test)
    return table["car_id"].map(dict(zip(order, names, strict=True))).tolist()


def split_by_image(table: pd.DataFrame, seed: int) -> list[str]:
    """The leaky counterpart of the split by car in column `split`: 'train', 'val', 'test' or 'unused' for each row.

    Validation and test keep the even views of their cars. The odd ones go to training, and as many views of training
    cars, drawn by the seed, are left unused: the number of training pictures stays, and the test pictures are the same.
    """
    split, odd = table["split"].to_numpy(copy=True), (table["view"] % 2 == 1).to_numpy()
    honest, leaking = np.flatnonzero(split == "train"), odd & (split != "train")
    split[np.random.default_rng(seed).choice(honest, min(leaking.sum(), len(honest)), replace=False)] = "unused"
    split[leaking] = "train"
    return split.tolist()
