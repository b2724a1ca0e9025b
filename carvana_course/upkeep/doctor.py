"""Is this machine ready for the course? One line for each thing that it needs, with a remedy where it is not there."""

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from carvana_lib import DataError
from carvana_lib.runs import ROOT, remove, runs_folder, stale

PYTHON = (3, 11)
GIGABYTES_FREE = 2  # the cache of all real pictures at 256 pixels takes 1.3 of them
GIGABYTES_OF_MEMORY = 2
SECONDS_TO_ANSWER = 20  # a Python that has not started by then hangs
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.\w+)?")  # as runs.atomic names what is not finished yet


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` is empty where it is as it should be."""

    what: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.what}: {self.found}"
        return f"problem {line}; {self.remedy}" if self.remedy else f"ok      {line}"


def look(clean: bool = False) -> Iterator[Finding]:
    """Yield a finding for each thing, the quick ones first; `clean` removes stale temporary files."""
    yield check_python()
    yield check_packages()
    yield check_disk()
    yield check_memory()
    yield check_writing()
    yield check_sample()
    yield check_kaggle()
    yield check_kernel()
    yield check_device()
    yield check_leftovers(clean)


def check_python() -> Finding:
    """Is Python new enough, and for a processor that has a torch? Under Rosetta, Apple silicon calls itself x86_64."""
    found = platform.python_version()
    if sys.version_info < PYTHON:
        needed = ".".join(map(str, PYTHON))
        return Finding("Python", found, f"install Python {needed} or newer, then 'make .venv/installed'")
    if platform.system() == "Darwin" and platform.machine() == "x86_64":
        remedy = "on Apple silicon install an arm64 Python, on an Intel Mac use another machine or a hosted notebook"
        return Finding("Python", f"{found} for Intel Macs, for which there is no torch any more", remedy)
    return Finding("Python", found)


def check_packages() -> Finding:
    """Does everything have the version that requirements.txt names? torch and torchvision fit in exact pairs alone."""
    file = ROOT / "requirements.txt"
    if not file.exists():
        return Finding("packages", f"{file} is not there", "clone the repository and run 'pip install -e .' in it")
    text = file.read_text(encoding="utf8")
    pins = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", text, re.M))
    versions = {name: version(name) for name in pins}
    wrong = [name for name, pin in pins.items() if versions[name] != pin]
    if wrong:
        found = ", ".join(f"{name} is {versions[name] or 'missing'}, not {pins[name]}" for name in wrong[:3])
        if len(wrong) > 3:
            found += f" and {len(wrong) - 3} more"
        return Finding("packages", found, "run 'pip install -r requirements.txt'")
    found = f"torch {versions['torch']}, torchvision {versions['torchvision']}, all {len(pins)} as tested"
    return Finding("packages", found)


def version(name: str) -> str:
    """The version of an installed package without its build ('2.15.0+cpu' -> '2.15.0'), '' where it is missing."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def check_disk() -> Finding:
    """Is there room where runs are written?"""
    place = next(path for path in (runs_folder(), *runs_folder().parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    remedy = ""
    if free < GIGABYTES_FREE:
        remedy = f"free {GIGABYTES_FREE} GB, or let the environment variable CARVANA_RUNS name another place"
    return Finding("disk", f"{free:.1f} GB free in {place}", remedy)


def check_memory() -> Finding:
    """Is there memory for a notebook's kernel and its training?"""
    usage = psutil.virtual_memory()
    remedy = ""
    if usage.available < GIGABYTES_OF_MEMORY * 1e9:
        remedy = "close other programs, or lower batch_size and image_size"
    return Finding("memory", f"{usage.available / 1e9:.1f} of {usage.total / 1e9:.1f} GB available", remedy)


def check_writing() -> Finding:
    """May runs be written?"""
    folder = runs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written")
    except OSError as error:
        remedy = "change that, or let the environment variable CARVANA_RUNS name another place"
        return Finding("runs", f"cannot write to {folder}: {error.strerror}", remedy)
    return Finding("runs", f"can be written to {folder}")


def check_sample() -> Finding:
    """Is every picture and mask of the sample there, as its metadata says?"""
    folder = ROOT / "sample"
    remedy = "fetch the repository again"
    try:
        rows = (folder / "metadata.csv").read_text(encoding="utf8").splitlines()[1:]
    except OSError as error:
        return Finding("sample", f"{folder / 'metadata.csv'} cannot be read: {error.strerror}", remedy)
    ids = [f"{row.split(',')[0]}_{view:02d}" for row in rows for view in range(1, 17)]
    masks = {path.stem.removesuffix("_mask") for path in (folder / "train_masks").glob("*") if path.stat().st_size}
    photos = {path.stem for path in (folder / "train").glob("*") if path.stat().st_size}
    missing = [image_id for image_id in ids if image_id not in photos & masks]
    if missing or not ids:
        first = missing[0] if missing else "all"
        return Finding("sample", f"{len(missing)} of {len(ids)} pairs missing, first {first}", remedy)
    return Finding("sample", f"{len(rows)} cars, {len(ids)} pictures with masks")


def check_kaggle() -> Finding:
    """Is there a Kaggle token, and can it be read? Only `download` needs one."""
    from carvana_course.upkeep.download import check_token

    try:
        check_token()
    except DataError as error:
        if "no Kaggle token" in str(error):
            return Finding("Kaggle", "no token, which only 'download' needs")
        fault, remedy = str(error).removeprefix("token: ").split("; ", 1)
        return Finding("Kaggle", fault, remedy)
    return Finding("Kaggle", "a token is there")


def check_kernel() -> Finding:
    """Is the Python that Jupyter starts for the notebooks' kernel, python3, this one? It is started and asked."""
    remedy = "run 'python -m ipykernel install --sys-prefix' in this environment"
    try:
        from jupyter_client.manager import KernelManager

        command = KernelManager(kernel_name="python3").format_kernel_cmd()
    except Exception as error:  # no Jupyter, no such kernel, a damaged kernel.json
        reason = " ".join(str(error).split())
        remedy = "run 'pip install -r requirements.txt', then 'python -m ipykernel install --sys-prefix'"
        return Finding("kernel", f"Jupyter finds no kernel python3: {reason}", remedy)
    python = command[: command.index("-m")] if "-m" in command else command[:1]
    try:
        asked = [*python, "-c", "import sys; print(sys.prefix)"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=SECONDS_TO_ANSWER)
    except (OSError, subprocess.SubprocessError):
        return Finding("kernel", f"Jupyter's kernel python3 starts {' '.join(python)}, which does not answer", remedy)
    prefix = Path(answer.stdout.strip()).resolve()
    if prefix != Path(sys.prefix).resolve():
        remedy += ", and start Jupyter from it"
        return Finding(
            "kernel", f"Jupyter's kernel python3 is the Python in {prefix}, not the one in {sys.prefix}", remedy
        )
    return Finding("kernel", f"Jupyter's kernel python3 is the Python in {sys.prefix}")


def check_device() -> Finding:
    """Which device and precision 'auto' chooses. Imports torch, which takes some seconds."""
    try:
        from carvana_lib.config import Params
        from carvana_lib.device import describe_device

        return Finding("device", describe_device(Params()))
    except Exception as error:  # a broken installation fails in many ways
        reason = " ".join(str(error).split())
        return Finding("device", f"torch fails: {reason}", "run 'pip install -r requirements.txt'")


def check_leftovers(clean: bool) -> Finding:
    """Are there temporary files of killed runs? With `clean` they are removed."""
    left = stale(temporary_files(runs_folder()))
    size = sum(file.lstat().st_size for path in left for file in (path, *path.rglob("*"))) / 1e6
    found = f"{len(left)} of killed runs, {size:.1f} MB" if left else "none of killed runs"
    if clean:
        for path in left:
            remove(path)
        return Finding("leftovers", f"{found}, removed" if left else found)
    return Finding("leftovers", found, "remove them with 'carvana doctor --clean'" if left else "")


def temporary_files(folder: Path) -> list[Path]:
    """The files and folders below a folder of runs that bear a temporary name."""
    return [path for path in folder.rglob(".*") if TEMPORARY.fullmatch(path.name)]
