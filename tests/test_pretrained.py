import urllib.error

import pytest
import torch
from torchvision.models import vgg13_bn

from carvana_course import pretrained
from carvana_lib import CheckpointError
from carvana_lib.checkpoints import make_model
from carvana_lib.model import UNet


def test_the_encoder_computes_what_vgg_computes(monkeypatch, params):
    torch.manual_seed(0)
    vgg = vgg13_bn(weights=None)
    for layer in vgg.features.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
        elif isinstance(layer, torch.nn.Conv2d):
            layer.bias.data.normal_()
    monkeypatch.setattr(pretrained, "imagenet_vgg", lambda: vgg)
    model = make_model(params.replace(base_channels=64, start_from=pretrained.VGG)).eval()
    fresh = make_model(params.replace(base_channels=64))
    assert torch.equal(model.head.weight, fresh.head.weight), "the rest starts as it would"
    x = model.normalize(torch.randint(0, 256, (1, 3, 48, 32), dtype=torch.uint8))
    with torch.inference_mode():
        theirs, ours = vgg.eval().features[:27](x), x  # up to the ReLU before the fourth pooling
        for i, block in enumerate(model.encoder):
            ours = block(model.pool(ours) if i else ours)
    assert ours.shape == theirs.shape == (1, 512, 6, 4)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_another_width_is_refused_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr(pretrained, "imagenet_vgg", lambda: pytest.fail("508 MB for nothing"))
    with pytest.raises(CheckpointError, match="fits base_channels=64, not 16"):
        pretrained.take_encoder(UNet(16))


def test_a_name_that_is_no_run_and_nothing_known_is_refused(params):
    for name in ("torchvision/vgg16", "vgg13_bn", "../tiny"):
        fault = f"start_from='{name}' is no trained run; train it, or take torchvision/vgg13_bn$"
        with pytest.raises(CheckpointError, match=fault):
            make_model(params.replace(start_from=name))


def test_without_network_one_sentence_says_what_is_needed(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"needs https://download.pytorch.org/\S+\.pth.*no network.*checkpoints"):
        pretrained.imagenet_vgg()
