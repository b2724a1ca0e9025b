"""From arrays to batches: augmentation, the Dataset, and loaders that draw the same numbers on any machine.

Which picture comes when depends on (seed, epoch) alone, how it is augmented on (seed, epoch, position).
"""

import albumentations as A
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

REFLECT = cv2.BORDER_REFLECT_101  # what a shift or turn brings in from outside is the picture, mirrored at its edge

# The protocol's three augmentations. Its ShiftScaleRotate is deprecated in albumentations; Affine is the same map.
# Ranges are ours, since the protocol names none: shift 6 %, zoom 10 %, turn 15 degrees, brightness and contrast 20 %.
AUGMENTATIONS = {
    "HorizontalFlip": A.HorizontalFlip(p=0.5),
    "ShiftScaleRotate": A.Affine(
        scale=(0.9, 1.1), translate_percent=(-0.0625, 0.0625), rotate=(-15, 15), border_mode=REFLECT, p=0.5
    ),
    "RandomBrightnessContrast": A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
}
CHOICES = {"none": (), "flip": ("HorizontalFlip",), "protocol": tuple(AUGMENTATIONS)}  # of the parameter augment


def augmentation(*names: str) -> A.Compose:
    """The named augmentations in a row, or all three, of uint8 pictures and masks of any size. Taught in 01."""
    return A.Compose([AUGMENTATIONS[name] for name in names or AUGMENTATIONS])


def draw_anew(transform: A.Compose, *key: int) -> None:
    """Let each augmentation draw what follows from the numbers in `key`, since `Compose.set_random_seed` of
    albumentations 2.0.8 gives all of them one seed, and with it one coin. Taught in 01.
    """
    seeds = np.random.SeedSequence(key).generate_state(len(transform.transforms))
    for one, seed in zip(transform.transforms, seeds, strict=True):
        one.set_random_seed(int(seed))


class SegmentationDataset(Dataset):
    """Pictures (H, W, 3) uint8 RGB with the masks of `data.mask`, (H, W) uint8, by position in `rows`. Index it with a
    position, or with (epoch, position), where the epoch decides the augmentation's draws; no `names` means all. Taught
    in 01.
    """

    def __init__(self, data, rows, augment: bool = False, seed: int = 0, names=()):
        self.data = data
        self.rows = np.asarray(rows)
        self.seed = seed
        self.transform = augmentation(*names) if augment else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key):
        epoch, position = key if isinstance(key, tuple) else (0, key)
        row = int(self.rows[position])
        if not self.transform:
            return self.data.images[row], self.data.mask(row), row
        draw_anew(self.transform, self.seed, epoch, position)
        image, mask = self.transform(image=np.array(self.data.images[row]), mask=np.array(self.data.mask(row))).values()
        return image, mask, row


class EpochSampler(Sampler):
    """(epoch, position) pairs, shuffled anew each epoch from (seed, epoch) alone. Used by `make_loader` in 01."""

    def __init__(self, size: int, seed: int, epoch: int = 0):
        self.size = size
        self.seed = seed
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        return ((self.epoch, int(position)) for position in order)


def collate(samples):
    """Samples -> images (B, 3, H, W) uint8, channels last in memory, masks (B, 1, H, W) uint8, rows. Taught in 02."""
    images, masks, rows = zip(*samples, strict=True)
    images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (B, H, W, 3) -> (B, 3, H, W) without a copy
    return images, torch.from_numpy(np.stack(masks))[:, None], torch.tensor(rows)


def subsample(rows: np.ndarray, size: int | None, seed: int) -> np.ndarray:
    """At most `size` of the rows, drawn without repeats, kept in order; all for None. Used by `range_test` in 03."""
    if size is None or size >= len(rows):
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))


def training_rows(data, params) -> np.ndarray:
    """The training pictures of a run: all, those of `params.train_cars` cars, or `params.subset` that the seed draws.
    Fewer cars are a part of more, and their pictures are repeated for as many steps. Used by `train` in 04.
    """
    rows = data.rows("train")
    if params.train_cars is not None:
        cars = np.random.default_rng(params.seed).permutation(sorted(set(data.table["car_id"].iloc[rows])))
        chosen = rows[data.table["car_id"].iloc[rows].isin(cars[: params.train_cars])]
        rows = np.resize(chosen, len(rows))
    return subsample(rows, params.subset, params.seed)


def make_loader(data, rows, params, train: bool = False) -> DataLoader:
    """Batches (images, masks, rows) of the pictures at `rows`; for training shuffled, augmented, and without a last
    batch that is not full, unless it is the only one. Taught in 01.
    """
    names = CHOICES[params.augment]
    dataset = SegmentationDataset(data, rows, train and bool(names), params.seed, names)
    return DataLoader(
        dataset,
        batch_size=params.batch_size,
        sampler=EpochSampler(len(dataset), params.seed) if train else None,
        collate_fn=collate,
        drop_last=train and len(dataset) > params.batch_size,
        num_workers=params.num_workers,
        pin_memory=torch.cuda.is_available(),
    )
