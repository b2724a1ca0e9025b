"""A whole data set on disk: which pictures there are, who renders them, where they go.

The layout is Carvana's: train/<id>_<view>.jpg, train_masks/<id>_<view>_mask.gif and metadata.csv. Every
picture has its own random numbers, keyed by seed, car and view, so the bytes do not depend on how many
workers there are or where a render was interrupted.
"""

import csv
import hashlib
import json
import os
import queue
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

VERSION = 1  # raise it when the same settings would give other pictures
TURN_PER_VIEW = -22.5  # degrees; view 1 shows the front, view 5 the car's left flank with the nose on the left
SETTINGS_FILE = "studio.json"
METADATA_COLUMNS = ("id", "year", "make", "model", "trim1", "trim2")


class StudioError(Exception):
    """Something the caller can put right; the message is one sentence."""


@dataclass(frozen=True)
class Settings:
    """What decides the pictures' bytes."""

    cars: int = 32
    views: int = 16
    width: int = 480
    height: int = 320
    samples: int = 16
    seed: int = 0
    quality: int = 80
    version: int = VERSION


def car_id(seed, index):
    """Twelve hexadecimal digits, as in the real data."""
    return hashlib.sha256(f"studio-{seed}-{index}".encode()).hexdigest()[:12]


def picture_paths(root, name, view):
    """Where picture and mask of a view go."""
    stem = f"{name}_{view:02d}"
    return Path(root) / "train" / f"{stem}.jpg", Path(root) / "train_masks" / f"{stem}_mask.gif"


def write_whole(path, content):
    """Write bytes so that the file is there in full or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def missing_views(root, name, views):
    """Views of a car whose picture or mask is not on disk yet."""
    return [view for view in range(1, views + 1) if not all(path.exists() for path in picture_paths(root, name, view))]


def prepare_folder(root, settings):
    """Create the folders, or check that what is there was rendered with the same settings."""
    root = Path(root)
    note = root / SETTINGS_FILE
    wanted = asdict(settings)
    if note.exists():
        found = json.loads(note.read_text())
        if found != wanted:
            other = ", ".join(
                f"{key} {found.get(key)} instead of {value}" for key, value in wanted.items() if found.get(key) != value
            )
            raise StudioError(f"{root} was rendered with other settings ({other}): choose another --out or delete it.")
    elif root.exists() and any(root.iterdir()):
        raise StudioError(f"{root} is not empty and holds no {SETTINGS_FILE}: choose another --out or delete it.")
    for folder in ("train", "train_masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for stray in (root / folder).glob("*.part"):
            stray.unlink()
    write_whole(note, (json.dumps(wanted, indent=2) + "\n").encode())


def write_metadata(root, cars, seed):
    """metadata.csv: invented makes and models, trim2 says that the car is rendered."""
    rows = sorted(
        (car_id(seed, index), spec.year, spec.make, spec.model, f"{spec.kind} {spec.paint}", "rendered")
        for index, spec in enumerate(cars)
    )
    temporary = Path(root) / "metadata.csv.part"
    with open(temporary, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(METADATA_COLUMNS)
        writer.writerows(rows)
    os.replace(temporary, Path(root) / "metadata.csv")


def render_car(root, settings, index, views, report):
    """Render some views of one car and write them; `report` is called after each."""
    import numpy as np

    from studio.camera import Lens, draw_camera, shaken
    from studio.draws import draw_cars
    from studio.film import develop, draw_film, jpeg_bytes, mask_bytes
    from studio.model import CarModel
    from studio.render import View
    from studio.scene import Room
    from studio.stage import draw_stage

    spec = draw_cars(settings.cars, settings.seed)[index]
    rng = np.random.default_rng([settings.seed, 3, index])
    stage, camera, film = draw_stage(index, rng), draw_camera(spec, rng), draw_film(rng)
    offset = np.clip(rng.normal(0, 0.05, 2), -0.1, 0.1)
    askew = float(np.clip(rng.normal(0, 1.5), -3, 3))
    model, room = CarModel(spec, [settings.seed, 4, index]), Room(stage)
    name = car_id(settings.seed, index)
    for view in views:
        rng = np.random.default_rng([settings.seed, 5, index, view])
        turn = TURN_PER_VIEW * (view - 1) + askew
        lens = Lens(shaken(camera, rng), settings.width, settings.height)
        light, mask = View(model, room, turn, offset).picture(lens, settings.samples, rng)
        picture_path, mask_path = picture_paths(root, name, view)
        write_whole(mask_path, mask_bytes(mask))
        write_whole(picture_path, jpeg_bytes(develop(light, film, rng), settings.quality))
        report()


def start_worker(messages, stop):
    """Give a worker its queue for reports and the event that ends it; Ctrl-C is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start_worker.messages, start_worker.stop = messages, stop


def work(root, settings, index, views):
    """One car in a worker process."""

    def report():
        start_worker.messages.put(1)
        if start_worker.stop.is_set():
            raise StudioError("stopped")
        if not parent_process().is_alive():
            os._exit(1)  # killed: nobody waits for this worker any more

    render_car(root, settings, index, views, report)


def render_dataset(root, settings, workers, progress):
    """Render what is missing under `root`; `progress(n)` is told how many more pictures are done."""
    from studio.draws import draw_cars

    prepare_folder(root, settings)
    names = [car_id(settings.seed, index) for index in range(settings.cars)]
    jobs = [(index, missing_views(root, name, settings.views)) for index, name in enumerate(names)]
    jobs = [job for job in jobs if job[1]]
    progress(settings.cars * settings.views - sum(len(views) for _, views in jobs))
    write_metadata(root, draw_cars(settings.cars, settings.seed), settings.seed)
    if workers == 1 or len(jobs) <= 1:
        for index, views in jobs:
            render_car(root, settings, index, views, lambda: progress(1))
        return
    context = get_context("spawn")
    messages, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(min(workers, len(jobs)), context, start_worker, (messages, stop)) as pool:
        pending = [pool.submit(work, root, settings, *job) for job in jobs]
        try:
            wait_for(pending, messages, progress)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def wait_for(pending, messages, progress):
    """Pass the workers' reports on until all is done; the first failure stops the rest."""
    while pending:
        try:
            progress(messages.get(timeout=0.2))
        except queue.Empty:
            pass
        for job in [job for job in pending if job.done()]:
            pending.remove(job)
            job.result()
    while True:
        try:
            progress(messages.get(timeout=0.05))
        except queue.Empty:
            return
