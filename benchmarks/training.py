"""A training step, and whether the loader keeps up with it.

The two sides of a step have a process of their own, since ours changes how the C library hands out memory, which would
make the textbook's faster too.
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import textbook
from benchmarks.measure import Findings, Plan, alternate, alternate_fresh, matrix_product
from carvana_lib.checkpoints import make_model
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader
from carvana_lib.device import make_accelerator
from carvana_lib.losses import bce_dice_loss
from carvana_lib.model import UNet
from carvana_lib.training import train_step

BATCH = 8


def make_batch(size: int, batch: int = BATCH):
    """Noise: images (B, 3, S, S) uint8 in channels-last memory, masks (B, 1, S, S) uint8."""
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    return images.to(memory_format=torch.channels_last), (torch.rand(batch, 1, size, size) > 0.7).to(torch.uint8)


def make_trainer(
    base_channels: int, precision="auto", channels_last=True, fused=True, compiled=False, device="cpu", encoder="none"
):
    """A function (images, masks) that trains a new net by one step of `training.fit`, and the net itself."""
    params = Params(
        base_channels=base_channels, encoder=encoder, precision=precision, learning_rate=1e-4, device=device
    )
    model = make_model(params)
    accelerator = make_accelerator(params.device, params.precision, model)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model.to(accelerator.device, memory_format=layout)
    optimizer = torch.optim.AdamW(
        model.parameters(), params.learning_rate, weight_decay=params.weight_decay, fused=fused
    )
    net, optimizer = accelerator.prepare(torch.compile(model) if compiled else model, optimizer)

    def train(images, masks):
        images = images.contiguous(memory_format=layout)
        loss, _ = train_step(net, optimizer, bce_dice_loss, images, masks, accelerator, params.grad_clip)
        return loss

    return train, model


def make_step(images, masks, base_channels: int, **variant):
    """A function that trains a new net by one step on the same batch each time."""
    train, _ = make_trainer(base_channels, **variant)
    return lambda: train(images, masks)


def seconds_a_step(side: str, size: int, base_channels: int, steps: int) -> float:
    """Median of some steps of 'ours' or of the 'textbook', after one that is not counted."""
    images, masks = make_batch(size)
    if side == "ours":
        step = make_step(images, masks, base_channels)
    else:
        step = textbook.make_step(images.float().contiguous() / 128 - 1, masks.float(), base_channels)
    return alternate({side: step}, steps)[side]


def flops(base_channels: int, size: int) -> int:
    """Floating-point operations of forward and backward for one picture, counted on shapes alone."""
    with torch.device("meta"):
        net, images, masks = UNet(base_channels), torch.empty(1, 3, size, size), torch.empty(1, 1, size, size)
    with FlopCounterMode(display=False) as counter:
        bce_dice_loss(net(images), masks).backward()
    return counter.get_total_flops()


def measure(plan: Plan) -> Findings:
    """The step of the full net, and the small net with and without its loader."""
    found, size, channels = Findings(), plan.pick(256, 256, 32), plan.pick(64, 64, 2)
    rounds, steps = plan.pick(1, 4, 1), plan.pick(2, 2, 1)
    seconds, peaks = alternate_fresh(
        {side: (seconds_a_step, side, size, channels, steps) for side in ("ours", "textbook")}, rounds
    )
    product, product_flops = matrix_product(plan.pick(4096, 4096, 64))
    pixels = open_data(Params(image_size=size, run_name="bench"))
    batches = make_loader(pixels, pixels.rows("train")[: plan.pick(160, 352, 16)], Params(image_size=size), train=True)
    sides = {"product": lambda: [product() for _ in range(5)], "loader": lambda: [None for _ in batches]}
    seconds |= alternate(sides, plan.pick(1, 4, 1))
    rate, limit = BATCH / seconds["ours"], 5 * product_flops / seconds["product"] / flops(channels, size)
    what = f"training step, base_channels {channels}, {size} px, batch {BATCH}"
    ratio = found.row(
        what,
        "images/s",
        rate,
        BATCH / seconds["textbook"],
        limit,
        "bf16 matrix product",
        gflops=flops(channels, size) / 1e9,
        peak_mb=peaks["ours"],
        textbook_peak_mb=peaks["textbook"],
    )
    found.target("training step: times the textbook's images/s", ratio, at_least=2.6)
    found.target("training step: share of the matrix product's rate", rate / limit, at_least=0.8)
    given = sum(len(rows) for _, _, rows in batches) / seconds["loader"]
    found.row(f"loader beside that net, {size} px, augmented", "images/s", given)
    found.target("loader: times what the full net consumes", given / rate, at_least=10)

    small = Params(image_size=plan.pick(128, 128, 32), base_channels=16, run_name="bench")
    pictures = open_data(small)
    fed = make_loader(pictures, pictures.rows("train")[: plan.pick(64, 352, 16)], small, train=True)
    kept, (train, _) = list(fed), make_trainer(16)
    sides = {"fed": fed, "kept": kept}
    seconds = alternate(
        {k: lambda v=v: [train(*batch[:2]) for batch in v] for k, v in sides.items()}, plan.pick(3, 7, 1)
    )
    count = sum(len(rows) for _, _, rows in kept)
    found.row(
        f"training with its loader, base_channels 16, {small.image_size} px",
        "images/s",
        count / seconds["fed"],
        limit=count / seconds["kept"],
        limit_is="batches in memory",
    )
    found.target("training with its loader: times the time without", seconds["fed"] / seconds["kept"], at_most=1.1)
    return found
