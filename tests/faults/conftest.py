"""Sizes, the server of victims, and the tally that becomes README.md after a full run."""

import os
import platform
import sys
import time
import zipfile
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psutil
import pytest
from conftest import write_cars

from . import notebooks
from .server import Server

FULL = os.environ.get("FAULTS") == "full"
SOAK = float(os.environ.get("FAULTS_SOAK") or (3600 if FULL else 8))  # seconds
README = Path(__file__).parent / "README.md"
HEAD = """# What was done to the program, and what came of it

{about}

Written by `make faults` on {date}: {cpu}, {cores} cores, {memory:.0f} GB; Python {python}, torch {torch};
{seconds:,.0f} seconds. Everything below happened in this run, and nothing was lost. `make test` does a part of it.
"""


TINY = {
    "run_name": "tiny",
    "image_size": 32,
    "base_channels": 4,
    "epochs": 3,
    "learning_rate": 1e-3,
    "loss": "bce_dice",
    "precision": "float32",
    "device": "cpu",
    "tuning_subset": 8,
}
BEFORE = {"train": ("train", {"epochs": 1}), "tune": ("prepare", {}), "report": ("executed", {})}


def pick(small, full):
    """The small number for `make test`, the large one for `make faults`."""
    return full if FULL else small


@contextmanager
def serving(log: Path):
    """A server of victims, which is closed at the end."""
    if not hasattr(os, "fork"):
        pytest.skip("victims are forked, which this system cannot")
    server = Server(log)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="session", autouse=FULL)
def soaking(tmp_path_factory):
    """A server with a victim that trains and browses for SOAK seconds: from the first test on where that is an hour."""
    folder = tmp_path_factory.mktemp("soak")
    params = TINY | {"data_dir": str(write_cars(folder / "cars")), "run_name": "soak", "epochs": 1}
    order = {"params": params, "seconds": SOAK, "every": SOAK / 200, "runs": folder, "timeout": 2 * SOAK + 120}
    with serving(folder / "log") as server:
        server.start({"operation": "soak"} | order)
        yield server


@pytest.fixture
def tiny(folder) -> dict:
    """Parameters of a training that takes less than a second, on forty made-up pictures."""
    return TINY | {"data_dir": str(folder)}


@pytest.fixture
def zips(folder, tmp_path) -> list[Path]:
    """The forty pictures as Kaggle packs them."""
    found = []
    for name in ("train", "train_masks"):
        found.append(tmp_path / f"{name}.zip")
        with zipfile.ZipFile(found[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((folder / name).iterdir()):
                archive.write(path, f"{name}/{path.name}")
    return found


@pytest.fixture
def orders(server, tiny, folder, zips, tmp_path) -> dict:
    """Operation -> function from the folder that it shall fill to what is ordered of the server."""
    net, large = tmp_path / "net", "# " + 1_000_000 * "x"

    def checkpoint():
        if not net.exists():
            assert server("train", params=tiny, runs=net).ended == "done"
        return net / "tiny" / "checkpoints" / "best"

    def books():
        return tmp_path / "books" if (tmp_path / "books").exists() else notebooks.write(tmp_path / "books", large)

    return {
        "prepare": lambda to: {"params": tiny, "runs": to},
        "train": lambda to: {"params": tiny, "runs": to},
        "tune": lambda to: {"params": tiny, "runs": to},
        "predict": lambda to: {"checkpoint": checkpoint(), "images": folder / "train", "out": to / "out"},
        "unpack": lambda to: {"zips": zips, "target": to / "data"},
        "report": lambda to: {"params": tiny, "runs": to},
        "run": lambda to: {"params": tiny, "notebooks": books(), "runs": to},
    }


def prepared(server, operation: str, order: dict) -> dict:
    """Do what comes before the operation, and return the digests of all that is then there."""
    if operation in BEFORE:
        before, changes = BEFORE[operation]
        outcome = server(before, params=order["params"] | changes, runs=order["runs"])
        assert outcome.ended == "done", outcome
    return artefacts(server, folder_of(order))


def artefacts(server, folder) -> dict[str, str]:
    """The digests of all artefacts in a folder, none of which may be broken."""
    digests, broken = server("artefacts", folder=folder).value
    assert not broken
    return digests


def folder_of(order: dict):
    """The folder that an order fills."""
    return order.get("runs") or order.get("target") or order["out"]


def pytest_configure(config):
    config.tally, config.began = {}, time.perf_counter()


@pytest.fixture
def tally(request):
    """Call it with (what was done, how often, what was seen): a row of the README's table."""
    chapter = request.module.__doc__.strip()

    def add(what: str, times: int, seen: str) -> None:
        request.config.tally.setdefault(chapter, []).append((what, times, seen))

    return add


def pytest_sessionfinish(session, exitstatus):
    chapters = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    all_run = {item.path.stem for item in session.items} >= chapters and not session.config.option.keyword
    if FULL and all_run and exitstatus == 0:
        README.write_text(page(session.config), encoding="utf8")


def page(config) -> str:
    """README.md from the tally: a chapter for each module, named and introduced by its docstring."""
    import torch

    facts = {"python": platform.python_version(), "torch": torch.__version__, "cores": os.cpu_count()}
    facts |= {"cpu": torch.cpu.get_capabilities().get("cpu_name") or platform.machine(), "date": date.today()}
    facts |= {"memory": psutil.virtual_memory().total / 1e9, "seconds": time.perf_counter() - config.began}
    parts = [HEAD.format(about=" ".join(sys.modules[__package__].__doc__.split()), **facts)]
    for chapter, rows in config.tally.items():
        title, _, rest = chapter.partition("\n")
        table = "\n".join(f"| {what} | {times:,} | {seen} |" for what, times, seen in rows)
        parts.append(f"## {title.rstrip('.')}\n\n{rest.strip()}\n\n| what | times | seen |\n|---|---|---|\n{table}\n")
    return "\n".join(parts)
