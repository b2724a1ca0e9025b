"""U-Net from scratch (Ronneberger, Fischer, Brox 2015, section 2), with padded convolutions and BatchNorm."""

import torch
from torch import nn

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB, in 0..1, as the protocol has it
STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """Plain RGB 0..255 -> zero mean, unit variance. In the net, so that exports take plain pictures. Taught in 01."""

    def __init__(self, mean: tuple = MEAN, std: tuple = STD):
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images):
        return (images.float() - self.mean) / self.std


class DoubleConv(nn.Sequential):
    """Conv 3x3, BatchNorm, ReLU, twice: (B, inputs, H, W) -> (B, outputs, H, W). Taught in 02."""

    def __init__(self, inputs: int, outputs: int, norm: bool = True):
        layers = []
        for channels in (inputs, outputs):  # no bias before BatchNorm: it would be subtracted at once
            layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(outputs))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class UNet(nn.Module):
    """Poolings down, a bottleneck, transposed convolutions up, with skip connections: images (B, 3, H, W), RGB 0..255,
    uint8 or float, H and W divisible by `stride` -> logits (B, 1, H, W). With 64 base_channels it has 31,037,633
    parameters. For comparison `skips` and BatchNorm (`norm`) can be cut, `levels` is the number of poolings, `bilinear`
    goes up by interpolation and a 1x1 convolution. Raises ValueError for a size that cannot be halved. Taught in 02.
    """

    def __init__(self, base_channels: int = 64, skips=True, norm=True, levels: int = 4, bilinear=False):
        super().__init__()
        self.architecture = {"base_channels": base_channels, "skips": skips, "norm": norm, "levels": levels}
        self.architecture["bilinear"] = bilinear  # with these, UNet(**architecture) is the same net again
        self.stride = 2**levels  # pixels of the picture per pixel at the bottleneck
        widths = [base_channels * 2**level for level in range(levels + 1)]  # 64, 128, 256, 512, 1024
        upwards = widths[-2::-1]  # 512, 256, 128, 64
        self.normalize = Normalize()
        pairs = zip([3, *widths[:-2]], widths[:-1], strict=True)
        self.encoder = nn.ModuleList(DoubleConv(i, o, norm) for i, o in pairs)
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = DoubleConv(widths[-2], widths[-1], norm)
        self.up = nn.ModuleList(_make_up(w, bilinear) for w in upwards)
        self.decoder = nn.ModuleList(DoubleConv(2 * w if skips else w, w, norm) for w in upwards)
        self.head = nn.Conv2d(base_channels, 1, 1)

    def forward(self, images):
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            rule = f"both sides must be divisible by {self.stride}"
            raise ValueError(f"picture of {width}x{height}: {rule}; resize or pad it")
        x = self.normalize(images)
        skips = []
        for block in self.encoder:  # (B, 3, H, W) -> (B, c, H, W) -> (B, 2c, H/2, W/2) -> ... (B, 8c, H/8, W/8)
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)  # (B, 8c, H/16, W/16) -> (B, 16c, H/16, W/16)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            x = up(x)  # (B, 2k, h, w) -> (B, k, 2h, 2w)
            if self.architecture["skips"]:
                x = torch.cat([skip, x], dim=1)  # (B, 2k, 2h, 2w)
            x = block(x)  # -> (B, k, 2h, 2w)
        return self.head(x)  # (B, c, H, W) -> (B, 1, H, W)


def _make_up(outputs: int, bilinear: bool) -> nn.Module:
    """(B, 2k, h, w) -> (B, k, 2h, 2w): a transposed convolution, or interpolation and then half the channels."""
    if bilinear:
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2 * outputs, outputs, 1))
    return nn.ConvTranspose2d(2 * outputs, outputs, 2, stride=2)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers. Taught in 02."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
