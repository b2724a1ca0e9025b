"""A folder of predictions: what is in it, what is still to do, and with which settings it was made."""

import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from carvana_course.deployment.cutout import cut_out
from carvana_course.show.pictures import overlay
from carvana_lib import DataError, RunError, prediction
from carvana_lib.cache import digest
from carvana_lib.reading import read_photo
from carvana_lib.runs import atomic, read_json, remove, stale, write_csv, write_json

PREDICTION_KINDS = {  # what is written -> its folder and the end of its name
    "mask": ("masks", "_mask.png"),  # 0 and 255, named as Carvana names them
    "cutout": ("cutouts", ".png"),  # the car alone, its opacity from the probability
    "probability": ("probabilities", ".png"),  # 0 to 255
    "overlay": ("overlays", ".jpg"),  # the photo with the mask laid over
}
SHOW_THE_PHOTO = {"cutout", "overlay"}


class Failure(NamedTuple):
    """A photo that could not be predicted, and why."""

    name: str
    reason: str


class Predictions:
    """The folder `folder`, and the kinds of pictures to be written to it."""

    def __init__(self, folder: Path, kinds: list[str]):
        self.folder = Path(folder)
        self.kinds = kinds
        self.masks = self.subfolder("mask")

    def keep_settings(self, checkpoint, **settings) -> None:
        """Write settings.json. Raises RunError where the folder was begun with others: the two would mix."""
        settings["checkpoint"] = digest(checkpoint)
        path = self.folder / "settings.json"
        if not path.exists():
            write_json(path, settings)
            return
        changed = [name for name, value in read_json(path).items() if settings.get(name) != value]
        if changed:
            raise RunError(f"{path} has another {' and another '.join(changed)}; choose another --out")

    def subfolder(self, kind: str) -> Path:
        """Where all pictures of a kind go."""
        name, _ = PREDICTION_KINDS[kind]
        return self.folder / name

    def path(self, kind: str, name: str) -> Path:
        """Where the mask, cut-out ... of the photo `name` goes."""
        _, end = PREDICTION_KINDS[kind]
        return self.subfolder(kind) / (Path(name).stem + end)

    def missing(self, names: list[str]) -> list[str]:
        """The photos of which at least one kind is not there. What a killed run left half-written is removed."""
        written = {}
        for kind in self.kinds:
            folder = self.subfolder(kind)
            for leftover in stale(folder.glob(".*")):
                remove(leftover)
            written[kind] = set(os.listdir(folder)) if folder.is_dir() else set()

        def is_missing(name):
            return any(self.path(kind, name).name not in written[kind] for kind in self.kinds)

        return [name for name in names if is_missing(name)]

    def write(self, photo: Path, logits: np.ndarray) -> Failure | None:
        """Write every kind for one photo from its logits (H, W). Raises RunError where writing fails."""
        try:
            # Read once more: the whole photo would have had to wait in memory while the net worked on others.
            pixels = read_photo(photo) if SHOW_THE_PHOTO & set(self.kinds) else None
            for kind in self.kinds:
                path = self.path(kind, photo.name)
                content = encode_picture(render(kind, pixels, logits), path)
                with atomic(path) as temporary:
                    temporary.write_bytes(content)
        except DataError as error:
            return Failure(photo.name, str(error))
        return None

    def list_failures(self, failures: list[Failure], shard: tuple[int, int]) -> None:
        """Write failed.csv (failed-1-of-4.csv for shard (0, 4)), or remove an earlier run's where nothing failed."""
        part, parts = shard
        path = self.folder / ("failed.csv" if parts == 1 else f"failed-{part + 1}-of-{parts}.csv")
        if failures:
            write_csv(path, pd.DataFrame(failures, columns=Failure._fields))
        else:
            path.unlink(missing_ok=True)


def render(kind: str, photo: np.ndarray | None, logits: np.ndarray) -> np.ndarray:
    """The picture of a kind, in OpenCV's order of channels: (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; uint8."""
    if kind == "mask":
        return np.where(logits >= 0, np.uint8(255), np.uint8(0))
    if kind == "overlay":
        return cv2.cvtColor(overlay(photo, logits >= 0), cv2.COLOR_RGB2BGR)
    car = prediction.sigmoid(logits)
    if kind == "probability":
        return np.rint(255 * car).astype(np.uint8)
    return cv2.cvtColor(cut_out(photo, car), cv2.COLOR_RGBA2BGRA)


def encode_picture(picture: np.ndarray, path: Path) -> np.ndarray:
    """The bytes of the file. Raises DataError for more than its format takes: JPEG, 65,500 pixels a side."""
    is_encoded, content = cv2.imencode(path.suffix, picture)
    if not is_encoded:
        raise DataError(f"{path} cannot hold {picture.shape[1]}x{picture.shape[0]} pixels; make the photo smaller")
    return content
