"""U-Net from scratch (Ronneberger, Fischer, Brox 2015, section 2), with padded convolutions and BatchNorm."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB, in 0..1, as the protocol has it
LEVELS = 4  # poolings, so sides must be divisible by 2**4


class Normalize(nn.Module):
    """Plain RGB 0..255 -> zero mean, unit variance. Part of the net, so that an exported net takes plain pictures."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images):
        return (images.float() - self.mean) / self.std


class DoubleConv(nn.Sequential):
    """Conv 3x3, BatchNorm, ReLU, twice. No bias before BatchNorm: it would be subtracted at once.

    `norm=False` leaves BatchNorm out, for comparison.
    """

    def __init__(self, inputs: int, outputs: int, norm: bool = True):
        layers = []
        for channels in (inputs, outputs):
            layers.append(nn.Conv2d(channels, outputs, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(outputs)] if norm else []
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class UNet(nn.Module):
    """Four poolings down, a bottleneck of 16 * base_channels, four transposed convolutions up, with skips.

    Takes images (B, 3, H, W), RGB 0..255, uint8 or float, H and W divisible by 16; gives logits (B, 1, H, W).
    With base_channels=64 it has 31,037,633 parameters. For comparison: `skips=False` cuts the skip connections,
    `norm=False` leaves BatchNorm out, `levels` is the number of poolings, and `bilinear=True` goes up by interpolation
    and a 1x1 convolution. Raises ValueError for a size that the poolings cannot halve.
    """

    def __init__(
        self,
        base_channels: int = 64,
        skips: bool = True,
        norm: bool = True,
        levels: int = LEVELS,
        bilinear: bool = False,
    ):
        super().__init__()
        widths = [base_channels * 2**level for level in range(levels + 1)]  # 64, 128, 256, 512, 1024
        upwards = widths[-2::-1]  # 512, 256, 128, 64
        self.base_channels, self.skips, self.levels = base_channels, skips, levels
        self.architecture = {
            "base_channels": base_channels,
            "skips": skips,
            "norm": norm,
            "levels": levels,
            "bilinear": bilinear,
        }
        self.normalize = Normalize()
        pairs = zip([3, *widths[:-2]], widths[:-1], strict=True)
        self.encoder = nn.ModuleList(DoubleConv(i, o, norm) for i, o in pairs)
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = DoubleConv(widths[-2], widths[-1], norm)
        self.up = nn.ModuleList(
            bilinear_up(w) if bilinear else nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in upwards
        )
        self.decoder = nn.ModuleList(DoubleConv(2 * w if skips else w, w, norm) for w in upwards)
        self.head = nn.Conv2d(base_channels, 1, 1)

    @property
    def stride(self) -> int:
        """What both sides of a picture must be divisible by: each pooling halves them."""
        return 2**self.levels

    def forward(self, images):
        if images.shape[-1] % 2**self.levels or images.shape[-2] % 2**self.levels:
            height, width = images.shape[-2:]
            raise ValueError(
                f"picture of {width}x{height}: both sides must be divisible by {2**self.levels}; resize or pad it"
            )
        x, skips = self.normalize(images), []
        for block in self.encoder:  # (B, 3, H, W) -> (B, c, H, W) -> (B, 2c, H/2, W/2) -> ... (B, 8c, H/8, W/8)
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)  # (B, 8c, H/16, W/16) -> (B, 16c, H/16, W/16)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips), strict=True):
            x = up(x)  # (B, 2k, h, w) -> (B, k, 2h, 2w)
            x = block(torch.cat([skip, x], dim=1) if self.skips else x)  # (B, 2k, 2h, 2w) -> (B, k, 2h, 2w)
        return self.head(x)  # (B, c, H, W) -> (B, 1, H, W)


def bilinear_up(outputs: int) -> nn.Sequential:
    """(B, 2k, h, w) -> (B, k, 2h, 2w): interpolation, then half the channels; instead of a transposed convolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2 * outputs, outputs, 1))


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def trace_shapes(model: UNet, image_size: int) -> list[dict]:
    """One dict a stage, in the order of the forward pass: stage, channels, size (pixels a side), parameters.

    Read off the model itself by hooks, on the meta device, so that it costs no time and no memory.
    """
    stages = [*((f"encoder {i + 1}", m) for i, m in enumerate(model.encoder)), ("bottleneck", model.bottleneck)]
    for i, (up, block) in enumerate(zip(model.up, model.decoder, strict=True)):
        stages += [(f"up {len(model.up) - i}", up), (f"decoder {len(model.up) - i}", block)]
    stages.append(("head", model.head))
    rows, hooks = [], []
    for stage, module in stages:

        def record(module, inputs, output, stage=stage):
            rows.append(
                {
                    "stage": stage,
                    "channels": output.shape[1],
                    "size": output.shape[-1],
                    "parameters": count_parameters(module),
                }
            )

        hooks.append(module.register_forward_hook(record))
    on_meta(model, image_size)
    for hook in hooks:
        hook.remove()
    return rows


def on_meta(model: nn.Module, image_size: int):
    """Run a forward pass of one picture without data: `functional_call` with shapes instead of numbers."""
    empty = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    return torch.func.functional_call(model, empty, torch.empty(1, 3, image_size, image_size, device="meta"))


def count_gflops(model: nn.Module, image_size: int) -> float:
    """Billions of floating-point operations of one forward pass of one picture (a multiply-add counts as two)."""
    training, counter = model.training, FlopCounterMode(display=False)
    with counter:
        on_meta(model.eval(), image_size)
    model.train(training)
    return counter.get_total_flops() / 1e9


def receptive_field(model: UNet) -> list[dict]:
    """How many pixels a side one output of each encoder stage can see: stage, pixels, stride.

    Every convolution adds (kernel - 1) * stride, every pooling as well and then doubles the stride
    (Araujo, Norris, Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks").
    """
    rows, pixels, stride = [], 1, 1
    for i, block in enumerate([*model.encoder, model.bottleneck]):
        if i:
            pixels, stride = pixels + (model.pool.kernel_size - 1) * stride, stride * model.pool.stride
        for layer in block:
            if isinstance(layer, nn.Conv2d):
                pixels += (layer.kernel_size[0] - 1) * stride
        rows.append(
            {"stage": f"encoder {i + 1}" if i < model.levels else "bottleneck", "pixels": pixels, "stride": stride}
        )
    return rows
