"""An encoder that has seen ImageNet: TernausNet's idea (Iglovikov, Shvets 2018, section 2), with VGG-13.

Importing this makes VGG a name that the parameter start_from may have.
"""

import torch
from torch import nn

from carvana_lib import CheckpointError
from carvana_lib.checkpoints import STARTS
from carvana_lib.model import UNet

VGG = "torchvision/vgg13_bn"  # as start_from; no run can have this name


def imagenet_vgg() -> nn.Module:
    """torchvision's VGG-13 with BatchNorm, 508 MB, fetched once.

    Raises CheckpointError where it cannot be had.
    """
    from torchvision.models import VGG13_BN_Weights, vgg13_bn

    weights = VGG13_BN_Weights.IMAGENET1K_V1
    try:
        return vgg13_bn(weights=weights, progress=False)
    except (OSError, RuntimeError) as error:  # no network; a file that was cut off
        raise CheckpointError(
            f"start_from='{VGG}' needs {weights.url}, which cannot be fetched ({error}); go on line, or put that "
            f"file into {torch.hub.get_dir()}/checkpoints"
        ) from None


def take_encoder(model: UNet) -> UNet:
    """Copy VGG's first four stages into the encoder of a U-Net of base_channels=64, and return it.

    Stage for stage both are Conv 3x3, BatchNorm, ReLU, twice, with 64, 128, 256, 512 channels, and both normalise
    pictures alike (Simonyan, Zisserman 2015, table 1, B). VGG's convolutions have a bias, which goes into the running
    mean that follows it. Raises CheckpointError for a U-Net of another width, before anything is fetched, and where the
    weights cannot be had.
    """
    width = model.architecture["base_channels"]
    if width != 64:
        raise CheckpointError(f"start_from='{VGG}' fits base_channels=64, not {width}")
    theirs = [layer for layer in imagenet_vgg().features if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    ours = [layer for block in model.encoder for layer in block if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    for layer, source in zip(ours, theirs, strict=False):  # VGG goes on after the four stages
        if isinstance(layer, nn.Conv2d):
            layer.load_state_dict({"weight": source.weight})
            bias = source.bias.detach()
        else:
            layer.load_state_dict(source.state_dict())
            layer.running_mean -= bias
    return model


STARTS[VGG] = take_encoder
