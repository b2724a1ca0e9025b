import copy
from collections import Counter

import albumentations as A
import numpy as np
import pytest
import torch

from carvana_lib.dataset import (
    AUGMENTATIONS,
    EpochSampler,
    SegmentationDataset,
    augmentation,
    draw_anew,
    make_loader,
    subsample,
)


def epoch(loader, number):
    loader.sampler.set_epoch(number)
    batches = list(loader)
    images, masks, rows = (torch.cat(part) for part in zip(*batches, strict=True))
    order = rows.argsort()
    return images[order], masks[order], rows


def test_batches_have_the_promised_shapes_and_types(data, params):
    images, masks, rows = next(iter(make_loader(data, data.rows("train"), params, train=True)))
    assert images.shape == (8, 3, 32, 32) and images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert masks.shape == (8, 1, 32, 32) and set(masks.unique().tolist()) <= {0, 1}
    assert set(rows.tolist()) <= set(data.rows("train").tolist())


def test_evaluation_batches_are_the_pictures_unchanged_and_in_order(data, params):
    rows = data.rows("test")
    loader = make_loader(data, rows, params)
    images, masks, seen = (torch.cat(part) for part in zip(*loader, strict=True))
    assert seen.tolist() == rows.tolist()
    assert (images.permute(0, 2, 3, 1).numpy() == data.images[rows]).all() and (
        masks[:, 0].numpy() == data.masks[rows]
    ).all()


def test_draws_depend_on_epoch_and_picture_and_not_on_the_workers(data, params):
    """albumentations 2.0.8 by itself repeats the same draws in every worker and every epoch."""
    rows = data.rows("train")
    alone, many = make_loader(data, rows, params, True), make_loader(data, rows, params.replace(num_workers=2), True)
    for number in (0, 1):
        one, two = epoch(alone, number), epoch(many, number)
        assert all((a == b).all() for a, b in zip(one, two, strict=True))
    images = [epoch(many, number)[0] for number in (0, 1)]
    assert (images[0] != images[1]).flatten(1).any(1).float().mean() > 0.5


def test_pictures_of_one_epoch_get_different_draws(data):
    data.images = np.repeat(data.images[:1], len(data.images), axis=0)  # the same picture everywhere
    data.masks = np.repeat(data.masks[:1], len(data.masks), axis=0)
    dataset = SegmentationDataset(data, data.rows("train"), augment=True)
    versions = {dataset[0, i][0].tobytes() for i in range(len(dataset))}
    assert len(versions) > len(dataset) / 2


def test_the_seed_changes_order_and_draws(data, params):
    rows = data.rows("train")
    first, other = (epoch(make_loader(data, rows, params.replace(seed=seed), True), 0) for seed in (0, 1))
    assert (first[2] != other[2]).any() and (first[0] != other[0]).any()


def test_the_sampler_shows_each_picture_once_an_epoch_in_a_new_order():
    sampler = EpochSampler(50, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(i for _, i in first) == sorted(i for _, i in second) == list(range(50))
    assert [i for _, i in first] != [i for _, i in second] and {e for e, _ in second} == {1}


def test_masks_follow_their_pictures(data):
    mask = np.array(data.masks[0])
    transform = augmentation("HorizontalFlip", "ShiftScaleRotate")
    for draw in range(20):
        draw_anew(transform, draw)
        image, moved = transform(image=np.repeat(mask[..., None] * 255, 3, axis=-1), mask=mask).values()
        assert set(np.unique(moved)) <= {0, 1}
        assert ((image[..., 0] > 127) == (moved > 0)).mean() > 0.97


def test_each_augmentation_changes_something(data):
    image, mask = np.array(data.images[0]), np.array(data.masks[0])
    for name in AUGMENTATIONS:
        transform = augmentation(name)
        changed = 0
        for draw in range(10):
            draw_anew(transform, draw)
            changed += (transform(image=image, mask=mask)["image"] != image).any()
        assert 1 <= changed <= 9, name  # each has a chance of one half


def test_each_augmentation_throws_its_own_coin():
    transform, seen = A.ReplayCompose(copy.deepcopy(augmentation().transforms)), Counter()
    image = np.zeros((8, 8, 3), np.uint8)
    for position in range(400):
        draw_anew(transform, 0, 0, position)
        seen[tuple(one["applied"] for one in transform(image=image)["replay"]["transforms"])] += 1
    assert len(seen) == 8 and min(seen.values()) > 25  # 50 of each are expected; all or none would be 200 and 200


def test_subsample_is_at_most_the_size_and_follows_the_seed():
    rows = np.arange(100)
    assert subsample(rows, None, 0) is rows and len(subsample(rows, 500, 0)) == 100
    drawn = subsample(rows, 10, 0)
    assert len(set(drawn)) == 10 and (drawn == subsample(rows, 10, 0)).all() and (drawn != subsample(rows, 10, 1)).any()


def test_a_last_batch_of_one_is_left_out_of_training(data, params):
    loader = make_loader(data, data.rows("train")[:17], params, train=True)
    assert [len(rows) for _, _, rows in loader] == [8, 8]
    assert sum(len(rows) for _, _, rows in make_loader(data, data.rows("train")[:17], params)) == 17


@pytest.mark.parametrize("choice, changes", [("none", set()), ("flip", {"mirror"}), ("protocol", {"other"})])
def test_the_parameter_chooses_the_augmentations(data, params, choice, changes):
    loader, seen = make_loader(data, data.rows("train"), params.replace(augment=choice), train=True), set()
    for images, _, rows in loader:
        for image, row in zip(images.permute(0, 2, 3, 1).numpy(), rows.tolist(), strict=True):
            same, mirrored = (np.array_equal(image, data.images[row][:, ::step]) for step in (1, -1))
            seen |= set() if same else {"mirror"} if mirrored else {"other"}
    assert seen - {"mirror"} == changes - {"mirror"} and changes <= seen
