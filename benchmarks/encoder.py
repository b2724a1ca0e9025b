"""A training step of the net on a pretrained encoder, in several ways, beside that of the small U-Net."""

from benchmarks.measure import Findings, Plan, alternate
from benchmarks.training import BATCH, make_batch, make_step

WAYS = {
    "as it is trained": {},
    "bf16": {"precision": "bf16"},
    "without channels_last": {"channels_last": False},
}


def measure(plan: Plan) -> Findings:
    """Seconds of a step in each way; `times` is how much longer than the U-Net's with 16 channels it takes."""
    found = Findings()
    for size in plan.pick((128,), (128, 256), (32,)):
        images, masks = make_batch(size)
        steps = {way: make_step(images, masks, 16, encoder="lite0-random", **how) for way, how in WAYS.items()}
        seconds = alternate({"U-Net": make_step(images, masks, 16), **steps}, plan.pick(5, 9, 1))
        for way in steps:
            times = seconds[way] / seconds["U-Net"]
            what = f"step on an encoder, {size} px, batch {BATCH}: {way}"
            found.row(what, "s", seconds[way], times=times, unet=seconds["U-Net"])
    return found
