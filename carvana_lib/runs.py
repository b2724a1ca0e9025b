"""Where a run keeps its results, and how they are written.

Every artefact has its name here and nowhere else. Files are written under a temporary name and renamed, so a killed
process or a full disk never leaves half a file behind.
"""

import ctypes
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from carvana_lib import RunError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "torchvision", "albumentations", "accelerate", "optuna", "numpy", "pandas", "papermill")

STALE = 86_400  # seconds, a day


def runs_folder() -> Path:
    """The folder that holds all runs: `runs/` in the repository, or what CARVANA_RUNS names."""
    return Path(os.environ.get("CARVANA_RUNS") or ROOT / "runs").resolve()


class Run:
    """The folder `runs/<name>/` and the names of the artefacts in it."""

    def __init__(self, name: str):
        self.name = name
        self.folder = runs_folder() / name
        self.params = self.folder / "params.json"  # what was asked for, and with which versions, commit and device
        self.audit = self.folder / "audit.csv"  # 01: one row a picture, with what is wrong with it
        self.review_masks = self.folder / "review_masks.csv"  # 01: pictures that a person marked in the mask browser
        self.split = self.folder / "split.csv"  # 01: one row a usable picture: train, val or test
        self.model = self.folder / "model.json"  # 02: parameters, GFLOPs, overfit-one-batch curve
        self.study = self.folder / "study.journal"  # 03: Optuna's journal, so that a search can go on
        self.tuning = self.folder / "tuning.csv"  # 03: one row a trial
        self.best = self.folder / "best.json"  # 03: the winning learning rate and loss
        self.history = self.folder / "history.csv"  # 04: one row an epoch
        self.train_log = self.folder / "train.log"  # 04: what the processes said, where several trained
        self.last = self.folder / "checkpoints" / "last"  # 04: after the latest epoch, with optimizer
        self.best_checkpoint = self.folder / "checkpoints" / "best"  # 04: the epoch of the highest val mIoU
        self.per_image = self.folder / "per_image.csv"  # 05: one row a test picture
        self.review_predictions = self.folder / "review_predictions.csv"  # 05: the same for predictions
        self.metrics = self.folder / "metrics.json"  # 05: the run's numbers
        self.predictions = self.folder / "predictions"  # 06: masks at the photos' own size
        self.submission = self.folder / "submission.csv"  # 06: one row a picture, its mask run-length encoded
        self.onnx = self.folder / "model.onnx"  # 06: the net for ONNX Runtime
        self.onnx_int8 = self.folder / "model_int8.onnx"  # 06: in 8 bits, where that is faster and nearly as good
        self.exported = self.folder / "model.pt2"  # 06: the net for torch.export.load
        self.model_card = self.folder / "model_card.md"  # 06: what the net is for, and what it is not
        self.figures = self.folder / "figures"
        self.notebooks = self.folder / "notebooks"  # executed copies
        self.timing = self.folder / "timing.csv"  # seconds by notebook and kind of work
        self.report = self.folder / "report.html"

    @classmethod
    def start(cls, params, device: str = "") -> "Run":
        """Make the folder and write params.json. Raises RunError where the folder cannot be written."""
        run = cls(params.run_name)
        record = {"params": params.model_dump(), "seed": params.seed, "device": device, **environment()}
        write_json(run.params, record)
        return run


def cores() -> int:
    """How many cores this process may use: fewer than the machine has in a container, under taskset or SLURM."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Let glibc keep what this process frees for its next use. Elsewhere, and on other systems, nothing happens.

    By default it gives large blocks back to the system at once, which must then clear every page anew: 7 to 17 %
    of the time of a full net's training step on a CPU, and it slows the decoding of pictures too. The price is a sixth
    more memory (mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD).
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 2**30), mallopt(-1, 2**31 - 1)


def environment() -> dict:
    """Versions, commit and machine: what someone needs who wants the same numbers again."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": commit(),
        "versions": versions,
    }


def commit() -> str:
    """The commit of this code, marked "-dirty" where a file differs from it, or 'unknown' without git.

    The page that `experiment` writes after each training does not count: the next training uses the same code.
    """

    def git(*words):
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=10)

    try:
        name = git("describe", "--always", "--abbrev=40").stdout.strip()
        dirty = git("diff", "--quiet", "HEAD", "--", ".", ":!results/README.md").returncode == 1
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return name + "-dirty" * dirty if name else "unknown"


@contextmanager
def atomic(path: Path, folder: bool = False):
    """Yield a temporary path beside `path`, and rename it to `path` once the block has ended well.

    With `folder=True` the temporary path is a new folder; if another process has made `path` meanwhile, its copy
    stays. Raises RunError with the system's reason where writing fails; what stood at `path` is then untouched.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        else:
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
            os.close(handle)
            temporary = Path(name)
        yield temporary
        temporary.chmod(0o755 if folder else 0o644)
        try:
            os.replace(temporary, path)
        except OSError:
            if not (folder and path.is_dir()):  # a folder that is there already was made by another process
                raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"cannot write {path}: {reason}; free or change that place and run again") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink()


def is_stale(path: Path) -> bool:
    """True for a temporary file or folder that no living process writes any more: none takes STALE seconds."""
    try:
        return time.time() - path.lstat().st_mtime > STALE
    except FileNotFoundError:  # another process has just given it its final name
        return False


def sweep(leftovers) -> None:
    """Remove those temporary files and folders that killed processes have left; not those of a process at work."""
    for path in filter(is_stale, leftovers):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def new_array(path: Path, shape: tuple[int, ...]):
    """Yield an open file for the rows of a .npy array of uint8, to be written in order; rows left out are 0.

    Not a memory map: storing through one ends the process by a signal, without a word, where the disk is full.
    """
    from numpy.lib import format  # here, since importing the package loads nothing heavy

    with path.open("wb") as file:
        format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        end = file.tell() + math.prod(shape)
        yield file
        file.truncate(end)


def digest(file) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with Path(file).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_json(path: Path, value: dict) -> None:
    """Write a dictionary as indented JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf8")


def write_csv(path: Path, table) -> None:
    """Write a pandas DataFrame without its index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def read_json(path: Path, made_by: str = "") -> dict:
    """Read a JSON artefact. Raises RunError naming the notebook to run (`made_by`) where it does not exist."""
    if not Path(path).exists():
        raise RunError(f"{path} does not exist; run {made_by or 'the notebook that makes it'} first")
    return json.loads(Path(path).read_text(encoding="utf8"))


def has_metrics(params) -> bool:
    """True where metrics.json of the parameters' run was made with exactly these parameters."""
    metrics = Run(params.run_name).metrics
    return metrics.exists() and read_json(metrics)["params"] == params.model_dump()
