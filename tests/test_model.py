import numpy as np
import pytest
import torch
from torch import nn

from carvana_course.show.anatomy import count_gflops, receptive_field, trace_shapes
from carvana_lib import CheckpointError
from carvana_lib.checkpoints import load_model, save_checkpoint
from carvana_lib.model import MEAN, STD, Normalize, UNet, count_parameters
from carvana_lib.prediction import fast, net_logits
from carvana_lib.runs import BEST, LAST


def test_parameters_are_the_published_number():
    assert count_parameters(UNet(64)) == 31_037_633
    assert sum(row["parameters"] for row in trace_shapes(UNet(64), 256)) == 31_037_633


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 48), (64, 16)])
def test_logits_have_the_size_of_the_picture(height, width):
    net = UNet(2).eval()
    assert net(torch.zeros(2, 3, height, width, dtype=torch.uint8)).shape == (2, 1, height, width)


def test_a_size_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="picture of 40x32: both sides must be divisible by 16"):
        UNet(2)(torch.zeros(1, 3, 32, 40))


def test_bytes_and_floats_mean_the_same():
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    net = UNet(2).eval()
    assert torch.equal(net(images), net(images.float()))


def test_normalisation_is_the_protocols():
    images = torch.rand(2, 3, 4, 4)
    expected = torch.stack([(images[:, c] - MEAN[c]) / STD[c] for c in range(3)], dim=1)
    assert torch.allclose(Normalize()(images * 255), expected, atol=1e-5)


def test_skips_carry_detail_and_can_be_cut():
    with_skips, without = UNet(4), UNet(4, skips=False)
    assert count_parameters(without) < count_parameters(with_skips)
    assert without(torch.zeros(2, 3, 16, 16)).shape == (2, 1, 16, 16)


def test_shapes_are_traced_without_touching_the_model():
    net = UNet(4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    rows = {row["stage"]: row for row in trace_shapes(net, 64)}
    assert rows["encoder 1"]["size"] == 64 and rows["bottleneck"] == rows["bottleneck"] | {"channels": 64, "size": 4}
    assert rows["decoder 1"]["channels"] == 4 and rows["head"]["channels"] == 1
    assert net.training and all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())


def test_gflops_of_a_convolution_are_counted_right():
    layer = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert count_gflops(layer, 32) == pytest.approx(2 * 3 * 3 * 3 * 5 * 32 * 32 / 1e9)


def test_the_receptive_field_is_what_the_gradient_reaches():
    """Count the input pixels that one output of each stage really depends on, without ReLU and BatchNorm."""
    net = UNet(1)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    for rows in receptive_field(net)[:4]:
        x = torch.ones(1, 3, 256, 256, requires_grad=True)
        y = x
        for i, block in enumerate(net.encoder):
            if i:
                y = nn.functional.avg_pool2d(y, 2)  # max would hide pixels that lost
            for layer in block:
                y = layer(y) if isinstance(layer, nn.Conv2d) else y
            if f"encoder {i + 1}" == rows["stage"]:
                break
        middle = y.shape[-1] // 2
        y[0, 0, middle, middle].backward()
        assert (x.grad[0, 0].abs().sum(0) > 0).sum() == rows["pixels"]


@pytest.mark.parametrize("variant", [{"skips": False}, {"norm": False}, {"levels": 2}, {"bilinear": True}])
def test_variants_for_comparison_compute_and_differ_in_what_they_say(variant):
    net, plain = UNet(4, **variant), UNet(4)
    assert net(torch.zeros(2, 3, 32, 48)).shape == (2, 1, 32, 48)
    assert count_parameters(net) != count_parameters(plain)
    kinds = {type(module) for module in net.modules()}
    assert (torch.nn.BatchNorm2d in kinds) == variant.get("norm", True)
    assert (torch.nn.ConvTranspose2d in kinds) != variant.get("bilinear", False)
    assert len(trace_shapes(net, 32)) == 3 * variant.get("levels", 4) + 2
    assert receptive_field(net)[-1]["stage"] == "bottleneck"


def test_fewer_levels_ask_for_less_divisible_sides():
    assert UNet(4, levels=2)(torch.zeros(1, 3, 20, 12)).shape == (1, 1, 20, 12)
    with pytest.raises(ValueError, match="divisible by 4"):
        UNet(4, levels=2)(torch.zeros(1, 3, 18, 12))


VARIANTS = [
    {},
    {"skips": False},
    {"norm": False},
    {"levels": 2},
    {"levels": 5},
    {"bilinear": True},
    {"skips": False, "norm": False, "levels": 1, "bilinear": True},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_variant_is_folded_saved_and_loaded(variant, params, tmp_path):
    torch.manual_seed(0)
    net = UNet(4, **variant).eval()
    for layer in net.modules():  # statistics as after training: not 0 and 1
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 2)
    photo = np.random.default_rng(0).integers(0, 256, (1, 70, 50, 3), dtype=np.uint8)
    expected = net_logits(net, photo)
    assert expected.shape == (1, 70, 50) and expected.std() > 0
    folded = fast(net, "cpu", "float32")
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert np.abs(net_logits(folded, photo) - expected).max() < 1e-4
    save_checkpoint(tmp_path, net, {}, [{"val_miou": 0.5}], params, "pictures")
    for name in (LAST, BEST):
        loaded = load_model(tmp_path / name)
        assert loaded.architecture == {**UNet(4).architecture, **variant}
        assert (net_logits(loaded, photo) == expected).all()


def test_weights_of_another_net_are_called_so(params, tmp_path):
    save_checkpoint(tmp_path, UNet(4), {}, [{"val_miou": 0.5}], params, "pictures")
    state = torch.load(tmp_path / BEST, weights_only=True)
    torch.save(state | {"architecture": UNet(4, levels=2).architecture}, tmp_path / BEST)
    with pytest.raises(CheckpointError, match="do not fit its net, .*'levels': 2"):
        load_model(tmp_path / BEST)


def test_a_net_of_a_later_version_is_called_so_and_one_of_an_earlier_is_read(params, tmp_path):
    net = UNet(4)
    save_checkpoint(tmp_path, net, {}, [{"val_miou": 0.5}], params, "pictures")
    state = torch.load(tmp_path / BEST, weights_only=True)
    torch.save(state | {"architecture": {"base_channels": 4, "skips": True}}, tmp_path / BEST)
    assert load_model(tmp_path / BEST).architecture == net.architecture
    for later in ({"base_channels": 4, "attention": True}, {"encoder": "resnet18", "attention": True}):
        torch.save(state | {"architecture": later}, tmp_path / BEST)
        with pytest.raises(CheckpointError, match="is a net of a later version, .*'attention': True.*; update the"):
            load_model(tmp_path / BEST)
