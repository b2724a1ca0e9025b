import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from PIL import Image
from typer.testing import CliRunner

from carvana_course.cli import app
from carvana_course.deployment import folders, predictions
from carvana_course.deployment.folders import predict_folder
from carvana_course.deployment.submission import read_rows, rle_decode, score_submission
from carvana_course.deployment.threads import bounded_map
from carvana_lib import CheckpointError, DataError, ParameterError, RunError
from carvana_lib.checkpoints import load_model, make_model
from carvana_lib.frame import Frame
from carvana_lib.prediction import fast, photo_logits
from carvana_lib.reading import read_photo

SIZES = [(48, 32), (31, 33), (1, 1), (17, 300), (64, 64), (90, 20)]


def write_checkpoint(path, params):
    """An untrained net that calls about half of the pixels car, and is sure of it."""
    model = make_model(params)
    with torch.no_grad():
        model.head.weight *= 1000
    state = {"architecture": {"base_channels": 4, "skips": True}, "model": model.state_dict()}
    torch.save(state | {"params": params.model_dump(), "fingerprint": "", "history": []}, path)
    return path


@pytest.fixture
def checkpoint(params, tmp_path):
    return write_checkpoint(tmp_path / "best", params)


@pytest.fixture
def photos(tmp_path):
    """Twelve photos of several sizes and formats, and what is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        width, height = SIZES[i % len(SIZES)]
        pixels = np.random.default_rng(i).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.{('jpg', 'png', 'webp')[i % 3]}")
    (folder / "notes.txt").write_text("not a photo")
    (folder / ".03.jpg").write_text("hidden")
    return folder


def cli(*words):
    return CliRunner().invoke(app, ["predict", *map(str, words)])


def masks(out):
    return {path.name: path.read_bytes() for path in sorted((out / "masks").iterdir())}


def test_every_photo_gets_the_mask_that_probability_draws(checkpoint, photos, tmp_path):
    result = predict_folder(checkpoint, photos, tmp_path / "out", batch_size=5, device="cpu")
    assert (result.predicted, result.done_before, result.failures) == (12, 0, [])
    net = fast(load_model(checkpoint), "cpu")
    for path in photos.glob("[0-9]*"):
        mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{path.stem}_mask.png"))
        photo = read_photo(path)
        assert mask.shape == photo.shape[:2] and mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 255}
        logits = photo_logits(net, photo, Frame.of(32))  # batches of another size round bf16 otherwise
        sure = np.abs(logits) > 0.05 * np.abs(logits).max()
        assert ((mask > 0) == (logits >= 0))[sure].all() and sure.mean() > 0.5


def test_a_name_that_is_too_long_for_its_mask_is_a_fault_of_one_photo(checkpoint, photos, tmp_path):
    """Disks take 255 bytes: the first is too long with '_mask', the second for the file that is written before."""
    names = ["x" * 248 + ".png", "y" * 240 + ".png"]
    for name in names:
        Image.new("RGB", (8, 8)).save(photos / name)
    result = predict_folder(checkpoint, photos, tmp_path / "out", device="cpu")
    assert result.predicted == 12 and [failure.name for failure in result.failures] == names
    assert all("is too long" in reason and "rename the photo" in reason for _, reason in result.failures)
    again = predict_folder(checkpoint, photos, tmp_path / "out", device="cpu")
    assert (again.predicted, again.done_before, len(again.failures)) == (0, 12, 2)


@pytest.mark.parametrize("way", folders.FOLDER_WAYS)
def test_every_kind_is_written_in_the_photos_size(checkpoint, photos, tmp_path, way):
    kinds = dict.fromkeys(("cutout", "probability", "overlay"), True)
    predict_folder(checkpoint, photos, tmp_path / "out", way=way, flip=True, device="cpu", **kinds)
    modes = {"masks": "L", "cutouts": "RGBA", "probabilities": "L", "overlays": "RGB"}
    for folder, mode in modes.items():
        found = sorted((tmp_path / "out" / folder).iterdir())
        assert len(found) == 12
        for path, photo in zip(found, sorted(photos.glob("[0-9]*")), strict=True):
            with Image.open(path) as image, Image.open(photo) as original:
                assert image.mode == mode and image.size == original.size
    mask, car = (cv2.imread(str(tmp_path / "out" / n), 0) for n in ("masks/04_mask.png", "probabilities/04.png"))
    assert ((car > 127) == (mask > 0)).all()


def test_a_killed_run_goes_on(checkpoint, photos, tmp_path, monkeypatch):
    out, opened, open_photo = tmp_path / "out", [], folders.open_photo
    predict_folder(checkpoint, photos, out, device="cpu")
    first, times = masks(out), {path.name: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    for name in ("02_mask.png", "07_mask.png"):
        (out / "masks" / name).unlink()
    fresh, stale = out / "masks" / ".08_mask.png.abc.png", out / "masks" / ".09_mask.png.abc.png"
    fresh.touch()
    stale.touch()
    os.utime(stale, (0, 0))  # left by a process killed long ago; the other may be of one that works now
    monkeypatch.setattr(folders, "open_photo", lambda path, **k: opened.append(path.name) or open_photo(path, **k))
    result = predict_folder(checkpoint, photos, out, device="cpu")
    assert (result.predicted, result.done_before) == (2, 10) and opened == ["02.webp", "07.png"]
    assert fresh.exists() and not stale.exists()
    fresh.unlink()
    assert masks(out).keys() == first.keys()
    untouched = [path for path in (out / "masks").iterdir() if path.name not in ("02_mask.png", "07_mask.png")]
    assert all(times[path.name] == path.stat().st_mtime_ns for path in untouched)
    assert predict_folder(checkpoint, photos, out, device="cpu", cutout=True).predicted == 12  # a new kind: all anew


@pytest.mark.parametrize("at", [1, 7])
def test_a_run_that_is_stopped_midway_leaves_only_whole_files(checkpoint, photos, tmp_path, monkeypatch, at):
    calls, logits = [], folders.frame_logits

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return logits(*arguments)

    monkeypatch.setattr(folders, "frame_logits", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict_folder(checkpoint, photos, tmp_path / "out", batch_size=1, device="cpu")
    monkeypatch.undo()
    before = len(masks(tmp_path / "out")) if (tmp_path / "out" / "masks").exists() else 0
    result = predict_folder(checkpoint, photos, tmp_path / "out", batch_size=1, device="cpu")
    assert before < at and (result.predicted, result.done_before) == (12 - before, before)
    assert not [name for name in masks(tmp_path / "out") if name.startswith(".")]


def test_one_bad_file_does_not_stop_the_rest(checkpoint, photos, tmp_path):
    (photos / "03.jpg").write_bytes((photos / "00.jpg").read_bytes()[:200])
    (photos / "zz.png").write_text("hello")
    out = tmp_path / "out"
    words = ("--checkpoint", checkpoint, "--images", photos, "--out", out, "--device", "cpu")
    found = cli(*words, "--submission", tmp_path / "s.csv")
    assert found.exit_code == 1 and "11 photos predicted" in found.output and "2 failed" in found.output
    assert "03.jpg" in found.output and "zz.png" in found.output and not (tmp_path / "s.csv").exists()
    table = pd.read_csv(out / "failed.csv")
    assert table["name"].tolist() == ["03.jpg", "zz.png"] and table["reason"].str.contains("not a readable").all()
    assert len(masks(out)) == 11
    (photos / "zz.png").unlink()
    Image.new("RGB", (5, 4)).save(photos / "03.jpg")
    assert cli(*words).exit_code == 0 and not (out / "failed.csv").exists() and len(masks(out)) == 12


def test_a_photo_that_vanishes_before_its_cutout_is_listed(checkpoint, photos, tmp_path, monkeypatch):
    logits = folders.frame_logits
    monkeypatch.setattr(
        folders, "frame_logits", lambda *a: ((photos / "05.webp").unlink(missing_ok=True), logits(*a))[1]
    )
    result = predict_folder(checkpoint, photos, tmp_path / "out", cutout=True, batch_size=12, device="cpu")
    assert [failure.name for failure in result.failures] == ["05.webp"] and result.predicted == 11


def test_a_photo_too_long_for_a_format_is_listed(checkpoint, photos, tmp_path):
    Image.new("RGB", (66_000, 2)).save(photos / "long.png")
    result = predict_folder(checkpoint, photos, tmp_path / "out", overlay=True, device="cpu")
    assert [(failure.name, "66000x2" in failure.reason) for failure in result.failures] == [("long.png", True)]


def test_a_full_disk_stops_the_run_with_one_sentence(checkpoint, photos, tmp_path, monkeypatch):
    write_bytes = type(tmp_path).write_bytes

    def full(self, content):
        if "07_mask" in self.name:
            raise OSError(28, "No space left on device")
        return write_bytes(self, content)

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    with pytest.raises(RunError, match="07_mask.png: No space left on device"):
        predict_folder(checkpoint, photos, tmp_path / "out", device="cpu")
    assert "07_mask.png" not in masks(tmp_path / "out")


@pytest.mark.parametrize("n", [2, 13])
def test_shards_leave_no_gap_and_do_not_overlap(checkpoint, photos, tmp_path, n):
    counts = [
        predict_folder(checkpoint, photos, tmp_path / "out", shard=(i, n), device="cpu").predicted for i in range(n)
    ]
    assert sum(counts) == 12 and max(counts) - min(counts) <= 1  # nothing was found done before, so no overlap
    assert len(masks(tmp_path / "out")) == 12


def test_failures_of_shards_are_kept_apart(checkpoint, photos, tmp_path):
    for name in ("00.jpg", "01.png"):
        (photos / name).write_text("hello")
    for i in range(2):
        predict_folder(checkpoint, photos, tmp_path / "out", shard=(i, 2), device="cpu")
    lists = [pd.read_csv(tmp_path / "out" / f"failed-{i}-of-2.csv")["name"].tolist() for i in (1, 2)]
    assert lists == [["00.jpg"], ["01.png"]]


NOTING = """
import os
from carvana_course.cli import main
from carvana_course.deployment.predictions import Predictions

write = Predictions.write

def noted(self, name, logits, content):
    with open("by-" + os.environ["RANK"], "a") as file:
        file.write(name + "\\n")
    return write(self, name, logits, content)

Predictions.write = noted
main()
"""


def test_three_processes_of_accelerate_share_the_folder(checkpoint, photos, tmp_path):
    (photos / "05.webp").write_text("hello")
    (tmp_path / "noting.py").write_text(NOTING)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 3]
    run += ["--num_machines", 1, "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", port]
    run += [tmp_path / "noting.py", "predict", "--checkpoint", checkpoint, "--images", photos]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [*map(str, run), "--out", str(tmp_path / "out"), "--device", "cpu"]
    found = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert found.returncode == 1, found.stderr
    assert re.findall(r"(\d+) photos predicted.* (\d+) done before, (\d+) failed", found.stdout) == [("11", "0", "1")]
    assert "failed: 05.webp" in found.stderr and "05.webp" in (tmp_path / "out" / "failed.csv").read_text()
    names = [path.name for path in sorted(photos.glob("[0-9]*"))]
    for rank in range(3):
        share = sorted((tmp_path / f"by-{rank}").read_text().splitlines())
        assert share == [name for name in names[rank::3] if name != "05.webp"]


def test_no_more_than_a_few_photos_are_in_memory(checkpoint, tmp_path, monkeypatch):
    folder, size = tmp_path / "photos", 60
    folder.mkdir()
    for i in range(size):
        Image.new("RGB", (20, 20)).save(folder / f"{i}.png")
    lock, alive, peak = threading.Lock(), set(), []
    open_photo, write = folders.open_photo, predictions.Predictions.write

    def opened(path, **options):
        with lock:
            alive.add(path.name)
            peak.append(len(alive))
        return open_photo(path, **options)

    def written(self, name, logits, content):
        time.sleep(0.005)  # a slow disk: what is predicted must wait, and not pile up
        with lock:
            alive.remove(name)
        return write(self, name, logits, content)

    monkeypatch.setattr(folders, "open_photo", opened)
    monkeypatch.setattr(predictions.Predictions, "write", written)
    monkeypatch.setattr(folders, "cores", lambda: 2)
    assert predict_folder(checkpoint, folder, tmp_path / "out", batch_size=3, device="cpu").predicted == size
    assert max(peak) <= 2 * 3 + 3 * 2 and not alive  # a batch, the next one, and twice the threads for writing


def test_bounded_map_keeps_order_and_bound_and_raises_in_turn():
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    def slow(i):
        time.sleep(0.002 * (i % 3))
        if i == 15:
            raise ValueError("fifteen")
        return i

    found = []
    with ThreadPoolExecutor(4) as threads, pytest.raises(ValueError, match="fifteen"):
        for value in bounded_map(threads, slow, items(), 5):
            found.append(value)
            assert len(taken) - len(found) <= 5
    assert found == list(range(15))


def test_predictions_of_two_kinds_are_not_mixed(checkpoint, photos, tmp_path, params):
    predict_folder(checkpoint, photos, tmp_path / "out", device="cpu")
    with pytest.raises(RunError, match="another flip; choose another --out"):
        predict_folder(checkpoint, photos, tmp_path / "out", flip=True, device="cpu")
    write_checkpoint(checkpoint, params.replace(seed=1))
    with pytest.raises(RunError, match="another checkpoint"):
        predict_folder(checkpoint, photos, tmp_path / "out", device="cpu")


def test_another_machine_may_see_the_photos_elsewhere(checkpoint, photos, tmp_path, capsys):
    predict_folder(checkpoint, photos, tmp_path / "out", shard=(0, 2), device="cpu")
    mounted = photos.rename((tmp_path / "mnt").mkdir() or tmp_path / "mnt" / photos.name)
    assert predict_folder(checkpoint, mounted, tmp_path / "out", shard=(1, 2), device="cpu").predicted == 6
    assert f"out was begun with photos in {photos}; those that differ are predicted anew" in capsys.readouterr().out
    other = mounted.rename(tmp_path / "others")
    found = predict_folder(checkpoint, other, tmp_path / "out", device="cpu")
    assert (found.predicted, found.done_before) == (0, 12)


def test_a_photo_is_known_by_its_content(checkpoint, tmp_path):
    """Two days' cameras call their first photo alike."""
    out = tmp_path / "out"
    for day, size in (("monday", (48, 32)), ("tuesday", (60, 20))):
        (tmp_path / day / "photos").mkdir(parents=True)
        pixels = np.random.default_rng(size).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / day / "photos" / "IMG_0001.jpg")
        kinds = {"cutout": day == "monday"}
        assert predict_folder(checkpoint, tmp_path / day / "photos", out, device="cpu", **kinds).predicted == 1
        with Image.open(out / "masks" / "IMG_0001_mask.png") as mask:
            assert mask.size == size
    assert not (out / "cutouts" / "IMG_0001.png").exists(), "Monday's cut-out passes for Tuesday's"
    found = predict_folder(checkpoint, tmp_path / "tuesday" / "photos", out, device="cpu", cutout=True)
    assert found.predicted == 1 and Image.open(out / "cutouts" / "IMG_0001.png").size == (60, 20)


def test_a_mask_corrected_by_hand_stays_until_the_photo_is_newer(checkpoint, photos, tmp_path):
    out = tmp_path / "out"
    predict_folder(checkpoint, photos, out, device="cpu")
    mask = out / "masks" / "00_mask.png"
    Image.new("L", (48, 32), 255).save(mask)
    assert predict_folder(checkpoint, photos, out, device="cpu").predicted == 0
    later = mask.stat().st_mtime + 10
    os.utime(photos / "00.jpg", (later, later))
    assert predict_folder(checkpoint, photos, out, device="cpu").predicted == 1
    assert predict_folder(checkpoint, photos, out, device="cpu", force=True).predicted == 12


def test_force_takes_other_settings(checkpoint, photos, tmp_path):
    words = ("--checkpoint", checkpoint, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    assert cli(*words).exit_code == 0
    assert "or --force to overwrite" in str(cli(*words, "--flip").exception)
    assert "12 photos predicted" in cli(*words, "--flip", "--force").output
    assert "12 done before" in cli(*words, "--flip").output


def test_force_mixes_no_two_nets(checkpoint, photos, tmp_path, params):
    out = tmp_path / "out"
    predict_folder(checkpoint, photos, out, cutout=True, device="cpu")
    other = write_checkpoint(tmp_path / "other", params.replace(seed=1))
    assert predict_folder(other, photos, out, device="cpu", force=True, shard=(0, 2)).predicted == 6
    found = predict_folder(other, photos, out, device="cpu")
    assert (found.predicted, found.done_before) == (6, 6), "the other half was made by the first net"
    assert predict_folder(other, photos, out, device="cpu", cutout=True).predicted == 12


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"mine": 1}'])
def test_settings_of_others_are_told(checkpoint, photos, tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_text(content)
    with pytest.raises(RunError, match="settings.json is not what predict writes; choose another --out, or --force"):
        predict_folder(checkpoint, photos, tmp_path / "out", device="cpu")
    (photos / "cutouts").mkdir()
    (photos / "00.jpg").rename(photos / "cutouts" / "00.jpg")
    (photos / "settings.json").write_text(content)
    assert predict_folder(checkpoint, photos, tmp_path / "new", device="cpu").predicted == 12


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
def test_a_name_that_cannot_be_written_is_skipped_and_told(checkpoint, photos, tmp_path):
    (photos / os.fsdecode(b"caf\xe9.jpg")).write_bytes((photos / "00.jpg").read_bytes())
    words = ("--checkpoint", checkpoint, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    found = cli(*words, "--submission", tmp_path / "s.csv")
    assert found.exit_code == 0 and "skipped: caf?.jpg: name is not UTF-8" in found.output


def test_folders_in_the_folder_keep_their_structure(checkpoint, photos, tmp_path):
    (photos / "day" / "two").mkdir(parents=True)
    (photos / ".git").mkdir()
    for name in ("day/00.jpg", "day/two/00.jpg", ".git/00.jpg"):
        (photos / name).write_bytes((photos / "00.jpg").read_bytes())
    (photos / "day" / "clip.mov").write_bytes(b"")
    (photos / "link").symlink_to(photos / "day")
    words = ("--checkpoint", checkpoint, "--images", photos, "--out", photos / "out", "--device", "cpu")
    found = cli(*words, "--submission", tmp_path / "s.csv")
    assert found.exit_code == 0 and "14 photos predicted" in found.output and "14 rows" in found.output
    assert "3 files skipped (skipped.csv)" in found.output and "skipped: day/clip.mov: no photo" in found.output
    skipped = pd.read_csv(photos / "out" / "skipped.csv")
    assert skipped["name"].tolist() == ["day/clip.mov", "link", "notes.txt"]
    assert (photos / "out" / "masks" / "day" / "two" / "00_mask.png").exists()
    assert "day/two/00.jpg" in [name for name, _ in read_rows(tmp_path / "s.csv")]
    again = cli(*words)
    assert "0 photos predicted, 14 done before" in again.output, "what was written is no photo"
    outside = predict_folder(checkpoint, photos / "day", photos / "day", device="cpu")
    assert outside.predicted == 2
    assert "14 done before" in cli(*words).output, "photos beside a folder of masks are photos still"
    for path in (photos / "day" / "masks").rglob("*.png"):
        path.unlink()
    beside = cli("--checkpoint", checkpoint, "--images", photos / "day", "--out", photos / "day", "--device", "cpu")
    assert "2 photos predicted" in beside.output
    again = cli("--checkpoint", checkpoint, "--images", photos / "day", "--out", photos / "day", "--device", "cpu")
    assert "0 photos predicted, 2 done before" in again.output


def test_one_photo_is_enough(checkpoint, photos, tmp_path):
    result = predict_folder(checkpoint, photos / "05.webp", tmp_path / "out", device="cpu", overlay=True)
    assert result.names == ["05.webp"] and result.predicted == 1 and list(masks(tmp_path / "out")) == ["05_mask.png"]


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".bmp", ".ppm", ".jfif", ".avif", ".JPG"])
def test_photos_of_many_kinds_are_found(checkpoint, tmp_path, suffix):
    (tmp_path / "photos").mkdir()
    format = {"format": "JPEG"} if suffix == ".jfif" else {}
    Image.new("RGB", (40, 30), "red").save(tmp_path / "photos" / f"IMG{suffix}", **format)
    assert predict_folder(checkpoint, tmp_path / "photos", tmp_path / "out", device="cpu").predicted == 1


def test_the_submission_names_the_photos_that_are_there(checkpoint, photos, tmp_path):
    words = ("--checkpoint", checkpoint, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")
    assert cli(*words).exit_code == 0
    (photos / "03.jpg").unlink()
    assert "11 rows" in cli(*words, "--submission", tmp_path / "s.csv").output
    assert [name for name, _ in read_rows(tmp_path / "s.csv")] == [p.name for p in sorted(photos.glob("[0-9]*"))]


def test_what_cannot_be_used_is_refused_before_anything_is_written(checkpoint, photos, tmp_path):
    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    faults = [
        (DataError, "does not exist", checkpoint, tmp_path / "none", {}),
        (DataError, "holds no photos", checkpoint, empty, {}),
        (ParameterError, "whole, larger, tiles", checkpoint, photos, {"way": "native"}),
        (ParameterError, "shard", checkpoint, photos, {"shard": (2, 2)}),
        (CheckpointError, "none cannot be read .*name the file", tmp_path / "none", photos, {}),
        (CheckpointError, "not a checkpoint", photos / "notes.txt", photos, {}),
        (CheckpointError, "cannot be read .*name the file", tmp_path, photos, {}),
        (ParameterError, "device", checkpoint, photos, {"device": "tpu"}),
    ]
    for error, words, net, images, options in faults:
        with pytest.raises(error, match=words):
            predict_folder(net, images, out, **options)
    Image.new("RGB", (4, 4)).save(photos / "00.bmp")
    with pytest.raises(DataError, match="00.bmp and 00.jpg"):
        predict_folder(checkpoint, photos, out)
    assert not out.exists()


def test_the_command_writes_the_submission_after_the_shards(checkpoint, folder, tmp_path):
    out, csv = tmp_path / "out", tmp_path / "submission.csv.gz"
    words = ("--checkpoint", checkpoint, "--images", folder / "train", "--out", out, "--device", "cpu")
    for shard in ("1/2", "2/2"):
        found = cli(*words, "--shard", shard)
        assert found.exit_code == 0 and "20 photos predicted" in found.output
    found = cli(*words, "--submission", csv)
    assert found.exit_code == 0 and "0 photos predicted, 40 done before" in found.output and "40 rows" in found.output
    rows = dict(read_rows(csv))
    assert list(rows) == sorted(path.name for path in (folder / "train").iterdir())
    for name, rle in rows.items():
        mask = cv2.imread(str(out / "masks" / name.replace(".jpg", "_mask.png")), 0)
        assert (rle_decode(rle, *mask.shape) == mask // 255).all()
    assert 0 < score_submission(csv, folder / "train_masks").mean() < 1


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "-1/2"])
def test_the_command_refuses_a_wrong_shard(checkpoint, photos, tmp_path, shard):
    words = ("--checkpoint", checkpoint, "--images", photos, "--out", tmp_path / "out")
    assert cli(*words, "--shard", shard).exit_code == 2
    assert cli(*words, "--shard", "1/2", "--submission", tmp_path / "s.csv").exit_code == 2
    assert not (tmp_path / "out").exists()
