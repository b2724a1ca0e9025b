"""Six short training runs, five of them with a fault made on purpose, for an exercise: what do their curves look like?

Each is the bare loop of notebook 04 on small pictures of the sample. Two scores at its end tell what curves cannot.
"""

import copy

import torch

from carvana_lib.checkpoints import make_model
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader
from carvana_lib.losses import bce_loss

SMALL = {
    "run_name": "study-diagnoses",
    "image_size": 64,
    "base_channels": 8,
    "augment": "none",
    "precision": "float32",
    "loss": "bce",
}
RUN_FAULTS = {  # what went wrong -> how the run differs from the one in which nothing did
    "learning rate too high": {"learning_rate": 10.0},
    "overfitting": {"learning_rate": 1e-2, "cars": 1, "epochs": 60},
    "leak": {"learning_rate": 1e-2, "cars": 2, "epochs": 60, "leak": True},
    "eval() forgotten": {"forget_eval": True},
    "stopped too early": {"learning_rate": 3e-4, "epochs": 4},
    "nothing wrong": {},
}


def loss_on(net, data, rows, batch_size: int, training: bool) -> float:
    """The mean loss per picture, of a copy of the net: in training mode, scoring would change it."""
    net = copy.deepcopy(net).train(training)
    total = 0.0
    with torch.no_grad():
        for images, masks, batch_rows in make_loader(data, rows, Params(batch_size=batch_size)):
            total += bce_loss(net(images), masks).item() * len(batch_rows)
    return total / len(rows)


def train_with_fault(
    data, learning_rate: float = 3e-3, epochs: int = 12, cars: int = 10, leak: bool = False, forget_eval: bool = False
) -> dict:
    """Train on some cars and return train_loss and val_loss of each epoch, and two losses of the finished net: that of
    the validation pictures `one_at_a_time`, and that of the `new_cars` of the test set.
    """
    params = Params(**SMALL)
    train_rows = data.rows("train")[: 16 * cars]
    val_rows = data.rows("val")
    if leak:  # into validation, every second view of the training cars
        val_rows = train_rows[1::2]
        train_rows = train_rows[::2]
    net = make_model(params)
    optimizer = torch.optim.AdamW(net.parameters(), learning_rate)
    loader = make_loader(data, train_rows, params, train=True)
    found = {"pictures": len(train_rows), "train_loss": [], "val_loss": []}
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        net.train()
        losses = []
        for images, masks, _ in loader:
            loss = bce_loss(net(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found["train_loss"].append(sum(losses) / len(losses))
        found["val_loss"].append(loss_on(net, data, val_rows, 8, training=forget_eval))
    found["one_at_a_time"] = loss_on(net, data, val_rows, 1, training=forget_eval)
    found["new_cars"] = loss_on(net, data, data.rows("test"), 8, training=forget_eval)
    return found


def train_with_each_fault(_: str):
    """Yield a row for each of RUN_FAULTS, on the sample: fault, and what `train_with_fault` found."""
    data = open_data(Params(**SMALL))
    for fault, changes in RUN_FAULTS.items():
        yield {"fault": fault} | train_with_fault(data, **changes)
