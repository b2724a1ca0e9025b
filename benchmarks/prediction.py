"""From a folder of native JPEGs to a folder of mask PNGs, in bulk and photo by photo."""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
from accelerate.utils import extract_model_from_parallel

from benchmarks import textbook
from benchmarks.measure import Findings, Plan, alternate_fresh, fresh
from benchmarks.pictures import repeat
from benchmarks.training import make_trainer
from carvana_course.deployment import comparison, export, folders, predictions
from carvana_course.deployment.ways import frame_logits
from carvana_lib import prediction
from carvana_lib.checkpoints import load_model, save_checkpoint
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader
from carvana_lib.frame import Frame
from carvana_lib.reading import read_photo
from carvana_lib.runs import BEST

BASE_CHANNELS = 16


def make_checkpoints(folder: Path, sizes, steps: int) -> None:
    """A checkpoint for each size, of one net that has trained a little, so that its masks are blobs like real ones.

    Noise, which a random net would give, takes long to compress.
    """
    params = Params(image_size=64, base_channels=BASE_CHANNELS, run_name="bench")
    data = open_data(params)
    train, model = make_trainer(BASE_CHANNELS)
    batches = itertools.cycle(make_loader(data, data.rows("train"), params, train=True))
    for images, masks, _ in itertools.islice(batches, steps):
        train(images, masks)
    model = extract_model_from_parallel(model, keep_fp32_wrapper=False)
    for size in sizes:
        made_for = params.replace(image_size=size)
        save_checkpoint(folder / f"net-{size}", model, {}, [{"val_miou": 0.0}], made_for, "bench")
        export.to_onnx(model, folder / f"net-{size}.onnx", made_for.frame)


def in_bulk(folder: Path, size: int) -> float:
    """Seconds of `predict_folder`, the second time: the first one also prepares PyTorch's kernels, about a second."""
    for _ in range(2):
        with tempfile.TemporaryDirectory() as out:
            result = folders.predict_folder(folder / f"net-{size}" / BEST, folder / "train", out, device="cpu")
            assert not result.failures, str(result)
    return result.seconds


def one_by_one(folder: Path, size: int) -> float:
    """Seconds for all photos, each by itself through the same functions, without threads."""
    net = prediction.fast(load_model(folder / f"net-{size}" / BEST), "cpu")
    frame = Frame.of(size)

    def predict(path, out):
        job = folders.read_job(path.parent, path.name, frame)
        logits = frame.restore(frame_logits(net, job.framed[None], frame)[0], job.size)
        target = out / f"{path.stem}_mask.png"
        target.write_bytes(predictions.encode_picture(predictions.render("mask", None, logits), target))

    return timed(predict, folder)


def by_the_textbook(folder: Path, size: int) -> float:
    """Seconds for all photos in the textbook's way."""
    net = textbook.make_net(BASE_CHANNELS).eval()
    net.load_state_dict(load_model(folder / f"net-{size}" / BEST).state_dict())
    return timed(lambda path, out: textbook.predict(net, path, out, size), folder)


def timed(predict, folder: Path) -> float:
    """Seconds of predict(path, out) for all photos of a folder, after one that is not counted."""
    with tempfile.TemporaryDirectory() as out:
        paths = sorted((folder / "train").iterdir())
        predict(paths[0], Path(out))
        started = time.perf_counter()
        for path in paths:
            predict(path, Path(out))
        return time.perf_counter() - started


def nets_alone(folder: Path, size: int, repeats: int) -> dict[str, float]:
    """Milliseconds for one picture in memory by the name of the engine, and for one of four at a time."""
    model, path = load_model(folder / f"net-{size}" / BEST), next((folder / "train").iterdir())
    net, frame = prediction.fast(model, "cpu"), Frame.of(size)
    inputs = frame.resize(read_photo(path, at_least=size))[None].repeat(4, axis=0)
    engines = {
        "PyTorch as it predicts (bf16, folded BatchNorm)": lambda _: frame_logits(net, inputs[:1], frame),
        "PyTorch, float32": export.predictor(model),
        "ONNX Runtime, float32": export.predictor(folder / f"net-{size}.onnx"),
        "four at a time": lambda _: frame_logits(net, inputs, frame),
    }
    table = comparison.latency(engines, np.ascontiguousarray(inputs[:1].transpose(0, 3, 1, 2)), repeats)
    found = dict(zip(table["net"], table["median_ms"], strict=True))
    return found | {"four at a time": found["four at a time"] / 4}


def measure(plan: Plan) -> Findings:
    """Folder and single photo beside the textbook, and the net alone in PyTorch and in ONNX Runtime."""
    found, sizes, count = Findings(), plan.pick((256,), (256, 512), (32,)), plan.pick(16, 64, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = repeat(plan.data, Path(name) / "photos", count)
        fresh(make_checkpoints, folder, sizes, plan.pick(60, 60, 1))
        for size in sizes:
            sides = {"folder": in_bulk, "photo": one_by_one, "textbook": by_the_textbook}
            seconds, peaks = alternate_fresh({k: (side, folder, size) for k, side in sides.items()}, plan.pick(2, 5, 1))
            alone = fresh(nets_alone, folder, size, plan.pick(15, 30, 1))[0]
            what, memory = f"native JPEG to mask PNG, net of {size} px", {"textbook_peak_mb": peaks["textbook"]}
            ratio = found.row(
                f"{what}, folder",
                "images/s",
                count / seconds["folder"],
                count / seconds["textbook"],
                1000 / alone.pop("four at a time"),
                "the net alone",
                peak_mb=peaks["folder"],
                **memory,
            )
            found.target(f"prediction, net of {size} px: times the textbook's images/s", ratio, at_least=2)
            each = (1000 * seconds[side] / count for side in ("photo", "textbook"))
            found.row(f"{what}, one photo", "ms", *each, peak_mb=peaks["photo"], **memory)
            for engine, milliseconds in alone.items():
                found.row(f"net of {size} px alone, one picture: {engine}", "ms", milliseconds)
    return found
