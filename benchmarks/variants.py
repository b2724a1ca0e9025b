"""Other ways to make a training step, each in turn with ours: what was tried, and what it gave. In full mode alone."""

import torch

from benchmarks.measure import Findings, Plan, alternate, alternate_fresh
from benchmarks.training import make_batch, make_step, seconds_a_step
from carvana_lib import device
from carvana_lib.losses import bce_dice_loss
from carvana_lib.model import UNet


def bf16_weights(images, masks, base_channels: int):
    """The step with bf16 weights, of which the optimizer keeps a float32 copy; compiled, to drop the casts."""
    model = UNet(base_channels).to(memory_format=torch.channels_last)
    masters = [p.detach().clone() for p in model.parameters()]
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            module.to(torch.bfloat16)
    weights, net = list(model.parameters()), torch.compile(model)
    optimizer = torch.optim.AdamW(masters, 1e-4, weight_decay=1e-4, fused=True)

    def step():
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(images)
        bce_dice_loss(logits, masks).backward()
        for master, weight in zip(masters, weights, strict=True):
            master.grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(masters, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_copy_(weights, masters)

    return step


def one_thread(step):
    """The same step on one thread."""

    def slower():
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        step()
        torch.set_num_threads(threads)

    return slower


def giving_memory_back() -> float:
    """Seconds of a step in a process that returns memory to the system as glibc does by default."""
    device.keep_memory = lambda: None  # this process is not used again
    return seconds_a_step("ours", 256, 64, 2)


def measure(plan: Plan) -> Findings:
    """Seconds of our step and of the variant's; `times` is how much longer the variant takes."""
    found = Findings()
    if plan.tiny:
        return found
    sides = {"ours": (seconds_a_step, "ours", 256, 64, 2), "variant": (giving_memory_back,)}
    add(found, "memory given back at once", alternate_fresh(sides, rounds=3)[0])
    images, masks = make_batch(256)
    ours = make_step(images, masks, 64)
    ways = {
        "torch.compile": lambda: make_step(images, masks, 64, compiled=True),
        "torch.compile, bf16 weights with float32 masters": lambda: bf16_weights(images, masks, 64),
        "one thread": lambda: one_thread(ours),
        "without channels_last": lambda: make_step(images, masks, 64, channels_last=False),
        "AdamW not fused": lambda: make_step(images, masks, 64, fused=False),
        "float32": lambda: make_step(images, masks, 64, precision="float32"),
    }
    for name, make in ways.items():
        try:
            seconds = alternate({"ours": ours, "variant": make()}, rounds=3)
        except Exception as error:  # torch.compile needs a C++ compiler
            print(f"variant '{name}' cannot be measured here: {type(error).__name__}")
            continue
        add(found, name, seconds)
    return found


def add(found: Findings, name: str, seconds: dict) -> None:
    """A row for a variant."""
    times = seconds["variant"] / seconds["ours"]
    found.row(f"our step beside: {name}", "s", seconds["ours"], variant=seconds["variant"], times=times)
