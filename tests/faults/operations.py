"""What victims do, and what is looked at afterwards. All arguments and results are plain, so that JSON carries them."""

import csv
import gc
import hashlib
import json
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import psutil
import torch
from PIL import Image

from carvana_course.deployment import folders
from carvana_course.headless import report as report_page
from carvana_course.scaling import search
from carvana_course.upkeep import download
from carvana_lib import data as pictures
from carvana_lib import evaluation, training, tuning
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.config import Params
from carvana_lib.runs import Run, write_json


def prepare(params: dict) -> int:
    """Decode the pictures into the cache; how many are usable."""
    return len(pictures.open_data(Params(**params)).table)


def train(params: dict) -> int:
    """Train; how many epochs there are."""
    params = Params(**params)
    return len(training.train(pictures.open_data(params), params)[1])


def tune(params: dict) -> int:
    """Search the grid; how many trials there are."""
    params = Params(**params)
    return len(search.search(pictures.open_data(params), params))


def trials_made(params: dict) -> int:
    """How many trials the run's study has finished, whatever its table says."""
    (file,) = Run(params["run_name"]).studies.glob("*.jsonl")
    return file.read_text().count("\n")


def tune_quickly(params: dict) -> int:
    """The same search with trials that take no time."""
    tuning.fit = lambda *_: pd.DataFrame({"val_miou": [0.5]})
    return tune(params)


def predict(checkpoint: str, images: str, out: str) -> int:
    """Predict a folder of photos; how many masks were missing."""
    return folders.predict_folder(checkpoint, images, out, probability=True, device="cpu").predicted


def unpack(zips: list[str], target: str) -> None:
    """Unpack zips fetched by hand."""
    download.unpack([Path(file) for file in zips], Path(target))


def executed(params: dict) -> None:
    """Leave what a run has before its report is written: parameters, scores, and a notebook's executed copy."""
    params = Params(**params)
    run = Run.start(params)
    write_json(
        run.metrics, dict.fromkeys(report_page.SUMMARY, 0.5) | {"params": params.model_dump(), "fingerprint": "these"}
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("a chapter")])
    book.metadata["papermill"] = {"parameters": params.model_dump(), "duration": 1.0}
    book.metadata["pictures"] = "these"
    run.notebooks.mkdir()
    nbformat.write(book, run.notebooks / "05_scores.ipynb")


def report(params: dict) -> None:
    """Write report.html."""
    report_page.write_report(Params(**params), "these")


def run(params: dict, notebooks: str) -> None:
    """One run through the notebooks of a folder."""
    from carvana_course.headless import notebooks as chapters

    chapters.NOTEBOOKS = Path(notebooks)
    chapters.run_notebooks(Params(**params))


def batch(files: list[str], notebooks: str) -> list[str]:
    """Run parameter sets through the notebooks of a folder; the failures."""
    from carvana_course.headless import batches
    from carvana_course.headless import notebooks as chapters

    chapters.NOTEBOOKS = Path(notebooks)
    return batches.run_batch(files)[1]


def soak(params: dict, seconds: float, every: float) -> list[dict]:
    """Train and browse over and over; memory (MB), open files and threads of this process, at least twelve times."""
    from carvana_course.browser import MaskBrowser

    params, own, began, seen = Params(**params, resume=False), psutil.Process(), time.monotonic(), []
    trainings = steps = 0
    while time.monotonic() - began < seconds or len(seen) < 12:
        data = pictures.open_data(params)
        model, _ = training.train(data, params)
        trainings += 1
        rows = data.rows("test")
        scores, _ = evaluation.score_images(model, data, rows, params)
        said = np.concatenate([p[:, 0].numpy() for _, p, _ in evaluation.predict_batches(model, data, rows, params)])
        browser = MaskBrowser(scores.drop(columns="row"), data.images[rows], data.masks[rows], said)
        browser.widget  # noqa: B018  makes the controls
        for step in range(20):
            browser.step(1)
            browser.controls.layer.value = browser.layers[step % len(browser.layers)]
            steps += 1
        browser.close()
        if not seen or time.monotonic() - began >= every * len(seen):
            gc.collect()
            mb, files = own.memory_info().rss / 2**20, own.num_fds()
            seen.append({"seconds": time.monotonic() - began, "mb": mb, "files": files, "threads": own.num_threads()})
            seen[-1] |= {"trainings": trainings, "steps": steps}
    return seen


def visible(folder: Path) -> list[Path]:
    """Every file that anyone would read: none whose name, or whose folder's, marks it as temporary."""
    folder = Path(folder)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    hidden = (".cache",)  # the one folder with a dot that is read
    return [f for f in files if not any(p[0] == "." and p not in hidden for p in f.relative_to(folder).parts)]


def artefacts(folder: str) -> tuple[dict[str, str], list[str]]:
    """({artefact: digest of all that must repeat}, those that cannot be read to their end, with the reason).

    Times of day, seconds and the study's journal differ from run to run, and have no digest.
    """
    digests, broken = {}, []
    for path in visible(folder):
        try:
            if value := content(path):
                digests[str(path.relative_to(folder))] = hashlib.sha256(repr(value).encode()).hexdigest()
        except Exception as error:
            broken.append(f"{path}: {type(error).__name__}: {error}")
    return digests, broken


def content(path: Path):
    """What an artefact says, without times; None for one that holds little else. Raises where it is not whole."""
    if path.name in ("last", "best"):
        state = load_checkpoint(path)
        without_seconds(state["history"])
        return plain(state)
    if path.parent.parent.name == ".cache" and path.suffix == "":
        return path.read_bytes()
    if path.suffix in (".png", ".jpg", ".gif"):
        with Image.open(path) as image:
            return np.asarray(image).tobytes()
    text = path.read_text(encoding="utf8")
    if path.suffix == ".csv":
        pd.read_csv(path)
        assert text.endswith("\n")
        return None if path.name == "timing.csv" else without_seconds(list(csv.DictReader(text.splitlines())))
    if path.suffix in (".json", ".ipynb"):
        value = json.loads(text)
        return None if path.suffix == ".ipynb" or path.name == "params.json" else value  # times, versions
    if path.suffix == ".html":
        assert text.rstrip().endswith(("</html>", "</table>"))
    return None


def without_seconds(rows: list[dict]) -> list[dict]:
    """The rows of a history or a table of trials without what differs from run to run."""
    for row in rows:
        row.pop("seconds", None)
    return rows


def plain(value):
    """Nested dictionaries and lists with tensors as bytes, which can be compared by their `repr`."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
