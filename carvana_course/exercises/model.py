"""Exercises of notebook 02: sizes, parameters, skips, receptive fields, what follows; with the typical mistakes."""

import pandas as pd
import torch
from torch import nn

from carvana_course.exercises.checks import Exercise
from carvana_course.exercises.letters import choose_letters
from carvana_lib.model import DoubleConv, UNet, count_parameters

PARAMETERS_8 = Exercise(
    "parameters_8", count_parameters(UNet(8)),
    mistakes={
        "quarter": (lambda: count_parameters(UNet(16)) / 4,
            "Very close: a quarter of what 16 channels have. Most layers grow with the square of the channels, but the "
            "first convolution, BatchNorm and the head do not; let count_parameters tell."),
        "sixty-fourth": (lambda: count_parameters(UNet(64)) / 64,
            "Very close: an eighth of the channels, squared. But the first convolution, BatchNorm and the head grow "
            "more slowly; let count_parameters tell."),
        "half": (lambda: count_parameters(UNet(16)) / 2,
            "Half the channels are not half the parameters: a convolution has inputs times outputs, and both halve."),
        "16 channels": (lambda: count_parameters(UNet(16)), "That is the net with base_channels=16."),
        "no skips": (lambda: count_parameters(UNet(8, skips=False)), "That is the net without its skip connections."),
    },
)

PADDED_SIDE = Exercise(
    "padded_side", lambda side: -(-side // 16) * 16,
    cases={f"{side} pixels": (side,) for side in (100, 1918, 1280, 128, 17, 15, 1)},
    mistakes={
        "rounded down": (lambda side: side // 16 * 16, "Rounded down: that would cut pixels off, not add any."),
        "always more": (lambda side: side // 16 * 16 + 16,
            "A side that 16 divides already, such as 128, needs no padding; yours gets 16 pixels more."),
        "nearest": (lambda side: round(side / 16) * 16, "The nearest multiple is sometimes below; always round up."),
        "only the padding": (lambda side: -side % 16, "That is how much to add; return how long the side is then."),
        "power of two": (lambda side: 1 << (side - 1).bit_length(),
            "Any multiple of 16 will do; it need not be a power of two, so 1918 needs 1920 and not 2048."),
        "32": (lambda side: -(-side // 32) * 32, "Four poolings halve four times: 2 to the power of 4 is 16, not 32."),
        "8": (lambda side: -(-side // 8) * 8, "Four poolings halve four times: 2 to the power of 4 is 16, not 8."),
    },
)

DOUBLE_CONV_PARAMETERS = Exercise(
    "double_conv_parameters", lambda inputs, outputs: count_parameters(DoubleConv(inputs, outputs)),
    cases={f"{i} to {o} channels": (i, o) for i, o in ((3, 16), (16, 32), (1024, 512), (5, 7))},
    mistakes={
        "with bias": (lambda i, o: 9 * i * o + 9 * o * o + 6 * o,
            "You counted a bias for each convolution; before BatchNorm there is none: it would be subtracted."),
        "one pair": (lambda i, o: 9 * i * o + 9 * o * o + 2 * o,
            "2 x outputs too few: each of the two BatchNorms has a scale and a shift per channel. (If those are biases "
            "that you counted: there are none.)"),
        "no BatchNorm": (lambda i, o: 9 * i * o + 9 * o * o,
            "The convolutions are right. BatchNorm learns too: a scale and a shift for each channel, twice."),
        "one number": (lambda i, o: 9 * i * o + 9 * o * o + o,
            "The convolutions are right. A BatchNorm learns two numbers per channel, and there are two of them."),
        "running": (lambda i, o: 9 * i * o + 9 * o * o + 8 * o,
            "You counted the running mean and variance; they are measured, not learned, so they are not parameters."),
        "one convolution": (lambda i, o: 9 * i * o + 2 * o, "That is one half of the block: everything comes twice."),
        "same inputs": (lambda i, o: 18 * i * o + 4 * o,
            "The second convolution does not see the inputs any more: it goes from outputs to outputs."),
        "reversed": (lambda i, o: 9 * i * o + 9 * i * i + 4 * o,
            "The channels change in the first convolution; the second goes from outputs to outputs."),
        "3": (lambda i, o: 3 * i * o + 3 * o * o + 4 * o, "A 3x3 kernel has nine weights, not three."),
        "one picture": (lambda i, o: 9 * (i + o) + 4 * o,
            "Every output channel has a kernel for every input channel: multiply them."),
    },
)


def tensors(seed: int, *shapes) -> list[torch.Tensor]:
    """Random tensors of these shapes."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def up(x):
    """Stands for the transposed convolution: (B, 2k, h, w) -> (B, k, 2h, 2w)."""
    return nn.functional.interpolate(x[:, ::2] - x[:, 1::2], scale_factor=2)


def block(x):
    """Stands for the double convolution; takes any channels and depends on their order."""
    return x.cumsum(1).relu()


DECODER_STEP = Exercise(
    "decoder_step", lambda skip, below, up, block: block(torch.cat([skip, up(below)], dim=1)),
    cases={"4 channels": (*tensors(0, (2, 4, 8, 12), (2, 8, 4, 6)), up, block),
           "2 channels": (*tensors(1, (2, 2, 6, 4), (2, 4, 3, 2)), up, block)},
    mistakes={
        "added": (lambda skip, below, up, block: block(skip + up(below)),
            "You added the two; a U-Net concatenates them (torch.cat), and the block learns how to mix them. "
            "Adding is what a ResNet does."),
        "batch": (lambda skip, below, up, block: block(torch.cat([skip, up(below)])),
            "Concatenated along dimension 0 they become more pictures; channels are dimension 1."),
        "height": (lambda skip, below, up, block: block(torch.cat([skip, up(below)], 2)),
            "Dimension 2 is the height: the feature maps end up one above the other. Channels are dimension 1."),
        "width": (lambda skip, below, up, block: block(torch.cat([skip, up(below)], -1)),
            "The last dimension is the width: the feature maps end up next to each other. Channels are dimension 1."),
        "order": (lambda skip, below, up, block: block(torch.cat([up(below), skip], 1)),
            "It would learn just as well, but the course puts the skip first, and saved weights depend on the order."),
        "no skip": (lambda skip, below, up, block: block(up(below)), "`skip` is not used: outlines will be blurred."),
        "no block": (lambda skip, below, up, block: torch.cat([skip, up(below)], 1),
            "Concatenated, but not mixed yet: the block comes after that."),
        "block first": (lambda skip, below, up, block: torch.cat([skip, block(up(below))], 1),
            "The block has to see the skip too: concatenate first, then apply the block."),
    },
)


def field_of(layers, start=1, add=lambda kernel: kernel - 1, stride_first=False, strides=lambda a, b: a * b) -> int:
    """The receptive field of (kernel, stride) layers, and, with other arguments, what goes wrong with it."""
    pixels = start
    distance = 1  # between neighbours, in pixels of the input
    for kernel, stride in layers:
        if stride_first:
            distance = strides(distance, stride)
        pixels += add(kernel) * distance
        if not stride_first:
            distance = strides(distance, stride)
    return pixels


CONV = (3, 1)  # kernel, stride
POOL = (2, 2)

RECEPTIVE_FIELD = Exercise(
    "receptive_field", field_of,
    cases={"one 3x3 convolution": ([CONV],), "two of them": ([CONV] * 2,), "a pooling between": ([CONV, POOL, CONV],),
           "the U-Net down to its bottleneck": (([CONV] * 2 + [POOL]) * 4 + [CONV] * 2,),
           "ResNet's first layers": ([(7, 2), (3, 2), CONV, (1, 1)],), "no layer": ([],)},
    mistakes={
        "kernel": (lambda layers: field_of(layers, add=lambda kernel: kernel),
            "A 3x3 convolution adds 2 pixels, not 3: the one in the middle was seen already."),
        "half": (lambda layers: field_of(layers, add=lambda kernel: kernel // 2),
            "A kernel reaches out to both sides: 3x3 adds one pixel on the left and one on the right."),
        "from zero": (lambda layers: field_of(layers, start=0), "Start from 1: without any layer a pixel sees itself."),
        "no stride": (lambda layers: field_of(layers, strides=lambda a, b: 1),
            "After a pooling, neighbours are two input pixels apart, so a kernel there reaches twice as far."),
        "stride too early": (lambda layers: field_of(layers, stride_first=True),
            "A layer's own stride acts on the layers after it: add its pixels first, then multiply."),
        "strides added": (lambda layers: field_of(layers, strides=lambda a, b: a + b - 1),
            "Strides multiply: after two poolings of stride 2 neighbours are 4 pixels apart, after four 16."),
        "last stride": (lambda layers: field_of(layers, strides=lambda a, b: b),
            "You took the stride of the layer just before; all strides up to here count, multiplied."),
        "no pooling": (lambda layers: field_of(layers, add=lambda kernel: kernel - 1 if kernel != 2 else 0),
            "A pooling looks at more than one pixel too: it adds (kernel - 1) x stride like any layer."),
        "multiplied": (lambda layers: int(torch.tensor([k for k, _ in layers]).prod()),
            "Kernels do not multiply: each adds (kernel - 1) times the strides so far."),
    },
)

WORTH = pd.DataFrame(  # of notebook 02's `overfit` with these seeds and learning rates, on a CPU
    [
        ("all parts", "0.967, 0.940, 0.954", "0.963, 0.915, 0.947"),
        ("no BatchNorm", "0.647, 0.643, 0.758", "0.694, 0.628, 0.711"),
        ("two levels", "0.927, 0.958, 0.954", "0.663, 0.939, 0.931"),
        ("bilinear", "0.971, 0.956, 0.959", "0.972, 0.958, 0.951"),
    ],
    columns=["net", "seeds 0, 1 and 2 at 0.002", "seeds 0, 1 and 2 at 0.0005"],
)

WORTH_CLAIMS = pd.DataFrame(
    [
        ("A", "Without BatchNorm, a U-Net cannot memorise the eight pictures."),
        ("B", "At a learning rate of 0.002, BatchNorm makes the first 40 steps more effective."),
        ("C", "At 0.002, four levels learn faster than two: 0.967 against 0.927."),
        ("D", "Two levels are enough for cars that the net has not seen."),
        ("E", "At 0.002, replacing the transposed convolutions by interpolation costs nothing in the first 40 steps."),
        ("F", "What holds of two levels at 0.002 holds at 0.0005 as well."),
    ],
    columns=["claim", "it says"],
)


WHAT_FOLLOWS = choose_letters(
    "what_follows", "BE", "ABCDEF", "claim",
    hints={
        "A": "A: it has not done so after 40 steps, at two rates. \"Cannot\" would need more of both.",
        "C": "C: with seed 0. With seed 1 it is the other way round, and with seed 2 they are even.",
        "D": "D: these are eight pictures that the net trained on. They say nothing about new cars.",
        "F": "F: look at seed 0. At the lower rate two levels are far behind.",
        "not B": "B: with each of three seeds the net without is behind by more than any two seeds of one net differ.",
        "not E": "E: with each of the three seeds, interpolation scored no lower.",
        "C and D": ("BCDE", "One seed is not three, and eight memorised pictures are not new cars."),
        "all": ("ABCDEF",
            "Some claim more than 40 steps, three seeds and two rates on eight pictures can show."),
        "none": ("", "Two of them keep to what was measured: the rate, the steps, and all three seeds."),
    },
)
