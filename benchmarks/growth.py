"""How time and memory grow with the number of pictures, their size and the net's width; slopes on log-log axes."""

import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks import memory, training
from benchmarks.measure import Findings, Plan, fresh
from benchmarks.pictures import repeat
from carvana_lib.cache import prepare
from carvana_lib.config import Params
from carvana_lib.dataset import make_loader
from carvana_lib.frame import Frame


def timed(function, *arguments, rounds: int = 1) -> float:
    """Least seconds of some rounds, after one that is not counted where there are several."""
    if rounds > 1:
        function(*arguments)
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def first_pass(source: Path, count: int, size: int) -> float:
    """Seconds to prepare so many pictures."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["CARVANA_RUNS"] = f"{name}/runs"  # this process is not used again
        return timed(prepare, repeat(source, Path(name) / "pictures", count), Frame.of(size))


def load(count: int, size: int) -> float:
    """Seconds of an epoch of the training loader, which is warm."""
    memory.load(32, size)
    return timed(memory.load, count, size)


def load_of_size(count: int, size: int) -> float:
    """Seconds a picture of the training loader, over eight pictures of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    data = SimpleNamespace(images=noise, mask=lambda row: noise[row, ..., 0] // 128)
    loader = make_loader(data, np.arange(count) % len(noise), Params(image_size=size), train=True)
    return timed(lambda: [None for _ in loader], rounds=2) / count


def step(size: int, base_channels: int, batch: int) -> float:
    """Seconds a picture of the training step."""
    train = training.make_step(*training.make_batch(size, batch), base_channels)
    return timed(train, rounds=3) / batch


def slope(x, y) -> float:
    """Exponent of the power law through the points, by least squares on the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def measure(plan: Plan) -> Findings:
    """Each point in a process of its own, so that its peak memory is its own."""
    found, px = Findings(), plan.pick(128, 128, 32)
    counts = plan.pick((16, 32, 64, 128), (16, 32, 64, 128, 256, 512), (2, 4))
    epochs = plan.pick((500, 1000, 2000, 4000), (500, 1000, 2000, 4000, 8000, 16000), (8, 16))
    sizes = plan.pick((128, 256, 512), (128, 192, 256, 384, 512, 768, 1024), (32, 64))
    widths = plan.pick((16, 32, 64), (16, 24, 32, 48, 64), (2, 4))
    series = [  # name, axis, points, the call, unit, slopes expected of time and of memory
        ("first pass", "pictures", counts, lambda n: (first_pass, plan.data, n, px), "s", 1, 0),
        ("loader", "pictures", epochs, lambda n: (load, n, px), "s", 1, 0),
        ("loader", "size", sizes, lambda s: (load_of_size, plan.pick(64, 128, 8), s), "s a picture", 2, 2),
        ("training step", "size", sizes, lambda s: (step, s, plan.pick(16, 16, 2), 2), "s a picture", 2, 2),
        ("training step", "channels", widths, lambda c: (step, px, c, 8), "s a picture", 2, 1),
    ]
    imports = fresh(memory.idle)[1]
    fresh(memory.load, 32, px)  # leaves the cache that the epochs read
    for name, axis, points, call, unit, expected_time, expected_memory in series:
        seconds, peaks = zip(*(fresh(*call(point)) for point in points), strict=True)
        more = [max(peak - imports, 1.0) for peak in peaks]
        for kind, y, expected in ((unit, seconds, expected_time), ("MB beyond imports", more, expected_memory)):
            found.curves.append(
                {
                    "name": name,
                    "axis": axis,
                    "x": list(points),
                    "y": list(y),
                    "unit": kind,
                    "slope": slope(points, y),
                    "expected": expected,
                }
            )
    return found
