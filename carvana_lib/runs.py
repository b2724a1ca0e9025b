"""Every artefact of a run has its name here and nowhere else, and is written whole or not at all."""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

from carvana_lib import RunError

CODE = Path(__file__).resolve().parent.parent
ROOT = CODE if (CODE / "pyproject.toml").exists() else Path.cwd()  # of the library alone, paths start where you work
PACKAGES = ("torch", "torchvision", "timm", "albumentations", "accelerate", "optuna", "numpy", "pandas", "papermill")
LAST = "last"  # of a training's checkpoints, that after the newest epoch, with all it takes to go on
BEST = "best"  # and that of the epoch with the highest validation mIoU


def runs_folder() -> Path:
    """The folder of all runs: `runs/` under ROOT, or what CARVANA_RUNS names. Used by `Run` in 01."""
    return Path(os.environ.get("CARVANA_RUNS") or ROOT / "runs").resolve()


class Run:
    """The folder `runs/<name>/` and the names of the artefacts in it. Taught in 01."""

    def __init__(self, name: str):
        self.name = name
        self.folder = runs_folder() / name
        self.params = self.folder / "params.json"  # what was asked for, and with which versions, commit and device
        self.audit = self.folder / "audit.csv"  # 01: one row per picture, with what is wrong with it
        self.review_masks = self.folder / "review_masks.csv"  # 01: pictures that a person marked in the mask browser
        self.split = self.folder / "split.csv"  # 01: one row per usable picture: train, val or test
        self.model = self.folder / "model.json"  # 02: parameters, GFLOPs, overfit-one-batch curve
        self.studies = self.folder / "studies"  # 03: finished trials, a file for each study, so that it can go on
        self.tuning = self.folder / "tuning.csv"  # 03: one row per trial
        self.best = self.folder / "best.json"  # 03: the winning learning rate and loss
        self.history = self.folder / "history.csv"  # 04: one row per epoch
        self.tracking = self.folder / "tracking"  # 04: the epochs once more, as the tracker keeps them
        self.train_log = self.folder / "train.log"  # 04: what the processes said, where several trained
        self.checkpoints = self.folder / "checkpoints"  # 04: LAST and BEST
        self.last = self.checkpoints / LAST
        self.best_checkpoint = self.checkpoints / BEST
        self.per_image = self.folder / "per_image.csv"  # 05: one row per test picture
        self.review_predictions = self.folder / "review_predictions.csv"  # 05: as review_masks, of predictions
        self.metrics = self.folder / "metrics.json"  # 05: the run's numbers
        self.predictions = self.folder / "predictions"  # 06: masks at the photos' own size
        self.submission = self.folder / "submission.csv"  # 06: one row per picture, its mask run-length encoded
        self.onnx = self.folder / "model.onnx"  # 06: the net for ONNX Runtime
        self.onnx_int8 = self.folder / "model_int8.onnx"  # 06: in 8 bits, where that is faster and nearly as good
        self.exported = self.folder / "model.pt2"  # 06: the net for torch.export.load
        self.model_card = self.folder / "model_card.md"  # 06: what the net is for, and what it is not
        self.corrected = self.folder / "corrected"  # 01, 09: masks that a person drew, and review.csv on who and when
        self.transfer = self.folder / "transfer.csv"  # 07: one row per start and number of labelled cars
        self.labels = self.folder / "labels.csv"  # 09: one row per way to begin with few labels
        self.figures = self.folder / "figures"
        self.notebooks = self.folder / "notebooks"  # executed copies
        self.timing = self.folder / "timing.csv"  # seconds by notebook and kind of work
        self.report = self.folder / "report.html"
        self.earlier = self.folder / "earlier"  # nets that others took the place of, 1, 2 ...

    @classmethod
    def start(cls, params, device: str = "") -> "Run":
        """Make the folder and write params.json. Raises RunError where the folder cannot be written."""
        run = cls(params.run_name)
        write_json(run.params, {"params": params.model_dump(), "seed": params.seed, "device": device, **environment()})
        return run


def environment() -> dict:
    """Installed versions, code and machine: what it takes to get the same numbers again. Used by `Run` in 01."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES if importlib.util.find_spec(name)}
    where = {"python": platform.python_version(), "platform": platform.platform()}
    return where | {"commit": commit(), "code": code(), "versions": versions}


def code() -> str:
    """12 hex digits of this library's source: others where any line of it differs. Used by `search` in 03."""
    lines = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(lines).hexdigest()[:12]


def commit() -> str:
    """The commit of this code, or 'unknown'; "-dirty" where a file differs from it. Used by `Run` in 01."""
    if ROOT != CODE:
        return "unknown"
    page = ":!results/README.md"  # which `carvana experiment` writes: the next training uses the same code
    quiet = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 10}
    try:
        name = subprocess.run(["git", "describe", "--always", "--abbrev=40"], **quiet).stdout.strip()
        changes = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", ".", page], **quiet)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return f"{name}-dirty" if changes.returncode == 1 else name or "unknown"


@contextmanager
def writing(path: Path):
    """Make the folder of `path`; RunError with the reason if the block cannot write. Used by `write_json` in 02."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot write {path}: {reason}; free or change that place and run again") from error


@contextmanager
def atomic(path: Path, folder: bool = False):
    """Yield a temporary path beside `path`, a new folder with `folder=True`, and rename it to `path` once the block has
    ended well. A folder that another process has made at `path` meanwhile stays. Raises RunError as `writing` does;
    what stood at `path` is then untouched. Used by `write_json` in 02.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{path.suffix}")
    with writing(path):
        try:
            if folder:
                temporary.mkdir()
            yield temporary
            try:
                os.replace(temporary, path)
            except OSError:
                if not (folder and path.is_dir()):  # which another process has made meanwhile
                    raise
        finally:
            remove(temporary)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, if it is there. Used by `write_json` in 02."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def stale(paths) -> list[Path]:
    """Those temporary files and folders that no living process writes: none takes a day. Used by `open_data` in 01."""
    found = []
    for path in paths:
        with suppress(FileNotFoundError):  # another process has just given it its final name
            if time.time() - path.lstat().st_mtime > 86_400:  # seconds, a day
                found.append(path)
    return found


def write_json(path: Path, value: dict) -> None:
    """Write a dictionary as indented JSON. Taught in 02."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf8")


def write_csv(path: Path, table) -> None:
    """Write a pandas DataFrame without its index. Taught in 05."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def read_json(path: Path, made_by: str = "the notebook that makes it") -> dict:
    """A JSON artefact. Raises RunError naming what to run (`made_by`) where it is not there. Taught in 03."""
    if not Path(path).exists():
        raise RunError(f"{path} does not exist; run {made_by} first")
    return json.loads(Path(path).read_text(encoding="utf8"))
