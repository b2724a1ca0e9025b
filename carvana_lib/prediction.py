"""From a trained net to the mask of any photo, at the photo's own size.

The net was trained on photos in a frame, so a photo is brought into it in the same way, and what the net says of the
frame is brought back to the photo's size. It is brought back as logits: they change evenly across an outline, so the
outline that is then drawn at logit 0 runs between the small pixels. A mask of 0 and 1 has only their stairs.
"""

import copy

import numpy as np
import torch
from torch import nn

from carvana_lib.device import make_accelerator
from carvana_lib.frame import Frame

# Blocks whose layers stand in the order in which they compute: ours, and those of timm's EfficientNets.
FOLDED = ("DoubleConv", "DepthwiseSeparableConv", "InvertedResidual")


def fast(model: nn.Module, device: str = "auto", precision: str = "auto") -> nn.Module:
    """A copy of a net for prediction: on the device, in the precision that is fast there, in channels-last memory. Each
    BatchNorm, at prediction a multiplication and an addition per channel, is folded into the convolution before it: 8
    to 10 % less time on two CPU cores. The copy can predict, and nothing else. Raises ParameterError for a device or
    precision that is not there. Taught in 06.
    """
    net = copy.deepcopy(model).eval()
    for block in net.modules():
        if type(block).__name__ in FOLDED:
            _fold(block)
    accelerator = make_accelerator(device, precision, model)
    return accelerator.prepare_model(net.to(memory_format=torch.channels_last), evaluation_mode=True)


def _fold(block: nn.Module) -> None:
    """Fold each BatchNorm of a block into the convolution before it; a block without any stays as it is."""
    before = None
    for name, layer in block.named_children():
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            fused = nn.utils.fuse_conv_bn_eval(before, layer)
            before.weight = fused.weight
            before.bias = fused.bias
            setattr(block, name, getattr(layer, "act", nn.Identity()))  # timm's BatchNorm holds the function behind it
        before = layer


@torch.inference_mode()
def net_logits(model: nn.Module, photos: np.ndarray, flip: bool = False) -> np.ndarray:
    """(B, H, W, 3) uint8 RGB of any size -> logits (B, H, W) float32. Sides that the poolings cannot halve are padded
    by repeating the edge, and cut again. `flip` averages with the mirror image, and does it on logits, so that one
    picture of them, in one scale, goes on to the photo's size. Taught in 06.
    """
    height, width = photos.shape[1:3]
    padded = np.pad(photos, ((0, 0), (0, -height % model.stride), (0, -width % model.stride), (0, 0)), mode="edge")
    device = next(model.parameters(), torch.empty(0)).device
    images = torch.from_numpy(padded).to(device).permute(0, 3, 1, 2)  # channels last in memory, as `fast` likes it
    logits = model.eval()(images).float()
    if flip:
        logits = (logits + model(images.flip(-1)).float().flip(-1)) / 2
    return logits[:, 0, :height, :width].cpu().numpy()


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits -> probability, float32, any shape. Taught in 06."""
    return torch.from_numpy(logits).sigmoid().numpy()


def photo_logits(model, photo: np.ndarray, frame: Frame, flip: bool = False) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> logits (H, W) float32; `frame` is that of the training, `params.frame`. The model
    runs where it is; `fast(model)` is quicker for more than one photo. Taught in 06.
    """
    return frame.restore(net_logits(model, frame.resize(photo)[None], flip)[0], photo.shape[:2])


def probability(model, photo: np.ndarray, frame: Frame, flip: bool = False) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> probability of the car (H, W) float32; the car is where it is at least 0.5. Taught
    in 06.
    """
    return sigmoid(photo_logits(model, photo, frame, flip))
