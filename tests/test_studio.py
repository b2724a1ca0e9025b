"""The studio renders the same bytes however it is run, continues where it stopped, and refuses clearly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("embreex", reason="the studio needs embreex: pip install -r studio/requirements.txt")

ROOT = Path(__file__).resolve().parent.parent
TINY = ["--cars", "2", "--views", "2", "--size", "96x64", "--samples", "4"]


def studio(*arguments):
    """Run `python -m studio` with some arguments."""
    command = [sys.executable, "-m", "studio", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def contents(folder):
    """All files under a folder by name."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A tiny set rendered by one worker."""
    folder = tmp_path_factory.mktemp("studio") / "one"
    result = studio(*TINY, "--workers", 1, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_layout(rendered):
    """Pictures, masks, metadata and the note of the settings."""
    files = contents(rendered)
    assert len(files) == 2 * 2 * 2 + 2
    assert {"metadata.csv", "studio.json"} <= set(files)
    mask = Image.open(next((rendered / "train_masks").glob("*.gif")))
    assert mask.mode == "P" and mask.size == (96, 64)
    assert np.array_equal(np.unique(np.array(mask)), [0, 1])


def test_two_workers_give_the_same_bytes(rendered, tmp_path):
    """The number of workers changes nothing."""
    result = studio(*TINY, "--workers", 2, "--out", tmp_path / "two")
    assert result.returncode == 0, result.stderr
    assert contents(tmp_path / "two") == contents(rendered)


def test_continues_and_refuses(rendered):
    """Deleted files come back with the same bytes, others are left alone; other settings are refused."""
    before = contents(rendered)
    pictures = sorted((rendered / "train").glob("*.jpg"))
    masks = sorted((rendered / "train_masks").glob("*.gif"))
    pictures[0].unlink()
    masks[1].unlink()
    (rendered / "train" / "half.jpg.part").write_bytes(b"half")
    kept = pictures[3].stat().st_mtime_ns
    result = studio(*TINY, "--workers", 1, "--out", rendered)
    assert result.returncode == 0, result.stderr
    assert contents(rendered) == before
    assert pictures[3].stat().st_mtime_ns == kept

    result = studio(*TINY, "--seed", 1, "--out", rendered)
    assert result.returncode == 2
    assert "other settings" in result.stderr and "seed" in result.stderr
    assert "Traceback" not in result.stderr
    assert contents(rendered) == before


@pytest.mark.parametrize("size", ["480", "480x", "axb", "0x0", "-5x10"])
def test_bad_size(size, tmp_path):
    """A size that is none is a clear error, and nothing is written."""
    result = studio("--size", size, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "--size" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_refuses_a_folder_of_something_else(tmp_path):
    """A folder that holds other files is left alone."""
    (tmp_path / "notes.txt").write_text("mine")
    result = studio(*TINY, "--out", tmp_path)
    assert result.returncode == 2
    assert "not empty" in result.stderr
    assert contents(tmp_path) == {"notes.txt": b"mine"}
