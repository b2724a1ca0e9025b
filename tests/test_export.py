"""The exported files: the same net as PyTorch's, in one file, for any number and size of pictures."""

import json
import logging
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from conftest import ROOT

from carvana_course.deployment import comparison, export
from carvana_course.deployment.int8 import to_int8
from carvana_lib import CheckpointError, ParameterError, RunError
from carvana_lib.frame import Frame
from carvana_lib.model import UNet

onnx = pytest.importorskip("onnx")


def noise(*shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def make_net(seed: int = 0, **variant) -> UNet:
    """A small net whose BatchNorm has seen pictures, so that folding it matters, and whose probabilities vary."""
    torch.manual_seed(seed)
    model = UNet(4, **variant)
    torch.nn.init.normal_(model.head.weight, std=4)
    for step in range(3):
        model(torch.from_numpy(noise(4, 3, 64, 64, seed=step)))
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return make_net()


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """{suffix: file} of the net in both kinds, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("export")
    paths = {".onnx": folder / "onnx" / "model.onnx", ".pt2": folder / "pt2" / "model.pt2"}
    export.to_onnx(model, paths[".onnx"], Frame.of(64))
    export.to_torch_export(model, paths[".pt2"], Frame.of(64))
    return paths


each_kind = pytest.mark.parametrize("kind", [".onnx", ".pt2"])


@each_kind
@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 64, 64), (3, 48, 160), (2, 128, 96)])
def test_any_number_and_size_agrees_with_pytorch(model, files, kind, shape):
    batch, height, width = shape
    pictures = noise(batch, 3, height, width, seed=height)
    found = export.parity(model, files[kind], pictures)
    assert found["largest_difference"] < 1e-5 and found["pictures"] == batch
    assert found["pixels_that_differ"] == 0 and found["mask_pixels"] == batch * height * width
    probability = export.predictor(files[kind])(pictures)
    assert probability.shape == (batch, 1, height, width) and probability.dtype == np.float32
    with torch.inference_mode():
        expected = model(torch.from_numpy(pictures)).sigmoid().numpy()
    assert np.abs(probability - expected).max() < 1e-5 and probability.std() > 0.05
    assert found["pixels_that_could"] == (np.abs(expected - 0.5) < export.TOLERANCE).sum()


VARIANTS = [
    {"norm": False},
    {"skips": False},
    {"levels": 1},
    {"levels": 2},
    {"levels": 5},
    {"bilinear": True},
    {"norm": False, "skips": False, "levels": 5, "bilinear": True},
]
EXPORTS = {".onnx": export.to_onnx, ".pt2": export.to_torch_export}


@each_kind
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(f"{k}={v}" for k, v in variant.items()))
def test_every_variant_of_the_net_is_exported_with_its_own_stride(tmp_path, kind, variant):
    net, path = make_net(**variant), tmp_path / f"net{kind}"
    stride = 2 ** variant.get("levels", 4)
    EXPORTS[kind](net, path, Frame.of(4 * stride))
    for batch, height, width in ((1, 2, 3), (3, 5, 2)):
        pictures = noise(batch, 3, height * stride, width * stride)
        found = export.parity(net, path, pictures)
        assert found["largest_difference"] < 1e-5 and found["mask_pixels"] == batch * height * width * stride**2
    predict = export.predictor(path)
    for height, width in ((stride, 4 * stride), (4 * stride, 4 * stride + stride // 2)):
        words = rf"divisible by {stride} and at least {2 * stride}, these are \(1, 3, {height}, {width}\)"
        for one in (predict, export.predictor(net)):
            with pytest.raises(CheckpointError, match=words):
                one(noise(1, 3, height, width))


@each_kind
def test_a_file_names_the_variant(tmp_path, kind):
    path = tmp_path / f"net{kind}"
    EXPORTS[kind](make_net(levels=2, bilinear=True), path, Frame.of(64))
    if kind == ".onnx":
        facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    else:
        extra = {"facts.json": ""}
        torch.export.load(path, extra_files=extra)
        facts = json.loads(extra["facts.json"])
    assert facts["stride"] == "4" and "sides divisible by 4" in facts["images"]
    architecture = {name: facts[name] for name in ("base_channels", "skips", "norm", "levels", "bilinear")}
    assert list(architecture.values()) == ["4", "True", "True", "2", "True"]


def test_int8_takes_the_sides_of_its_net(tmp_path):
    net = make_net(levels=2)
    export.to_onnx(net, tmp_path / "net.onnx", Frame.of(64))
    with pytest.raises(CheckpointError, match=r"divisible by 4 and at least 8, these are \(1, 3, 10, 12\)"):
        to_int8(tmp_path / "net.onnx", tmp_path / "int8.onnx", noise(1, 3, 10, 12))
    to_int8(tmp_path / "net.onnx", tmp_path / "int8.onnx", noise(4, 3, 12, 20))
    assert export.parity(net, tmp_path / "int8.onnx", noise(1, 3, 12, 28), tolerance=1)["mask_pixels"] == 12 * 28


@each_kind
@pytest.mark.parametrize(("levels", "image_size"), [(4, 16), (4, 40), (5, 48), (2, 4)])
def test_a_size_that_does_not_fit_the_net_is_not_traced(tmp_path, kind, levels, image_size):
    words = (
        rf"image_size={image_size} does not fit this net: .* divisible by {2**levels} and at least {2 ** (levels + 1)}$"
    )
    with pytest.raises(ParameterError, match=words):
        EXPORTS[kind](UNet(4, levels=levels), tmp_path / "net", Frame.of(image_size))
    assert not list(tmp_path.iterdir())


@each_kind
def test_a_net_that_does_not_say_its_stride_is_refused(tmp_path, kind):
    for net in (torch.nn.Sequential(), torch.nn.Conv2d(3, 1, 1)):  # a convolution has a stride, of another kind
        words = f"{type(net).__name__} does not say by what the sides .* must be divisible; give it .* `stride`"
        with pytest.raises(CheckpointError, match=words):
            EXPORTS[kind](net, tmp_path / "net", Frame.of(64))
        with pytest.raises(CheckpointError, match=words):
            export.predictor(net)


@each_kind
def test_a_file_that_does_not_say_its_stride_is_refused(model, files, tmp_path, kind):
    path = tmp_path / f"mute{kind}"
    if kind == ".onnx":
        proto = onnx.load(files[kind])
        del proto.metadata_props[:]
        onnx.save(proto, path)
        with pytest.raises(CheckpointError, match="mute.onnx does not say by what"):
            to_int8(path, tmp_path / "int8.onnx", noise(1, 3, 64, 64))
    else:
        torch.export.save(torch.export.load(files[kind]), path)
    with pytest.raises(CheckpointError, match=f"mute{kind} does not say by what the sides .* export the net again"):
        export.predictor(path)


@each_kind
def test_another_net_is_found_out(files, kind):
    pictures = noise(2, 3, 64, 64)
    with pytest.raises(CheckpointError, match=rf"model{kind} differs from the net by up to 0\.\d+ .*export it again"):
        export.parity(make_net(seed=1), files[kind], pictures)
    assert export.parity(make_net(seed=1), files[kind], pictures, tolerance=1)["pixels_that_differ"] > 100


def test_a_small_change_of_one_weight_is_found_out(files):
    nearly = make_net()
    with torch.no_grad():
        nearly.head.bias += 0.01
    with pytest.raises(CheckpointError, match="0.001 is allowed"):
        export.parity(nearly, files[".onnx"], noise(1, 3, 64, 64))
    with torch.no_grad():
        nearly.head.bias.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="differs from the net by up to nan"):
        export.parity(nearly, files[".onnx"], noise(1, 3, 64, 64))


@each_kind
def test_it_is_one_file_without_this_machines_folders(files, kind):
    assert os.listdir(files[kind].parent) == [files[kind].name]
    content = files[kind].read_bytes()
    if kind == ".pt2":
        with zipfile.ZipFile(files[kind]) as archive:
            content = b"".join(map(archive.read, archive.namelist()))
    assert str(ROOT).encode() not in content and b"site-packages" not in content


def test_the_file_says_what_it_is(files):
    proto = onnx.load(files[".onnx"])
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["opset"] == str(proto.opset_import[0].version) == str(export.OPSET)
    assert (facts["torch"], facts["height"], facts["width"], facts["resize"]) == (
        torch.__version__.split("+")[0],
        "64",
        "64",
        "stretch",
    )
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["images", "probability"]
    sizes = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", 3, "16*height_16", "16*width_16"]
    extra = {"facts.json": ""}
    torch.export.load(files[".pt2"], extra_files=extra)
    assert json.loads(extra["facts.json"]) == facts


def test_exporting_is_quiet_repeatable_and_leaves_the_net_alone(model, files, tmp_path, capfd, recwarn, caplog):
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        export.to_onnx(model, tmp_path / "again.onnx", Frame.of(64))
        export.to_torch_export(model, tmp_path / "again.pt2", Frame.of(64))
        to_int8(tmp_path / "again.onnx", tmp_path / "int8.onnx", noise(4, 3, 64, 64))
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model.eval()
    assert (tmp_path / "again.onnx").read_bytes() == files[".onnx"].read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["again.onnx", "again.pt2", "int8.onnx"]
    assert capfd.readouterr() == ("", "") and not recwarn.list and not caplog.records


def test_int8_is_smaller_and_nearly_the_same(model, files, tmp_path):
    to_int8(files[".onnx"], tmp_path / "int8.onnx", noise(8, 3, 64, 64))
    assert (tmp_path / "int8.onnx").stat().st_size < 0.45 * files[".onnx"].stat().st_size
    pictures = noise(2, 3, 96, 64, seed=1)
    found = export.parity(model, tmp_path / "int8.onnx", pictures, tolerance=1)
    assert 1e-4 < found["largest_difference"] < 0.3
    assert found["pixels_that_differ"] < 0.05 * found["mask_pixels"]
    assert {e.key for e in onnx.load(tmp_path / "int8.onnx").metadata_props} >= {"torch", "commit", "opset"}


def test_nets_in_training_predict_as_in_evaluation(model):
    pictures = noise(2, 3, 64, 64)
    in_training = export.predictor(model.train())(pictures)
    assert (in_training == export.predictor(model.eval())(pictures)).all()


@each_kind
@pytest.mark.parametrize(
    "pictures",
    [noise(1, 3, 60, 64), noise(1, 3, 16, 64), noise(1, 64, 64, 3), noise(3, 64, 64), np.zeros((1, 3, 64, 64))],
    ids=["not 16ths", "too small", "channels last", "no batch", "float"],
)
def test_pictures_that_do_not_fit_are_explained(files, kind, pictures):
    with pytest.raises(CheckpointError, match=r"must be \(B, 3, H, W\) uint8 .*, these are \("):
        export.predictor(files[kind])(pictures)


@each_kind
def test_files_that_are_no_net_are_explained(files, kind, tmp_path):
    (tmp_path / f"text{kind}").write_text("not a net")
    (tmp_path / f"half{kind}").write_bytes(files[kind].read_bytes()[:5000])
    for name in ("text", "half", "missing"):
        with pytest.raises(CheckpointError, match=f"{name}{kind} cannot be loaded .*export the net again"):
            export.predictor(tmp_path / f"{name}{kind}")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [value], [])
    graph.output.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1]))
    opset = [onnx.helper.make_opsetid("", export.OPSET)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match="other.onnx takes x and not images: another net; export this one"):
        export.predictor(tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match="missing.onnx does not exist; write it with to_onnx"):
        to_int8(tmp_path / "missing.onnx", tmp_path / "int8.onnx", noise(1, 3, 64, 64))
    assert not (tmp_path / "int8.onnx").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write .*model.pt2"):
        export.to_torch_export(model, tmp_path / "file" / "model.pt2", Frame.of(64))


def test_functions_are_timed_in_turns_and_their_first_two_rounds_left_out(monkeypatch):
    now, calls, pictures = [0.0], [], noise(4, 3, 32, 32)
    seconds = {"a": iter([0, 0, 0.4, 0.04, 0.08]), "b": iter([9, 9, 4, 8, 80])}

    def timed(name):
        def predict(given):
            calls.append((name, len(given)))
            now[0] += next(seconds[name])

        return predict

    monkeypatch.setattr(comparison.time, "perf_counter", lambda: now[0])
    table = comparison.latency({name: timed(name) for name in seconds}, pictures, repeats=3).set_index("net")
    assert calls == [("a", 4), ("b", 4)] * 5
    assert table.loc["a"].tolist() == pytest.approx([20, 10]) and table.loc["b"].tolist() == pytest.approx([2000, 1000])


def test_importing_it_loads_no_onnx():
    code = "import sys, carvana_course.deployment.export; print([m for m in sys.modules if m.startswith('onnx')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
