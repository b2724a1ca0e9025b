"""Makes the net that the course ships anew: `python scripts/small_net.py [PHOTOS]`, some ten minutes on two CPU cores.

PHOTOS is a folder of real photos, as data/carvana-256. The net never learns from them, it is only scored on the
validation and test cars among them. Without the folder, the record says that it was not.
"""

import itertools
import sys

import torch

from carvana_course.net import RECORD, SMALL_NET
from carvana_lib.cache import digest
from carvana_lib.checkpoints import load_checkpoint, load_model, make_model
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader, training_rows
from carvana_lib.device import make_accelerator
from carvana_lib.evaluation import score_images, trained
from carvana_lib.losses import LOSSES
from carvana_lib.metrics import bootstrap_by_car
from carvana_lib.runs import Run, atomic, write_json
from carvana_lib.training import make_optimizer, make_scheduler, train_step

PARAMS = Params(
    run_name="small_net",
    image_size=192,
    epochs=24,
    learning_rate=3e-3,
    loss="bce_dice",
    scheduler="onecycle",
    precision="float32",
    device="cpu",
)
TRIED = [  # before, by validation cars of the sample and of real photos; test cars were scored once, at the end
    {"image_size": 128, "learning_rate": 1e-3, "epochs": 12, "sample, val": 0.9578, "real photos, val": 0.9364},
    {"image_size": 192, "learning_rate": 2e-3, "epochs": 10, "sample, val": 0.9649, "real photos, val": 0.9411},
]
SPLITS = ("val", "test")
STEPS = 3  # of the training, whose losses are recorded, so that a test can take them anew


def first_losses(data, params, steps: int = STEPS) -> list[float]:
    """The losses of the first steps of `train`, taken anew."""
    loader = make_loader(data, training_rows(data, params), params, train=True)
    model = make_model(params).to(memory_format=torch.channels_last)
    accelerator = make_accelerator(params.device, params.precision, model)
    optimizer = make_optimizer(model, params)
    scheduler = make_scheduler(optimizer, params, len(loader))
    net, optimizer = accelerator.prepare(model, optimizer)
    losses = []
    for images, masks, _ in itertools.islice(loader, steps):
        loss, _ = train_step(net, optimizer, LOSSES[params.loss], images, masks, accelerator, params.grad_clip)
        losses.append(loss.item())
        scheduler.step()
    return losses


def halve(checkpoint: dict) -> dict:
    """The checkpoint with weights of 16 bits, which take half the room; loaded, they are float32 again."""
    model = checkpoint["model"]
    halved = {name: value.half() if value.is_floating_point() else value for name, value in model.items()}
    return checkpoint | {"model": halved}


def score(model, data, params, split: str) -> dict:
    """Mean IoU over the pictures of a split, and its 95 % interval over cars."""
    table, _ = score_images(model, data, data.rows(split), params)
    interval = bootstrap_by_car(table, seed=params.seed)
    cars = table["car_id"].nunique()
    return {"pictures": len(table), "cars": cars, "miou": float(table["iou"].mean()), "ci95": list(interval)}


def make_net(photos: str | None) -> None:
    """Train, write the net and its record."""
    data = open_data(PARAMS)
    if photos:  # before minutes of training, lest the folder is wrong
        real = open_data(PARAMS.replace(data_dir=photos, run_name=f"{PARAMS.run_name}-photos"))
    trained(data, PARAMS)
    checkpoint = load_checkpoint(Run(PARAMS.run_name).best_checkpoint)
    with atomic(SMALL_NET) as temporary, temporary.open("wb") as file:  # a path would leave its name in the file
        torch.save(halve(checkpoint), file)
    model = load_model(SMALL_NET)
    scores = {f"sample, {split}": score(model, data, PARAMS, split) for split in SPLITS}
    if photos:
        scores |= {f"real photos, {split}": score(model, real, PARAMS, split) for split in SPLITS}
    else:
        scores["real photos"] = "not scored: no folder of photos was named"
    record = {
        "about": "a small U-Net trained on the sample's renders alone; weights of 16 bits",
        "command": "python scripts/small_net.py" + (" data/carvana-256" if photos else ""),
        "tried_before": TRIED,
        "sha256": digest(SMALL_NET),
        "bytes": SMALL_NET.stat().st_size,
        "seed": PARAMS.seed,
        "params": PARAMS.model_dump(),
        **checkpoint["made_with"],
        "scores": scores,
        "first_losses": first_losses(data, PARAMS),
        "history": checkpoint["history"],
    }
    write_json(RECORD, record)


if __name__ == "__main__":
    make_net(*sys.argv[1:2] or [None])
