"""The net that is there after installation: small, trained on the sample's renders by `python scripts/small_net.py`.

`small.pt` is a checkpoint like any other, with weights of 16 bits; `small.json` tells how it was made and its scores.
"""

from pathlib import Path

import numpy as np

from carvana_lib import prediction
from carvana_lib.checkpoints import load_checkpoint, load_model
from carvana_lib.config import Params
from carvana_lib.frame import Frame
from carvana_lib.model import UNet

SMALL_NET = Path(__file__).parent / "small.pt"
RECORD = SMALL_NET.with_suffix(".json")
ORIGIN = (
    "the small net of the course, trained on renders of cars in a studio; training on photos gives better ones "
    "('Real data' in the README), and --checkpoint takes them"
)


def load_small_net() -> tuple[UNet, Frame]:
    """The net, on the CPU in evaluation mode, and the frame that it was trained with."""
    return load_model(SMALL_NET), Params(**load_checkpoint(SMALL_NET)["params"]).frame


def find_car(photo: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB -> probability of the car (H, W) float32, as the small net sees it."""
    net, frame = load_small_net()
    return prediction.probability(net, photo, frame)
