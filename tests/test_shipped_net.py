"""The net that is there after installation: its file is the one that its record describes, and making it repeats."""

import json
import runpy
import subprocess
import tomllib

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from typer.testing import CliRunner

from carvana_course.cli import app
from carvana_course.deployment.cutout import steps
from carvana_course.net import ORIGIN, RECORD, SMALL_NET, find_car, load_small_net
from carvana_lib.cache import digest
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.metrics import confusion_counts, iou
from carvana_lib.reading import read_mask, read_photo

WRITTEN = json.loads(RECORD.read_text(encoding="utf8"))
MADE = runpy.run_path(str(ROOT / "scripts" / "small_net.py"))  # the program that makes it


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    """The sample as that program reads it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARVANA_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield open_data(MADE["PARAMS"])


def test_the_file_is_the_one_in_the_record_and_small():
    assert digest(SMALL_NET) == WRITTEN["sha256"] and SMALL_NET.stat().st_size == WRITTEN["bytes"] <= 4e6
    checkpoint = load_checkpoint(SMALL_NET)
    assert checkpoint["params"] == WRITTEN["params"] and Params(**WRITTEN["params"]) == MADE["PARAMS"]
    assert checkpoint["history"] == WRITTEN["history"] and len(WRITTEN["history"]) == MADE["PARAMS"].epochs
    assert {value.dtype for value in checkpoint["model"].values()} == {torch.float16, torch.int64}
    net, frame = load_small_net()
    assert {p.dtype for p in net.parameters()} == {torch.float32} and frame == Params(**WRITTEN["params"]).frame


def test_the_record_says_how_it_was_made():
    assert WRITTEN["seed"] == WRITTEN["params"]["seed"] and WRITTEN["device"].startswith("cpu")
    assert len(WRITTEN["commit"]) == 40 and len(WRITTEN["code"]) == 12 and "torch" in WRITTEN["versions"]
    assert WRITTEN["command"].split()[:2] == ["python", "scripts/small_net.py"]
    real = WRITTEN["scores"]["real photos, test"]
    assert real["cars"] == 40 and real["ci95"][0] < real["miou"] < real["ci95"][1]


def test_its_first_steps_repeat(renders):
    """To 1 in 1,000: machines add in different orders. Another rate, seed or augmentation differs by more at once."""
    found = MADE["first_losses"](renders, MADE["PARAMS"])
    assert found == pytest.approx(WRITTEN["first_losses"], rel=1e-3)
    other = MADE["first_losses"](renders, MADE["PARAMS"].replace(seed=1), steps=1)
    assert other != pytest.approx(WRITTEN["first_losses"][:1], rel=1e-3)


def test_its_score_on_the_samples_test_cars_repeats(renders):
    found = MADE["score"](load_small_net()[0], renders, MADE["PARAMS"], "test")
    written = WRITTEN["scores"]["sample, test"]
    assert found["miou"] == pytest.approx(written["miou"], abs=1e-4) and written["miou"] > 0.97
    assert found["ci95"] == pytest.approx(written["ci95"], abs=1e-3)


def test_weights_of_16_bits_cost_nothing(renders):
    """The best epoch was validated with weights of 32 bits, the shipped file with 16."""
    best = max(row["val_miou"] for row in WRITTEN["history"])
    assert WRITTEN["scores"]["sample, val"]["miou"] == pytest.approx(best, abs=2e-4)


def test_predict_needs_no_checkpoint(tmp_path):
    """And says which net it took; a checkpoint that is named is the one that is taken."""
    photos = sorted((ROOT / "sample" / "train").glob("*_04.jpg"))[:3]
    (tmp_path / "photos").mkdir()
    for photo in photos:
        (tmp_path / "photos" / photo.name).write_bytes(photo.read_bytes())
    words = ["predict", "--images", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and done.output.splitlines()[0] == f"net: {ORIGIN}"
    for photo in photos:
        predicted = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{photo.stem}_mask.png")) > 0
        truth = read_mask(ROOT / "sample" / "train_masks" / f"{photo.stem}_mask.gif")
        tp, fp, fn, _ = confusion_counts(torch.from_numpy(predicted)[None], torch.from_numpy(truth)[None])[0].tolist()
        assert predicted.shape == truth.shape and iou(tp, fp, fn) > 0.93
    named = CliRunner().invoke(app, [*words, "--checkpoint", str(SMALL_NET)])
    assert named.exit_code == 0 and "net:" not in named.output and "3 done before" in named.output


def test_a_car_in_four_pictures():
    photo = read_photo(sorted((ROOT / "sample" / "train").glob("*_04.jpg"))[0])
    probability = find_car(photo)
    assert probability.shape == photo.shape[:2] and probability.dtype == np.float32
    strip = steps(photo, probability)
    assert strip.data[:2] == b"\xff\xd8" and strip.alt.endswith("photo, probability, mask, cut-out.")


def test_whatever_is_no_python_is_installed_too():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
    patterns = project["tool"]["setuptools"]["package-data"]["carvana_course"]
    packaged = {path for pattern in patterns for path in (ROOT / "carvana_course").glob(pattern)}
    tracked = subprocess.run(["git", "ls-files", "carvana_course"], cwd=ROOT, capture_output=True, text=True).stdout
    files = {ROOT / name for name in tracked.splitlines() if not name.endswith(".py")}
    assert files <= packaged and SMALL_NET in packaged and RECORD in packaged
    assert all((path.parent / "__init__.py").exists() for path in packaged)
