"""From arrays to batches: augmentation, the Dataset, and loaders that draw the same numbers on any machine.

One seed decides everything: which picture comes when depends on (seed, epoch), how it is augmented on (seed, epoch,
position). So no two workers, epochs or pictures share their draws, and an epoch repeats exactly after a resume.
"""

import albumentations as A
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

# The protocol's three augmentations. Its ShiftScaleRotate is deprecated in albumentations; Affine is the same map.
# Ranges are ours, since the protocol names none: shift 6 %, zoom 10 %, turn 15 degrees, brightness and contrast 20 %.
AUGMENTATIONS = {
    "HorizontalFlip": A.HorizontalFlip(p=0.5),
    "ShiftScaleRotate": A.Affine(
        translate_percent=(-0.0625, 0.0625),
        scale=(0.9, 1.1),
        rotate=(-15, 15),
        p=0.5,
        border_mode=cv2.BORDER_REFLECT_101,
    ),
    "RandomBrightnessContrast": A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
}
CHOICES = {"none": (), "flip": ("HorizontalFlip",), "protocol": tuple(AUGMENTATIONS)}  # of the parameter augment


def augmentation(*names: str) -> A.Compose:
    """The named augmentations in a row, or all three. Takes and returns uint8 pictures and masks, any size."""
    return A.Compose([AUGMENTATIONS[name] for name in names or AUGMENTATIONS])


def draw_anew(transform: A.Compose, *key: int) -> None:
    """Let the augmentations draw what follows from the numbers in `key`, each for itself.

    albumentations' own `Compose.set_random_seed` (2.0.8) gives all of them one seed, and with it one coin: a picture
    would get all three or none.
    """
    seeds = np.random.SeedSequence(key).generate_state(len(transform.transforms))
    for one, seed in zip(transform.transforms, seeds, strict=True):
        one.set_random_seed(int(seed))


class SegmentationDataset(Dataset):
    """Pictures (S, S, 3) uint8 RGB with masks (S, S) uint8 {0, 1}, by position in `rows`.

    Index it with a position, or with (epoch, position) to have the epoch decide the augmentation's draws. `names` are
    of AUGMENTATIONS; none means all.
    """

    def __init__(self, data, rows, augment: bool = False, seed: int = 0, names=()):
        self.images, self.masks, self.rows, self.seed = data.images, data.masks, np.asarray(rows), seed
        self.transform = augmentation(*names) if augment else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key):
        epoch, position = key if isinstance(key, tuple) else (0, key)
        row = int(self.rows[position])
        image, mask = self.images[row], self.masks[row]
        if self.transform:
            draw_anew(self.transform, self.seed, epoch, position)
            image, mask = self.transform(image=np.asarray(image), mask=np.asarray(mask)).values()
        return image, mask, row


class EpochSampler(Sampler):
    """(epoch, position) pairs, shuffled anew each epoch from (seed, epoch) alone."""

    def __init__(self, size: int, seed: int):
        self.size, self.seed, self.epoch = size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        return ((self.epoch, int(position)) for position in order)


def collate(samples):
    """A list of samples -> images (B, 3, S, S) uint8 in channels-last memory, masks (B, 1, S, S) uint8, rows (B,)."""
    images, masks, rows = zip(*samples, strict=True)
    images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (B, S, S, 3) -> (B, 3, S, S) without a copy
    return images, torch.from_numpy(np.stack(masks))[:, None], torch.tensor(rows)


def subsample(rows: np.ndarray, size: int | None, seed: int) -> np.ndarray:
    """At most `size` of the rows, drawn without repeats and kept in order; all of them for None."""
    if size is None or size >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))


def make_loader(data, rows, params, train: bool = False) -> DataLoader:
    """Batches (images, masks, rows) of the pictures at `rows`; shuffled and augmented when training.

    A last training batch of a single picture is left out: BatchNorm has nothing to normalise it by.
    """
    names = CHOICES[params.augment]
    dataset = SegmentationDataset(data, rows, train and bool(names), params.seed, names)
    sampler = EpochSampler(len(dataset), params.seed) if train else None
    drop_last = train and len(dataset) > params.batch_size and len(dataset) % params.batch_size == 1
    return DataLoader(
        dataset,
        batch_size=params.batch_size,
        sampler=sampler,
        collate_fn=collate,
        drop_last=drop_last,
        num_workers=params.num_workers,
        pin_memory=torch.cuda.is_available(),
    )
