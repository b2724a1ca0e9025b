"""Every test writes to a temporary runs folder: neither a reader's own runs nor the tests' order can matter."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent
REAL = ROOT.parent / "shared" / "data"
SCREENSHOTS = ROOT / "tests" / "screenshots"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update"


def pytest_configure(config):
    config.runs = tempfile.mkdtemp(prefix="carvana-runs-")
    os.environ["CARVANA_RUNS"] = config.runs  # the notebooks' kernels inherit it
    if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):  # each test process computes in its share of the cores
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // int(workers))))


def pytest_unconfigure(config):
    shutil.rmtree(config.runs, ignore_errors=True)


class ByFile(LoadFileScheduling):
    """A file at a time to each process, but all chapters to one, in order: 05 and 06 find what 04 has trained."""

    def _split_scope(self, nodeid):
        return "notebooks" if re.match(r"notebooks/\d", nodeid) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """A fresh runs folder for each test."""
    monkeypatch.setenv("CARVANA_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


HOMES = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    "IPYTHONDIR": "ipython",
    "CARVANA_RUNS": "runs",
}


@contextmanager
def jupyter_server(words: list[str], home: Path, path: str, environment: dict | None = None, cwd: Path | None = None):
    """A server of Jupyter's, `python -m` these words, all that it keeps under `home`: its address, once it answers."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    homes = {name: str(home / place) for name, place in HOMES.items()}
    command = [sys.executable, "-m", *words, "--no-browser", f"--port={port}"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(
            command, cwd=cwd, env=os.environ | homes | (environment or {}), stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(address + path, timeout=5).close()
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
        else:
            raise AssertionError((home / "log").read_text())
        yield address
    finally:
        server.terminate()
        server.wait(30)


def write_pair(folder: Path, image_id: str, size=(48, 32), seed: int = 0) -> None:
    """A noisy picture with a bright rectangle as its car, and the mask of the rectangle."""
    rng = np.random.default_rng(seed)
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4 + seed % 5] = 1
    photo = (rng.integers(0, 90, (height, width, 3)) + 150 * mask[..., None]).astype(np.uint8)
    for name in ("train", "train_masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(folder / "train" / f"{image_id}.jpg")
    gif = Image.fromarray(mask, "P")
    gif.putpalette([0, 0, 0, 255, 255, 255])
    gif.save(folder / "train_masks" / f"{image_id}_mask.gif")


def write_set(folder: Path, masks: dict | None = None, cars: int = 3, views: int = 2) -> Path:
    """Some made-up cars in Carvana's layout, without metadata; `masks` replace theirs, by name of the file."""
    for car in range(cars):
        for view in range(1, views + 1):
            write_pair(folder, f"car{car}_{view:02d}", seed=car + 7 * view)
    for name, picture in (masks or {}).items():
        (folder / "train_masks" / f"{name[:7]}_mask.gif").unlink(missing_ok=True)
        picture.save(folder / "train_masks" / name)
    return folder


def write_cars(target: Path) -> Path:
    """Ten made-up cars with four views each, in Carvana's layout."""
    for car in range(10):
        for view in range(1, 5):
            write_pair(target, f"{car:012x}_{view:02d}", seed=10 * car + view)
    rows = "".join(f"{car:012x},2020,Make{car % 3},Model,T,made up\n" for car in range(10))
    (target / "metadata.csv").write_text("id,year,make,model,trim1,trim2\n" + rows)
    return target


@pytest.fixture
def folder(tmp_path):
    """Ten made-up cars with four views each, in Carvana's layout."""
    return write_cars(tmp_path / "cars")


@pytest.fixture
def params(folder):
    """The same code path as a real run, shrunk to seconds."""
    from carvana_lib.config import Params

    return Params(
        data_dir=str(folder),
        run_name="tiny",
        image_size=32,
        base_channels=4,
        epochs=2,
        learning_rate=1e-3,
        loss="bce_dice",
        precision="float32",
        device="cpu",
        tuning_subset=8,
    )


@pytest.fixture
def data(params):
    from carvana_lib.data import open_data

    return open_data(params)


@pytest.fixture
def real():
    """The folder of real Carvana pictures, where the machine has one beside the repository."""
    if not REAL.is_dir():
        pytest.skip(f"no real pictures at {REAL}: they may not be redistributed")
    return REAL


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on loopback with its token: (address of a notebook by its name, the folder it serves)."""
    folder, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    off = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    whole = {"windowingMode": "none"}  # else cells out of sight are not in the page
    for path, content in {
        home / "config" / "labconfig" / "page_config.json": off,
        home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings": whole,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    token = os.urandom(12).hex()
    words = ["jupyterlab", "--allow-root", "--ip=127.0.0.1", f"--notebook-dir={folder}", "--ServerApp.port_retries=0"]
    own = {"CARVANA_RUNS": str(folder / "runs"), "JUPYTER_TOKEN": token}
    with jupyter_server(words, home, f"/api/status?token={token}", environment=own) as address:
        yield (lambda name: f"{address}/lab/tree/{name}?token={token}&reset"), folder


@pytest.fixture(scope="module")
def chromium():
    """A headless browser; tests that need it skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield browser
        browser.close()
