"""A folder of predictions: what is in it, what is still to do, and with which settings it was made."""

import errno
import hashlib
import json
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from carvana_course.deployment.cutout import cut_out
from carvana_course.show.pictures import overlay
from carvana_lib import DataError, RunError, prediction
from carvana_lib.cache import digest
from carvana_lib.device import cores
from carvana_lib.reading import read_photo
from carvana_lib.runs import atomic, remove, stale, write_csv, write_json

PREDICTION_KINDS = {  # what is written -> its folder and the end of its name
    "mask": ("masks", "_mask.png"),  # 0 and 255, named as Carvana names them
    "cutout": ("cutouts", ".png"),  # the car alone, its opacity from the probability
    "probability": ("probabilities", ".png"),  # 0 to 255
    "overlay": ("overlays", ".jpg"),  # the photo with the mask laid over
}
SHOW_THE_PHOTO = {"cutout", "overlay"}
NOTE = "photo"  # in a mask's file: what it was made of, and how
AFTER_HEADER = 33  # bytes of a PNG's signature and first chunk


class Failure(NamedTuple):
    """A file that was not predicted, and why."""

    name: str
    reason: str


class Predictions:
    """The folder `folder`, and the kinds of pictures to be written to it, of the photos in the folder `photos`.

    `settings` are what decides the masks: the checkpoint's digest, way and flip.

    A mask holds the digests of its photo and of the settings that made it, as a note that no viewer shows. So what
    changes is made anew, whatever its name, and two nets do not mix.
    """

    def __init__(self, folder: Path, kinds: list[str], photos: Path, settings: dict):
        self.folder = Path(folder)
        self.kinds = kinds
        self.photos = photos
        self.masks = self.subfolder("mask")
        self.settings = settings
        self.made_with = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]

    def keep_settings(self, force: bool = False) -> str:
        """Write settings.json; a sentence where the folder was begun with photos of another place, else ''.

        Raises RunError where it was begun with other settings, unless `force` overwrites them: the two would mix.
        """
        images = str(self.photos.resolve())
        path = self.folder / "settings.json"
        if force or not path.exists():
            write_json(path, self.settings | {"images": images})
            return ""
        before = read_settings(path)
        if not before:
            raise RunError(f"{path} is not what predict writes; choose another --out, or --force to overwrite it")
        place = before.pop("images", "another place")
        changed = [name for name, value in before.items() if self.settings.get(name) != value]
        if changed:
            raise RunError(
                f"{path} has another {' and another '.join(changed)}; choose another --out, or --force to overwrite"
            )
        if place == images:
            return ""
        return f"{self.folder} was begun with photos in {place}; those that differ are predicted anew"

    def subfolder(self, kind: str) -> Path:
        """Where all pictures of a kind go."""
        name, _ = PREDICTION_KINDS[kind]
        return self.folder / name

    def path(self, kind: str, name: str) -> Path:
        """Where the mask, cut-out ... of the photo `name` goes; folders in the name are kept."""
        _, end = PREDICTION_KINDS[kind]
        return self.subfolder(kind) / Path(name).with_name(Path(name).stem + end)

    def missing(self, names: list[str]) -> list[str]:
        """The photos of which at least one kind is not there, or is that of other content.

        What was made of other content is removed, in every kind, and so is what a killed run left half-written.
        """
        for kind in self.kinds:
            for leftover in stale(self.subfolder(kind).rglob(".*")):
                remove(leftover)
        with ThreadPoolExecutor(cores()) as threads:
            is_done = list(threads.map(self.is_done, names))
        return [name for name, done in zip(names, is_done, strict=True) if not done]

    def is_done(self, name: str) -> bool:
        """True where every kind of a photo is there and was made of its content."""
        mask = self.path("mask", name)
        if os.path.exists(mask):  # which no name is too long for
            try:
                unchanged = self.is_of(mask, self.photos / name)
            except OSError:  # the photo has just gone, or the mask is no picture
                unchanged = False
            if not unchanged:
                for kind in PREDICTION_KINDS:
                    remove(self.path(kind, name))
        return all(os.path.exists(self.path(kind, name)) for kind in self.kinds)

    def is_of(self, mask: Path, photo: Path) -> bool:
        """True where a mask was made of a photo. Raises OSError where one of them cannot be read.

        One without a note was drawn by hand, or made by an earlier version: it is as new as its file.
        """
        with Image.open(mask) as picture:
            made_of = picture.info.get(NOTE)
        if made_of is None:
            return photo.stat().st_mtime <= mask.stat().st_mtime
        return made_of == self.note(digest(photo))

    def note(self, content: str) -> str:
        """What a mask says of itself: the digests of its photo and of the settings."""
        return f"{content} {self.made_with}"

    def write(self, name: str, logits: np.ndarray, content: str) -> Failure | None:
        """Write every kind for one photo from its logits (H, W); `content` is the photo's digest.

        The mask comes last, so that its note speaks of all. Raises RunError where writing fails, but for a name that is
        too long, which is a fault of one photo.
        """
        try:
            # Read once more: the whole photo would have had to wait in memory while the net worked on others.
            pixels = read_photo(self.photos / name) if SHOW_THE_PHOTO & set(self.kinds) else None
            for kind in sorted(self.kinds, key="mask".__eq__):
                path = self.path(kind, name)
                picture = encode_picture(render(kind, pixels, logits), path).tobytes()
                if kind == "mask":
                    picture = with_note(picture, self.note(content))
                with atomic(path) as temporary:
                    temporary.write_bytes(picture)
        except DataError as error:
            return Failure(name, str(error))
        except RunError as error:
            if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                raise
            return Failure(name, f"name is too long for what is written under {self.folder}; rename the photo")
        return None

    def list_failures(self, failures: list[Failure], shard: tuple[int, int]) -> None:
        """Write failed.csv (failed-1-of-4.csv for shard (0, 4)), or remove an earlier run's where nothing failed."""
        part, parts = shard
        self.write_list("failed.csv" if parts == 1 else f"failed-{part + 1}-of-{parts}.csv", failures)

    def write_list(self, name: str, failures: list[Failure]) -> None:
        """Write files and reasons as a CSV, or remove an earlier run's where there are none."""
        path = self.folder / name
        if failures:
            write_csv(path, pd.DataFrame(failures, columns=Failure._fields))
        else:
            path.unlink(missing_ok=True)


def read_settings(path: Path) -> dict:
    """What a settings.json that `predict` wrote holds; empty for any other."""
    try:
        settings = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) and {"checkpoint", "way"} <= set(settings) else {}


def with_note(png: bytes, note: str) -> bytes:
    """The bytes of a PNG file with a text chunk that holds a note."""
    body = f"tEXt{NOTE}\0{note}".encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:AFTER_HEADER] + chunk + png[AFTER_HEADER:]


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
