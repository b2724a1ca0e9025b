"""What a net looks like from inside: shapes, operations and receptive fields, read off the net itself."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from carvana_lib.frame import Frame
from carvana_lib.model import UNet, count_parameters


def trace_shapes(model: UNet, image_size: int | list[int]) -> list[dict]:
    """One dict per stage, in the order of the forward pass: stage, channels, size (pixels a side, or
    height and width), parameters.

    Read by hooks, on the meta device, so that it costs no time and no memory.
    """
    stages = {f"encoder {i}": block for i, block in enumerate(model.encoder, 1)}
    stages["bottleneck"] = model.bottleneck
    for i, (up, block) in enumerate(zip(model.up, model.decoder, strict=True)):
        stages[f"up {len(model.up) - i}"] = up
        stages[f"decoder {len(model.up) - i}"] = block
    stages["head"] = model.head
    rows = []
    hooks = []
    for stage, module in stages.items():

        def record(module, inputs, output, stage=stage):
            _, channels, height, width = output.shape
            size = height if height == width else (height, width)
            parameters = count_parameters(module)
            rows.append({"stage": stage, "channels": channels, "size": size, "parameters": parameters})

        hooks.append(module.register_forward_hook(record))
    run_on_meta(model, image_size)
    for hook in hooks:
        hook.remove()
    return rows


def run_on_meta(model: nn.Module, image_size: int | list[int]):
    """Run a forward pass of one picture without data: `functional_call` with shapes instead of numbers."""
    frame = Frame.of(image_size)
    empty = {name: tensor.to("meta") for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    return torch.func.functional_call(model, empty, torch.empty(1, 3, frame.height, frame.width, device="meta"))


def count_gflops(model: nn.Module, image_size: int | list[int]) -> float:
    """Billions of floating-point operations of one forward pass of one picture (a multiply-add counts as two)."""
    training = model.training
    counter = FlopCounterMode(display=False)
    with counter:
        run_on_meta(model.eval(), image_size)
    model.train(training)
    return counter.get_total_flops() / 1e9


def receptive_field(model: UNet) -> list[dict]:
    """How many pixels a side one output of each encoder stage can see: stage, pixels, stride.

    Every convolution adds (kernel - 1) * stride, every pooling as well and then doubles the stride
    (Araujo, Norris, Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks").
    """
    rows = []
    pixels = 1
    stride = 1
    for i, block in enumerate([*model.encoder, model.bottleneck]):
        if i:
            pixels += (model.pool.kernel_size - 1) * stride
            stride *= model.pool.stride
        for layer in block:
            if isinstance(layer, nn.Conv2d):
                pixels += (layer.kernel_size[0] - 1) * stride
        name = f"encoder {i + 1}" if i < len(model.encoder) else "bottleneck"
        rows.append({"stage": name, "pixels": pixels, "stride": stride})
    return rows
