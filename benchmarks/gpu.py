"""The protocol's training on a GPU, where there is one: rate, share of the card's matrix rate, peak memory."""

import os

import numpy as np
import torch

from benchmarks.measure import Findings, Plan, alternate, matrix_product
from benchmarks.training import flops, make_trainer
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.dataset import make_loader


def measure(plan: Plan) -> Findings:
    """An epoch of base_channels 64 at 256 px with its loader, at three batch sizes. Nothing where there is no CUDA."""
    found = Findings()
    if not torch.cuda.is_available():
        return found
    product, product_flops = matrix_product(8192, "cuda")
    for batch in (8, 32, 128):
        torch.cuda.reset_peak_memory_stats()
        train, _ = make_trainer(64, device="cuda")
        params = Params(image_size=256, batch_size=batch, run_name="bench", num_workers=min(8, os.cpu_count() - 1))
        data = open_data(params)
        count = max(1024, 10 * batch)
        loader = make_loader(data, np.resize(data.rows("train"), count), params, train=True)

        def epoch(loader=loader, train=train):
            for images, masks, _ in loader:
                train(images.to("cuda", non_blocking=True), masks.to("cuda", non_blocking=True))
            torch.cuda.synchronize()

        def products():
            for _ in range(10):
                product()
            torch.cuda.synchronize()

        seconds = alternate({"epoch": epoch, "products": products}, plan.pick(3, 5, 1))
        limit = 10 * product_flops / seconds["products"] / flops(64, 256)
        found.row(
            f"training with its loader, base_channels 64, 256 px, batch {batch}, {torch.cuda.get_device_name()}",
            "images/s",
            count / seconds["epoch"],
            limit=limit,
            limit_is="bf16 matrix product",
            peak_mb=torch.cuda.max_memory_allocated() / 1e6,
        )
    return found
