"""The protocol's losses, from logits (B, 1, H, W) and masks (B, 1, H, W) in {0, 1} to one number.

All in float32: in half precision the sums of Dice overflow and logarithms underflow. Where a mask is IGNORE, padding,
a pixel counts for nothing.
"""

import torch
import torch.nn.functional as F

from carvana_lib.frame import IGNORE


def bce_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy, averaged over pixels: each pixel counts alike, whatever the car's size. Taught in 03."""
    counted = (masks != IGNORE).float()
    total = F.binary_cross_entropy_with_logits(logits.float(), masks.float(), counted, reduction="sum")
    return total / counted.sum()


def dice_loss(logits: torch.Tensor, masks: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """1 - soft Dice of each image, averaged over images: overlap counts, however small the car. The idea is from
    Milletari, Navab, Ahmadi 2016 (V-Net), section 3; `smooth` keeps 0/0 away where all is empty. Taught in 03.
    """
    counted = (masks != IGNORE).float()
    p = (counted * logits.float().sigmoid()).flatten(1)  # (B, H*W)
    y = (counted * masks).flatten(1)
    return (1 - (2 * (p * y).sum(1) + smooth) / (p.sum(1) + y.sum(1) + smooth)).mean()


def bce_dice_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Half of each, as in the protocol. Taught in 02."""
    return 0.5 * bce_loss(logits, masks) + 0.5 * dice_loss(logits, masks)


LOSSES = {"bce": bce_loss, "dice": dice_loss, "bce_dice": bce_dice_loss}
