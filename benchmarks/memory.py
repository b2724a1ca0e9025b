"""Memory: does it grow with the number of pictures, and what does a training step take?"""

from types import SimpleNamespace

import numpy as np
import torch

from benchmarks import textbook, training
from benchmarks.measure import Findings, Plan, fresh
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader
from carvana_lib.evaluation import score_images
from carvana_lib.model import UNet


class Repeated:
    """The rows of an array over and over, without copies."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, row):
        return self.array[row % len(self.array)]


def many(count: int, params):
    """A data set of `count` pictures that are those of the sample over and over: row i is picture i modulo theirs."""
    data = open_data(params)
    table = data.table.loc[np.arange(count) % len(data.table)].reset_index(drop=True)
    return SimpleNamespace(images=Repeated(data.images), mask=Repeated(data.masks).__getitem__, table=table)


def load(count: int, size: int) -> int:
    """An epoch of the training loader; the number of pictures that came."""
    params = Params(image_size=size, run_name="bench")
    return sum(len(rows) for _, _, rows in make_loader(many(count, params), np.arange(count), params, train=True))


def evaluate(count: int, size: int) -> int:
    """Score so many pictures; the number of rows of the table."""
    params = Params(image_size=size, run_name="bench", device="cpu")
    return len(score_images(UNet(4), many(count, params), np.arange(count), params)[0])


def idle() -> None:
    """Nothing: what a process holds that has only imported."""


def one_step(side: str, size: int, base_channels: int) -> None:
    """One training step of ours or of the textbook."""
    torch.manual_seed(0)
    images, masks = training.make_batch(size)
    if side == "ours":
        training.make_step(images, masks, base_channels)()
    else:
        textbook.make_step(images.float().contiguous() / 128 - 1, masks.float(), base_channels)()


def measure(plan: Plan) -> Findings:
    """Peaks of processes that do nothing else."""
    found, size = Findings(), plan.pick(128, 128, 32)
    imports = fresh(idle)[1]
    found.row("imports alone", "MB", imports)
    for name, function, (few, lots), allowed in (
        ("an epoch of the loader", load, plan.pick((500, 50_000), (500, 50_000), (8, 16)), 300),
        ("evaluation", evaluate, plan.pick((500, 2_000), (500, 20_000), (8, 16)), 100),
    ):
        (count, low), (counts, high) = fresh(function, few, size), fresh(function, lots, size)
        assert (count, counts) == (few, lots)
        found.row(f"{name} over {few:,} pictures, {size} px", "MB", low)
        found.row(f"{name} over {lots:,} pictures, {size} px", "MB", high)
        found.target(f"{name}: MB more over {lots:,} pictures than over {few:,}", high - low, at_most=allowed)
    size, channels = plan.pick(256, 256, 32), plan.pick(16, 64, 2)
    peaks = {side: fresh(one_step, side, size, channels)[1] - imports for side in ("ours", "textbook")}
    found.row(f"training step without imports, base_channels {channels}, {size} px, batch 8", "MB", **peaks)
    return found
