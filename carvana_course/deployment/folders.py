"""A folder of photos of any size -> masks, cut-outs, probability maps and overlays, in bounded memory.

Threads read photos ahead, the net takes them in batches, threads write what it says. A run that was killed goes on
where it stopped. Machines share a folder by `shard`, the processes of `accelerate launch` share a machine's part.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from carvana_course.deployment.predictions import Failure, Predictions
from carvana_course.deployment.threads import ahead
from carvana_course.deployment.ways import input_side, square_logits
from carvana_lib import DataError, ParameterError, prediction
from carvana_lib.checkpoints import load_checkpoint, load_model
from carvana_lib.device import cores, pick_device
from carvana_lib.progress import progress
from carvana_lib.reading import open_photo, resize

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
WAYS = ("whole", "larger", "tiles")  # those that give every photo the same size, so that a batch can hold several
BATCH = {"cpu": 4, "mps": 8, "cuda": 16}  # photos a step; more were no faster on two CPU cores
PATIENCE = timedelta(days=1)  # how long a process that has done its part waits for the others


class Job(NamedTuple):
    """A photo on its way: its name, its own (H, W), and the square for the net, (S, S, 3) uint8 RGB."""

    name: str
    size: tuple[int, int]
    square: np.ndarray


@dataclass
class Result:
    """What `predict_folder` did, over all processes: counts of photos, failures, and seconds for those predicted.

    `names` are the photos that were asked for, by their own file names.
    """

    names: list[str]
    predicted: int
    done_before: int
    failures: list[Failure]
    seconds: float
    masks: Path
    is_main: bool  # of several processes one speaks

    def __str__(self) -> str:
        speed = f" ({self.predicted / self.seconds:.1f} a second)" if self.predicted else ""
        return f"{self.predicted} photos predicted{speed}, {self.done_before} done before, {len(self.failures)} failed"


def predict_folder(
    checkpoint,
    images,
    out,
    *,
    shard: tuple[int, int] = (0, 1),
    cutout: bool = False,
    probability: bool = False,
    overlay: bool = False,
    way: str = "whole",
    flip: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
) -> Result:
    """Predict each photo of a folder that is not predicted yet, at its own size, into out/masks, out/cutouts and so on.

    `shard` (i, n) takes of the sorted names every nth, beginning with the ith (from 0). A photo that cannot be read
    does not stop the rest: such photos are listed in out/failed.csv (failed-<i>-of-<n>.csv for a shard) and tried
    again in the next run. Raises DataError for a folder that cannot be used, ParameterError, CheckpointError, and
    RunError where writing fails.
    """
    images, device = Path(images), pick_device(device)
    if way not in WAYS:
        raise ParameterError(f"way='{way}' cannot be used for a folder; choose one of {', '.join(WAYS)}")
    if not 0 <= shard[0] < shard[1]:
        raise ParameterError(f"shard={shard}: the first number counts from 0 and must be below the second")
    asked, image_size = photo_names(images)[shard[0] :: shard[1]], load_checkpoint(checkpoint)["params"]["image_size"]
    kinds = {"mask": True, "cutout": cutout, "probability": probability, "overlay": overlay}
    predictions = Predictions(out, [kind for kind, wanted in kinds.items() if wanted])
    predictions.keep_settings(checkpoint, images=images.resolve().name, way=way, flip=flip)
    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    names = asked[state.process_index :: state.num_processes]
    todo, failures = predictions.missing(names), []

    net, batch_size = prediction.fast(load_model(checkpoint), device), batch_size or BATCH[device]
    side, started = input_side(image_size, way), time.perf_counter()
    n_threads = max(2, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))

    def write(answer) -> Failure | None:
        job, logits = answer
        return predictions.write(images / job.name, prediction.enlarge(logits, job.size))

    with ThreadPoolExecutor(n_threads) as threads:
        photos = ahead(threads, lambda name: read(images / name, side), todo, batch_size + n_threads)
        if state.is_main_process:
            photos = progress(photos, "predicting", len(todo), "photo")  # those that fail count too
        answers = predict(net, readable(photos, failures), batch_size, image_size, way, flip)
        not_written = [failure for failure in ahead(threads, write, answers, 2 * n_threads) if failure]
    failures += not_written
    parts = gather_object([(len(todo) - len(failures), len(names) - len(todo), failures)])  # waits for all
    predicted, done_before, failures = zip(*parts, strict=True)
    failures = sorted(Failure(*failure) for part in failures for failure in part)
    if is_main := state.is_main_process:
        predictions.list_failures(failures, shard)
    state.destroy_process_group()
    seconds = time.perf_counter() - started
    return Result(asked, sum(predicted), sum(done_before), failures, seconds, predictions.masks, is_main)


def photo_names(folder: Path) -> list[str]:
    """Names of a folder's photos, sorted. Raises DataError for no folder, no photos, or two of one stem."""
    if not folder.is_dir():
        raise DataError(f"the folder of photos '{folder}' does not exist; check --images")
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES) and name[0] != ".")
    if not names:
        raise DataError(f"the folder '{folder}' holds no photos ({', '.join(SUFFIXES)}); check --images")
    stems = {}
    for name in names:
        if (other := stems.setdefault(Path(name).stem, name)) != name:
            raise DataError(f"{folder} holds {other} and {name}, whose masks would have one name; rename one")
    return names


def read(path: Path, side: int) -> Job | Failure:
    """Decode a photo, a JPEG at reduced size, and stretch it to the square for the net."""
    try:
        photo, size = open_photo(path, at_least=side)
    except DataError as error:
        return Failure(path.name, str(error))
    return Job(path.name, size, resize(photo, side))


def readable(jobs, failures: list[Failure]) -> Iterator[Job]:
    """Pass on the photos that were read, and keep the failures."""
    for job in jobs:
        if isinstance(job, Job):
            yield job
        else:
            failures.append(job)


def predict(net, jobs: Iterator[Job], batch_size: int, image_size: int, way: str, flip: bool):
    """Yield (job, logits (S, S) float32). Raises ParameterError where a GPU's memory does not hold a batch."""
    while batch := list(islice(jobs, batch_size)):
        squares = np.stack([job.square for job in batch])
        try:
            logits = square_logits(net, squares, image_size, way, flip)
        except torch.OutOfMemoryError:
            raise ParameterError(f"the GPU's memory is too small for batch_size={batch_size}; lower it") from None
        yield from zip(batch, logits, strict=True)
