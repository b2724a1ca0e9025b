"""A folder of photos of any size -> masks, cut-outs, probability maps and overlays, in bounded memory.

Threads read photos ahead, the net takes them in batches, threads write what it says. A run that was killed goes on
where it stopped. Machines share a folder by `shard`, the processes of `accelerate launch` share a machine's part.
"""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from carvana_course.deployment.photos import find_photos
from carvana_course.deployment.predictions import Failure, Predictions
from carvana_course.deployment.threads import bounded_map
from carvana_course.deployment.ways import frame_logits, input_frame
from carvana_course.scaling.processes import check_processes
from carvana_lib import DataError, ParameterError, prediction
from carvana_lib.cache import digest
from carvana_lib.checkpoints import load_checkpoint, load_model
from carvana_lib.config import Params
from carvana_lib.device import cores, pick_device, progress
from carvana_lib.frame import Frame
from carvana_lib.reading import open_photo

FOLDER_WAYS = ("whole", "larger", "tiles")  # which give every photo the same size: a batch can hold several
BATCH_SIZES = {"cpu": 4, "mps": 8, "cuda": 16}  # photos a step; more were no faster on two CPU cores
PATIENCE = timedelta(days=1)  # how long a process that has done its part waits for the others


@dataclass
class Job:
    """A photo on its way: its name, its content's digest, its (H, W), and the frame for the net, (H, W, 3) uint8."""

    name: str
    content: str
    size: tuple[int, int]
    framed: np.ndarray


@dataclass
class Result:
    """What `predict_folder` did, over all processes: counts of photos, failures, and seconds for those predicted.

    `names` are the photos that were asked for, by their paths in the folder; `skipped` are files that are no photos.
    """

    names: list[str]
    skipped: list[Failure]
    predicted: int
    done_before: int
    failures: list[Failure]
    seconds: float
    masks: Path
    is_main: bool  # of several processes one speaks

    def __str__(self) -> str:
        speed = f" ({self.predicted / self.seconds:.1f} a second)" if self.predicted else ""
        skipped = f", {len(self.skipped)} files skipped (skipped.csv)" if self.skipped else ""
        counts = f"{self.done_before} done before, {len(self.failures)} failed{skipped}"
        return f"{self.predicted} photos predicted{speed}, {counts}"


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
    force: bool = False,
) -> Result:
    """Predict each photo that is not predicted yet, at its own size, into out/masks, out/cutouts and so on.

    `images` is a folder, with folders in it that the results keep, or one photo. A photo whose content has changed is
    predicted anew; with `force` all are, also where `out` was begun with other settings. `shard` (i, n) takes of the
    sorted names every nth, beginning with the ith (from 0). A photo that cannot be read does not stop the rest: such
    photos are listed in out/failed.csv (failed-<i>-of-<n>.csv for a shard) and tried again in the next run; files that
    are no photos are listed in out/skipped.csv.

    Raises DataError for a folder that cannot be used, ParameterError, CheckpointError, and RunError where writing
    fails.
    """
    device = pick_device(device)
    check_processes(device, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    if way not in FOLDER_WAYS:
        raise ParameterError(f"way='{way}' cannot be used for a folder; choose one of {', '.join(FOLDER_WAYS)}")
    part, parts = shard
    if not 0 <= part < parts:
        raise ParameterError(f"shard={shard}: the first number counts from 0 and must be below the second")
    folder, all_names, skipped = find_photos(Path(images))
    shard_names = all_names[part::parts]
    frame = Params(**load_checkpoint(checkpoint)["params"]).frame
    wanted = {"mask": True, "cutout": cutout, "probability": probability, "overlay": overlay}
    settings = {"checkpoint": digest(checkpoint), "way": way, "flip": flip}
    predictions = Predictions(out, [kind for kind in wanted if wanted[kind]], folder, settings)
    moved = predictions.keep_settings(force)

    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    if moved and state.is_main_process:
        print(moved)
    names = shard_names[state.process_index :: state.num_processes]
    missing = predictions.missing(names)  # which removes what is of other photos or other settings
    todo = names if force else missing
    predictor = FolderPredictor(
        net=prediction.fast(load_model(checkpoint), device),
        frame=frame,
        way=way,
        flip=flip,
        batch_size=batch_size or BATCH_SIZES[device],
        predictions=predictions,
    )
    started = time.perf_counter()
    predictor.run(todo, show_progress=state.is_main_process)

    predicted = len(todo) - len(predictor.failures)
    processes = gather_object([(predicted, len(names) - len(todo), predictor.failures)])  # waits for all
    failures = sorted(failure for _, _, of_one in processes for failure in of_one)
    if state.is_main_process:
        predictions.list_failures(failures, shard)
        predictions.write_list("skipped.csv", skipped)
    state.destroy_process_group()
    return Result(
        names=shard_names,
        skipped=skipped,
        predicted=sum(predicted for predicted, _, _ in processes),
        done_before=sum(done_before for _, done_before, _ in processes),
        failures=failures,
        seconds=time.perf_counter() - started,
        masks=predictions.masks,
        is_main=state.is_main_process,
    )


def read_job(folder: Path, name: str, frame: Frame) -> Job:
    """Decode a photo, a JPEG at reduced size, and bring it into the frame for the net. Raises DataError."""
    photo, size = open_photo(folder / name, at_least=max(frame.height, frame.width))
    return Job(name, digest(folder / name), size, frame.resize(photo))


@dataclass
class FolderPredictor:
    """Predicts photos of a folder: threads read ahead, the net takes batches, threads write.

    `failures` are the photos that could not be read or written, in any order.
    """

    net: torch.nn.Module
    frame: Frame
    way: str
    flip: bool
    batch_size: int
    predictions: Predictions
    failures: list[Failure] = field(default_factory=list)

    def run(self, names: list[str], show_progress: bool) -> None:
        """Read, predict and write the named photos, a few at a time."""
        n_threads = max(2, cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
        with ThreadPoolExecutor(n_threads) as threads:
            jobs = bounded_map(threads, self.read, names, self.batch_size + n_threads)
            if show_progress:
                jobs = progress(jobs, "predicting", len(names), "photo")  # those that fail count too
            for _ in bounded_map(threads, self.write, self.predict(jobs), 2 * n_threads):
                pass

    def read(self, name: str) -> Job | None:
        """The job of a photo, or None where it cannot be read."""
        try:
            return read_job(self.predictions.photos, name, input_frame(self.frame, self.way))
        except DataError as error:
            self.failures.append(Failure(name, str(error)))
            return None

    def predict(self, jobs: Iterable[Job | None]) -> Iterator[tuple[Job, np.ndarray]]:
        """Yield (job, logits of the frame (H, W) float32) for what could be read."""
        batch = []
        for job in jobs:
            if job is not None:
                batch.append(job)
            if len(batch) == self.batch_size:
                yield from self.predict_batch(batch)
                batch = []
        if batch:
            yield from self.predict_batch(batch)

    def predict_batch(self, batch: list[Job]) -> Iterator[tuple[Job, np.ndarray]]:
        """Yield (job, logits). Raises ParameterError where a GPU's memory does not hold the batch."""
        inputs = np.stack([job.framed for job in batch])
        try:
            logits = frame_logits(self.net, inputs, self.frame, self.way, self.flip)
        except torch.OutOfMemoryError:
            raise ParameterError(f"the GPU's memory is too small for batch_size={self.batch_size}; lower it") from None
        yield from zip(batch, logits, strict=True)

    def write(self, answer: tuple[Job, np.ndarray]) -> None:
        """Write what was predicted for a photo, at its own size."""
        job, logits = answer
        logits = input_frame(self.frame, self.way).restore(logits, job.size)
        failure = self.predictions.write(job.name, logits, job.content)
        if failure is not None:
            self.failures.append(failure)
