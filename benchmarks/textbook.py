"""The textbook way, which most tutorials follow, as a yardstick: clear, correct, and as fast as it comes.

Photo and mask are decoded in full at every epoch, augmented at their own size and made small afterwards; the net
computes in float32 in PyTorch's default memory layout; the optimizer is not fused; the loss is read at every step;
photos are predicted one by one.
"""

from pathlib import Path

import albumentations as A
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from carvana_lib.dataset import AUGMENTATIONS
from carvana_lib.losses import bce_dice_loss
from carvana_lib.model import MEAN, STD, UNet
from carvana_lib.pairs import find_pairs


def transform(size: int, augment: bool = False) -> A.Compose:
    """Augment as the course does, resize, normalise; a tensor (3, size, size) float32."""
    steps = list(AUGMENTATIONS.values()) if augment else []
    return A.Compose([*steps, A.Resize(size, size), A.Normalize(MEAN, STD), ToTensorV2()])


class TextbookDataset(Dataset):
    """Pictures (3, S, S) float32 and masks (1, S, S) float32 of a folder in Carvana's layout."""

    def __init__(self, folder: Path, size: int, augment: bool):
        self.folder, self.pairs = folder, find_pairs(folder).to_dict("records")
        self.transform = transform(size, augment)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        photo = np.array(Image.open(self.folder / self.pairs[i]["image"]).convert("RGB"))
        mask = np.array(Image.open(self.folder / self.pairs[i]["mask"]).convert("L"), dtype=np.float32)
        mask[mask == 255.0] = 1.0
        changed = self.transform(image=photo, mask=mask)
        return changed["image"], changed["mask"][None]


def loader(folder: Path, size: int, augment: bool, num_workers: int) -> DataLoader:
    """Batches of 8. Workers stay from epoch to epoch, so that their start is not timed."""
    dataset = TextbookDataset(folder, size, augment)
    return DataLoader(dataset, 8, shuffle=True, num_workers=num_workers, persistent_workers=num_workers > 0)


def make_net(base_channels: int) -> UNet:
    """The course's U-Net for pictures that are normalised already."""
    net = UNet(base_channels)
    net.normalize = nn.Identity()
    return net


def make_step(images: torch.Tensor, masks: torch.Tensor, base_channels: int):
    """A function that trains a new net by one step on normalised pictures and masks, both float32."""
    net = make_net(base_channels)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=1e-4)

    def step():
        optimizer.zero_grad()
        loss = bce_dice_loss(net(images), masks)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


@torch.no_grad()
def predict(net: nn.Module, path: Path, out: Path, size: int) -> None:
    """Photo to mask at the photo's own size, written as PNG."""
    photo = Image.open(path).convert("RGB")
    images = transform(size)(image=np.array(photo))["image"][None]
    mask = (torch.sigmoid(net(images)) > 0.5)[0, 0].numpy()
    picture = Image.fromarray((255 * mask).astype(np.uint8)).resize(photo.size, Image.Resampling.NEAREST)
    picture.save(out / f"{path.stem}_mask.png")
