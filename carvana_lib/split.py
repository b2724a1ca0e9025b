"""Which pictures are trained on and which are kept apart: by car, and no picture beside its own likeness."""

import numpy as np
import pandas as pd
from PIL import Image

from carvana_lib import DataError

ALIKE = 10  # of 256 bits: copies saved anew or half as large differ by up to 8, the most alike of 270 real cars by 16


def split_by_car(table, seed: int, val_fraction: float, test_fraction: float, folds=None, fold=None) -> list[str]:
    """'train', 'val' or 'test' for each row, drawn by car, so that all views of a car fall on one side. Of two cars
    only, one's odd views become validation and its even views test. With `folds`, each car is in one of so many test
    sets, and `fold` says in which of them, from 1. Raises DataError for more folds than cars. Taught in 05.
    """
    cars = sorted(set(table["car_id"]))
    order = np.random.default_rng(seed).permutation(cars).tolist()
    if folds and folds > len(cars):
        raise DataError(f"folds={folds} are more than there are cars, {len(cars)}; set folds={len(cars)} at most")
    if len(cars) <= 2:
        held_out = np.where(table["view"] % 2 == 1, "val", "test")
        return np.where(table["car_id"] == order[(fold or 1) - 1], held_out, "train").tolist()
    n_test = max(1, round(test_fraction * len(cars)))
    if folds:
        start = len(cars) * (fold - 1) // folds
        n_test = len(cars) * fold // folds - start
    n_val = max(1, round(val_fraction * len(cars)))
    n_val = min(n_val, len(cars) - n_test - 1)  # four cars at 40 % and 40 % would leave none to train on
    if folds:
        order = np.roll(order, n_val - start)  # the fold's cars come after those for validation, another part each time
    names = ["val"] * n_val + ["test"] * n_test + ["train"] * (len(cars) - n_val - n_test)
    return table["car_id"].map(dict(zip(order, names, strict=True))).tolist()


def split_by_image(table: pd.DataFrame, seed: int) -> list[str]:
    """The leaky counterpart of the split by car in column `split`: the odd views of validation and test cars go to
    training, and as many views of training cars, drawn by the seed, are 'unused'. Used by `open_data` in 01.
    """
    split = table["split"].to_numpy(copy=True)
    honest = np.flatnonzero(split == "train")
    leaking = (table["view"] % 2 == 1).to_numpy() & (split != "train")
    unused = np.random.default_rng(seed).choice(honest, min(leaking.sum(), len(honest)), replace=False)
    split[unused] = "unused"
    split[leaking] = "train"
    return split.tolist()


def find_alike(photos) -> np.ndarray:
    """Number of each photo's group of near-duplicates, (N,) int, by perceptual hashes of the cosine transform (Zauner
    2010): one group are photos that differ in at most ALIKE bits, and those of which each is like the next. `photos`
    are (H, W) uint8, in grey. Used by `open_data` in 01.
    """
    from imagehash import phash
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(photos):
        return np.empty(0, int)
    hashes = np.stack([phash(Image.fromarray(photo), hash_size=16).hash.ravel() for photo in photos])
    bits, positions = np.unique(hashes, axis=0, return_inverse=True)  # of many equal ones all pairs would fill memory
    signs = 2 * bits.astype(np.float32) - 1  # of two pictures, the products add up to bits that agree minus others
    least = bits.shape[1] - 2 * ALIKE
    size = len(bits)
    pairs = []
    for start in range(0, size, 1000):  # a matrix of all by all would not fit for many pictures
        agreement = signs[start : start + 1000] @ signs[start:].T
        pairs.append(np.argwhere(agreement >= least) + start)
    left, right = np.concatenate(pairs).T
    groups = connected_components(coo_matrix((np.ones(len(left)), (left, right)), (size, size)))[1]
    return groups[positions]


def unite(table: pd.DataFrame) -> pd.DataFrame:
    """The table with one car_id for all cars that have near-duplicates of one another, as `alike` has them, so that a
    split by car keeps them on one side. Used by `open_data` in 01.
    """
    cars = table["car_id"]
    is_alike = table["alike"] != ""
    while True:  # until no group joins two cars any more
        least = cars[is_alike].groupby(table["alike"]).transform("min")
        names = least.groupby(cars[is_alike]).min()
        if (names == names.index).all():
            break
        cars = cars.map(names).fillna(cars)
    return table.assign(car_id=cars)


def across(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose near-duplicates lie on another side of the split: none should. Taught in 01."""
    is_alike = table["alike"] != ""
    sides = table[is_alike].groupby("alike")["split"].transform("nunique")
    return table.loc[sides.index[sides > 1]]
