"""In which order is a pretrained encoder fine-tuned? Three ways with few labelled cars, compared on validation cars."""

import itertools

import torch
from torch.optim.lr_scheduler import OneCycleLR

from carvana_course.evidence.experiments import read_experiment
from carvana_course.evidence.results import RESULTS
from carvana_lib.checkpoints import make_model
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader, training_rows
from carvana_lib.device import make_accelerator
from carvana_lib.losses import LOSSES
from carvana_lib.training import train_step, validate

ORDERS = {  # -> (the encoder's learning rate beside the decoder's, share of the steps for which it is frozen)
    "all at once": (1.0, 0.0),
    "encoder at a tenth of the rate": (0.1, 0.0),
    "encoder frozen for a quarter": (1.0, 0.25),
}
FEW_CARS = (3,)


def fine_tune(data, params, scale: float, frozen: float) -> float:
    """Validation mIoU of a net whose encoder learns at `scale` times the rate, after `frozen` of the steps."""
    model = make_model(params)
    loader = make_loader(data, training_rows(data, params), params, train=True)
    rates = [scale * params.learning_rate, params.learning_rate]
    parts = [model.encoder.parameters(), itertools.chain(model.decoder.parameters(), model.head.parameters())]
    groups = [{"params": list(part), "lr": rate} for part, rate in zip(parts, rates, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=params.weight_decay)
    steps = params.epochs * len(loader)
    scheduler = OneCycleLR(optimizer, rates, steps, cycle_momentum=False)
    accelerator = make_accelerator(params.device, params.precision, model)
    val_loader = accelerator.prepare(make_loader(data, data.rows("val"), params))
    net, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    criterion = LOSSES[params.loss]
    taken = 0
    for epoch in range(params.epochs):
        loader.set_epoch(epoch)
        net.train()
        for images, masks, _ in loader:
            model.encoder.requires_grad_(taken >= frozen * steps)
            train_step(net, optimizer, criterion, images, masks, accelerator, params.grad_clip)
            scheduler.step()
            taken += 1
    return validate(net, val_loader, criterion, accelerator)[1]


def compare_orders(folder: str):
    """Yield a row for each number of cars and each way: cars, way, seed, val_miou.

    One epoch, 380 steps: the shorter the training, the more the order matters.
    """
    experiment = read_experiment(RESULTS / "params" / "lite0-all-small.yaml")
    params = experiment.params(seed=0, data_dir=folder, epochs=1)
    data = open_data(params)
    for cars in FEW_CARS:
        for way, (scale, frozen) in ORDERS.items():
            score = fine_tune(data, params.replace(train_cars=cars), scale, frozen)
            yield {"cars": cars, "way": way, "seed": params.seed, "val_miou": score}
