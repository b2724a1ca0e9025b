"""Kaggle's submission file: a row a picture, its mask as run lengths.

Pixels are numbered from 1, from left to right and then from top to bottom; a mask is 'start length start length ...'
(https://www.kaggle.com/c/carvana-image-masking-challenge/overview/evaluation).
"""

import csv
import gzip
import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from carvana_course.deployment.photos import image_of
from carvana_course.deployment.threads import bounded_map
from carvana_lib import DataError
from carvana_lib.device import cores, progress
from carvana_lib.metrics import dice
from carvana_lib.reading import MASK_SUFFIXES, read_mask
from carvana_lib.runs import atomic

SUBMISSION_COLUMNS = ["img", "rle_mask"]


def rle_encode(mask: np.ndarray) -> str:
    """A mask (H, W), 0 or not, of any type -> 'start length start length ...'; '' for an empty one.

    Raises DataError for an array that is not (H, W), and for fractions: probabilities are no mask.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise DataError(f"a mask is (H, W), but this array is {mask.shape}; take one picture and one channel of it")
    if mask.dtype.kind == "f" and not np.isin(mask, (0, 1)).all():
        raise DataError("an array of fractions is no mask; cut probabilities at a threshold first, as in p > 0.5")
    car = np.zeros(mask.size + 2, bool)  # with a pixel of background before and after
    np.not_equal(mask.reshape(-1), 0, out=car[1:-1])
    edges = np.flatnonzero(car[1:] != car[:-1])  # where the car begins, ends, begins, ...; counted from 0
    starts = edges[::2]
    ends = edges[1::2]
    runs = np.stack([starts + 1, ends - starts], axis=1)
    return " ".join(map(str, runs.reshape(-1).tolist()))


def rle_decode(rle: str, height: int, width: int) -> np.ndarray:
    """The opposite of `rle_encode`: (height, width) uint8 {0, 1}.

    Raises DataError for anything but whole numbers, an odd number of them, and runs that are empty, leave the
    picture, overlap or are not in order. An empty mask is ''; NaN, which pandas makes of it, is refused, for it also
    stands for a row that is missing.
    """
    if not isinstance(rle, str):
        raise DataError(f"{rle} is no run-length code; read the CSV with keep_default_na=False: '' is an empty mask")
    try:
        numbers = np.array(rle.split(), np.int64)
    except (ValueError, OverflowError):
        raise DataError(f"'{rle[:40]}' is not a row of whole numbers with blanks between") from None
    if len(numbers) % 2:
        raise DataError(f"{len(numbers)} numbers in a run-length code; it takes pairs of start and length")
    starts, lengths = numbers.reshape(-1, 2).T
    size = height * width
    if (numbers < 1).any() or (numbers > size).any() or (starts + lengths > size + 1).any():
        raise DataError(f"a run of the run-length code leaves {width}x{height} pixels, numbered from 1 to {size}")
    ends = starts + lengths  # one past the last pixel
    if (starts[1:] < ends[:-1]).any():
        raise DataError("runs of the run-length code overlap or are not in order")
    edges = np.concatenate([[1], np.stack([starts, ends], 1).reshape(-1), [size + 1]])
    values = np.arange(len(edges) - 1, dtype=np.uint8) & 1  # background, car, background, ...
    return np.repeat(values, np.diff(edges)).reshape(height, width)


def write_rows(rows, path: Path) -> int:
    """Write (image name, run-length code) pairs as they come, and return how many; gzip where `path` ends in .gz.

    The same pairs make the same bytes. Raises RunError as `atomic` does.
    """
    count = 0
    with atomic(path) as temporary, temporary.open("wb") as file:
        zipped = Path(path).suffix == ".gz"
        stream = gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) if zipped else file
        with io.TextIOWrapper(stream, encoding="utf8", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(SUBMISSION_COLUMNS)
            for row in rows:
                writer.writerow(row)
                count += 1
    return count


def write_submission(names: list[str], masks_folder: Path, path: Path) -> int:
    """Write a row for each photo name, and return how many; the mask of 'a.jpg' is 'a_mask.png' or 'a_mask.gif'.

    Masks are read in threads, a few at a time; those of other photos are left out. Raises DataError for a photo
    without a mask or with two, and for a mask that cannot be read.
    """
    masks = masks_by_image(masks_folder)
    missing = [name for name in names if image_of(name) not in masks]
    if missing:
        raise DataError(
            f"{masks_folder} lacks the masks of {len(missing)} of {len(names)} photos, first {missing[0]}; "
            "run predict first"
        )

    def make_row(name):
        return name, rle_encode(open_mask(masks[image_of(name)]))

    with ThreadPoolExecutor(cores()) as threads:
        rows = bounded_map(threads, make_row, names, 2 * cores())
        return write_rows(progress(rows, "writing submission", len(names)), path)


def masks_by_image(folder: Path) -> dict[str, Path]:
    """Photo as of `image_of` -> mask file, also of folders in the folder, in the order of names.

    Raises DataError where a photo has two.
    """
    masks = {}
    for file in sorted(Path(folder).rglob("[!.]*")):
        if file.suffix.lower() not in MASK_SUFFIXES:
            continue
        image = file.relative_to(folder).with_name(file.stem.removesuffix("_mask")).as_posix()
        if image in masks:
            other = masks[image]
            raise DataError(f"{folder} holds {other.name} and {file.name}, two masks of one picture; delete one")
        masks[image] = file
    return masks


def open_mask(file: Path) -> np.ndarray:
    """(H, W) uint8 {0, 1}. Raises DataError that names the file."""
    try:
        return read_mask(file)
    except DataError as error:
        reason = str(error).partition("; ")[0]
        raise DataError(f"mask {file} cannot be read ({reason}); delete it and run predict again") from None


def score_submission(path: Path, masks_folder: Path) -> pd.Series:
    """Dice of each row against the true masks at their own size, by image name; its mean is the competition's score.

    Where mask and prediction are both empty Dice is 1. Memory does not grow with the file. Raises DataError
    where rows and masks are not the same pictures, each once, or a code does not fit its mask.
    """
    masks = masks_by_image(masks_folder)

    def score_row(row):
        name, rle = row
        image = image_of(name)
        if image not in masks:
            raise DataError(f"{path} has a row for {name}, of which {masks_folder} has no mask")
        truth = open_mask(masks[image])
        try:
            predicted = rle_decode(rle, *truth.shape)
        except DataError as error:
            raise DataError(f"{path}, {name}: {error}") from None
        tp = np.count_nonzero(predicted & truth)
        fp = np.count_nonzero(predicted) - tp
        fn = np.count_nonzero(truth) - tp
        return name, float(dice(tp, fp, fn))

    scores = {}
    with ThreadPoolExecutor(cores()) as threads:
        rows = bounded_map(threads, score_row, read_rows(path), 2 * cores())
        for name, score in progress(rows, "scoring", len(masks)):
            if name in scores:
                raise DataError(f"{path} has two rows for {name}")
            scores[name] = score
    if len(scores) < len(masks):
        missing = sorted(masks.keys() - {image_of(name) for name in scores})
        raise DataError(f"{path} lacks {len(missing)} of {len(masks)} pictures, first {missing[0]}")
    return pd.Series(scores, name="dice", dtype=float)


def read_rows(path: Path):
    """Yield (image name, run-length code) from a submission file. Raises DataError for any other file."""
    try:
        with pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=64) as chunks:
            for chunk in chunks:
                if list(chunk) != SUBMISSION_COLUMNS:
                    raise DataError(f"{path} has the columns {list(chunk)} instead of {SUBMISSION_COLUMNS}")
                yield from chunk.itertuples(index=False, name=None)
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} cannot be read as a submission: {error}") from None
