import itertools
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import write_pair
from PIL import Image

from carvana_course.facts import is_rendered
from carvana_lib import DataError, cache, pairs, reading
from carvana_lib import data as D
from carvana_lib.config import Params
from carvana_lib.frame import Frame
from carvana_lib.runs import Run
from carvana_lib.split import split_by_car


def audit(folder, size=32):
    rows = [cache.inspect(folder, pair, Frame.of(size))[0] for pair in pairs.find_pairs(folder).to_dict("records")]
    return {row["image_id"]: row["problem"] for row in rows}


def test_pairs_are_found_by_name_and_arrays_follow_the_table(data, folder):
    assert data.images.shape == (40, 32, 32, 3) and data.images.dtype == np.uint8
    assert data.masks.shape == (40, 32, 32) and set(np.unique(data.masks)) == {0, 1}
    for row in (0, 17, 39):
        image_id = data.table["image_id"][row]
        mask = reading.read_mask(folder / "train_masks" / f"{image_id}_mask.gif")
        assert (data.masks[row] == Frame.of(32).resize(mask)).all()
        assert data.table["area"][row] == pytest.approx(mask.mean())


def test_every_fault_is_named_in_the_audit(folder):
    ids = [f"{car:012x}_01" for car in range(8)]
    image = lambda i: folder / "train" / f"{ids[i]}.jpg"  # noqa: E731
    mask = lambda i: folder / "train_masks" / f"{ids[i]}_mask.gif"  # noqa: E731
    mask(0).unlink()
    image(1).unlink()
    Image.new("L", (24, 16), 1).save(mask(2))
    image(3).write_bytes(image(3).read_bytes()[:-300])
    Image.new("L", (48, 32), 0).save(mask(4))
    Image.radial_gradient("L").resize((48, 32)).save(mask(5))
    mask(6).write_bytes(b"GIF89a nonsense")
    (folder / "train" / "holiday.jpg").write_bytes(image(7).read_bytes())
    (folder / "train_masks" / "holiday_mask.gif").write_bytes(mask(7).read_bytes())
    found = audit(folder)
    assert found[ids[0]] == "image without mask"
    assert found[ids[1]] == "mask without image"
    assert found[ids[2]] == "mask is 24x16, image is 48x32"
    assert found[ids[3]].startswith(f"train/{ids[3]}.jpg is not a readable picture (image file is truncated")
    assert found[ids[4]].startswith("empty mask; ")
    assert "values instead of two" in found[ids[5]]
    assert found[ids[6]].startswith(f"train_masks/{ids[6]}_mask.gif is not a readable picture")
    assert found["holiday"].startswith("name is not <car_id>_<view> with two digits or more")
    assert found[ids[7]] == ""


def test_faulty_pictures_are_left_out_or_stop_a_strict_run(folder, params, runs):
    (folder / "train_masks" / f"{0:012x}_01_mask.gif").unlink()
    data = D.open_data(params)
    assert len(data.table) == 39 and len(data.audit) == 40 and len(data.images) == 39
    assert pd.read_csv(Run("tiny").audit)["problem"].notna().sum() == 1
    with pytest.raises(DataError, match="1 of 40 left out: 1 x image without mask.*000000000000_01.*strict=False"):
        D.open_data(params.replace(strict=True))


@pytest.mark.parametrize("missing", ["train", "train_masks"])
def test_a_missing_folder_is_named(tmp_path, missing):
    (tmp_path / {"train": "train_masks", "train_masks": "train"}[missing]).mkdir()
    with pytest.raises(DataError, match=f"has no folder {missing}/"):
        D.open_data(Params(data_dir=str(tmp_path)))


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train_masks").mkdir()
    with pytest.raises(DataError, match="train holds no pictures"):
        D.open_data(Params(data_dir=str(tmp_path)))


def test_nothing_usable_is_said(tmp_path):
    write_pair(tmp_path, "a_01")
    (tmp_path / "train_masks" / "a_01_mask.gif").unlink()
    with pytest.raises(DataError, match="no usable pair .* 1 x image without mask"):
        D.open_data(Params(data_dir=str(tmp_path)))


def test_one_car_cannot_be_split(tmp_path):
    for view in range(1, 5):
        write_pair(tmp_path, f"onlycar_{view:02d}")
    with pytest.raises(DataError, match="4 usable pictures of 1 cars leave none for train.*add pictures of more cars"):
        D.open_data(Params(data_dir=str(tmp_path)))


def test_png_masks_and_missing_metadata_work(tmp_path):
    for car in range(3):
        write_pair(tmp_path, f"car{car}_01", seed=car)
        gif = tmp_path / "train_masks" / f"car{car}_01_mask.gif"
        Image.fromarray(reading.read_mask(gif) * 255).save(gif.with_suffix(".png"))
        gif.unlink()
    data = D.open_data(Params(data_dir=str(tmp_path), image_size=32))
    assert sorted(data.table["split"]) == ["test", "train", "val"] and "make" not in data.table


def cars(n, views=16):
    return pd.DataFrame(
        {"car_id": np.repeat([f"{i:012x}" for i in range(n)], views), "view": np.tile(np.arange(1, views + 1), n)}
    )


@pytest.mark.parametrize(("n", "counts"), [(318, (222, 48, 48)), (32, (22, 5, 5)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_the_split_keeps_cars_whole_and_covers_everything(n, counts):
    table = cars(n).assign(split=split_by_car(cars(n), seed=0, val_fraction=0.15, test_fraction=0.15))
    assert (table.groupby("car_id")["split"].nunique() == 1).all()
    found = table.groupby("split")["car_id"].nunique()
    assert tuple(found[name] for name in ("train", "val", "test")) == counts


def test_the_split_follows_the_seed_and_not_the_order_of_the_rows():
    table = cars(20)
    first = pd.Series(split_by_car(table, 0, 0.15, 0.15))
    shuffled = table.sample(frac=1, random_state=1)
    again = pd.Series(split_by_car(shuffled, 0, 0.15, 0.15), index=shuffled.index)
    assert (first == again.sort_index()).all()
    assert (first != pd.Series(split_by_car(table, 1, 0.15, 0.15))).any()


def test_two_cars_share_nothing_with_training():
    table = cars(2).assign(split=split_by_car(cars(2), 0, 0.15, 0.15))
    assert table["split"].value_counts().to_dict() == {"train": 16, "val": 8, "test": 8}
    assert set(table.loc[table["split"] == "train", "car_id"]).isdisjoint(
        table.loc[table["split"] != "train", "car_id"]
    )


@pytest.mark.parametrize("n", range(2, 13))
def test_each_car_is_tested_in_exactly_one_fold(n):
    for folds, val_fraction in itertools.product(range(2, n + 1), (0.15, 0.49)):
        tested = []
        validated = set()
        for fold in range(1, folds + 1):
            table = cars(n).assign(split=split_by_car(cars(n), 0, val_fraction, 0.15, folds, fold))
            parts = {name: set(part["car_id"]) for name, part in table.groupby("split")}
            assert parts["train"].isdisjoint(parts["test"] | parts.get("val", set()))
            assert {"train", "test", "val"} == set(parts) or (n, folds) == (3, 2), "3 cars in halves leave too few"
            tested.append(sorted(parts["test"]))
            validated |= parts.get("val", set())
        assert sorted(sum(tested, [])) == sorted(set(cars(n)["car_id"]))
        assert max(map(len, tested)) - min(map(len, tested)) <= 1
        assert len(validated) >= min(n, folds) - 1, "validation is drawn from other cars in each fold"


def test_more_folds_than_cars_are_refused(params):
    assert set(D.open_data(params.replace(folds=10, fold=10)).table["split"]) == {"train", "val", "test"}
    with pytest.raises(DataError, match="folds=11 are more than there are cars, 10; set folds=10 at most"):
        D.open_data(params.replace(folds=11, fold=1))


def test_the_cache_is_reused_until_a_picture_changes(folder, params):
    first = D.open_data(params)
    assert first.seconds_to_prepare > 0 and D.open_data(params).seconds_to_prepare == 0
    write_pair(folder, f"{0:012x}_01", seed=99)
    changed = D.open_data(params)
    assert changed.seconds_to_prepare > 0 and (changed.images[0] != first.images[0]).any()
    assert D.open_data(params.replace(image_size=64)).images.shape[1] == 64


def test_the_fingerprint_is_of_the_contents(folder, params, tmp_path):
    """A copy, or the same archive unpacked once more, is no reason to train anew; another picture or name is."""
    first = D.open_data(params).fingerprint
    assert D.open_data(params.replace(image_size=64)).fingerprint == first
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    copied = D.open_data(params.replace(data_dir=str(copy)))
    assert copied.seconds_to_prepare > 0 and copied.fingerprint == first
    write_pair(copy, f"{0:012x}_01", seed=99)
    changed = D.open_data(params.replace(data_dir=str(copy))).fingerprint
    for name in (copy / "train").iterdir():
        if name.stem.startswith(f"{1:012x}"):
            mask = copy / "train_masks" / f"{name.stem}_mask.gif"
            mask.rename(mask.with_name(mask.name.replace(f"{1:012x}", "f" * 12)))
            name.rename(name.with_name(name.name.replace(f"{1:012x}", "f" * 12)))
    assert len({first, changed, D.open_data(params.replace(data_dir=str(copy))).fingerprint}) == 3


def test_arrays_are_memory_mapped(data):
    assert isinstance(data.images, np.memmap) and isinstance(data.masks, np.memmap)


def test_a_killed_preparation_leaves_nothing_that_is_read(folder, params, runs):
    """Kill the process while it prepares; the next one must prepare everything."""
    code = f"""
from carvana_lib import cache
from carvana_lib.data import data_folder
from carvana_lib.frame import Frame
whole = cache.inspect
def inspect(folder, pair, *how):
    if pair["image_id"].endswith("5_01"):
        print("half way", flush=True)
        time.sleep(60)
    return whole(folder, pair, *how)
cache.inspect = inspect
cache.prepare(data_folder({str(folder)!r}), Frame.of(32))
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout.readline() == b"half way\n"
    child.kill()
    child.wait()
    left = list((runs / ".cache").iterdir())
    assert left and all(path.name.startswith(".") for path in left)
    assert len(D.open_data(params).images) == 40
    os.utime(left[0], (0, 0))
    D.open_data(params.replace(image_size=64))
    assert not left[0].exists(), "what a killed preparation left is removed a day later"


@pytest.mark.parametrize("text", ["", "make,model\nx,y\n"])
def test_metadata_without_ids_is_named(folder, params, text):
    (folder / "metadata.csv").write_text(text)
    with pytest.raises(DataError, match="metadata.csv is not a table in UTF-8 with the column 'id'"):
        D.open_data(params)


def test_a_car_twice_in_the_metadata_does_not_shift_the_pictures(folder, params):
    with (folder / "metadata.csv").open("a") as file:
        file.write("000000000001,2021,Again,Model,T,made up\n")
    data = D.open_data(params)
    assert len(data.table) == len(data.images) == 40 and (data.table["make"] != "Again").all()


def test_reduced_decoding_is_close_to_full_decoding(real):
    differences = []
    for path in sorted((real / "carvana-native" / "train").glob("*.jpg"))[::6]:
        full = Frame.of(256).resize(reading.read_photo(path)).astype(int)
        reduced = Frame.of(256).resize(reading.read_photo(path, at_least=256))
        assert reading.read_photo(path, at_least=256).shape == (320, 480, 3)
        differences.append(np.abs(full - reduced).mean())
    assert np.mean(differences) < 1.5


def test_real_pictures_pass_the_audit(real):
    data = D.open_data(Params(data_dir=str(real / "carvana-native"), image_size=128))
    assert len(data.table) == 32 and (data.audit["problem"] == "").all()
    assert data.table["area"].min() > 0.09 and data.table["area"].max() < 0.41
    assert set(data.table["width"]) == {1918} and not is_rendered(data.table)


def test_resized_masks_are_thresholded_areas():
    mask = np.random.default_rng(0).integers(0, 2, (64, 96)).astype(np.uint8)
    area = mask.reshape(16, 4, 16, 6).mean((1, 3))
    clear = np.abs(area - 0.5) > 0.01
    assert (Frame.of(16).resize(mask)[clear] == (area > 0.5)[clear]).all()


def test_the_leaky_split_keeps_the_number_of_training_pictures_and_the_test_pictures(params):
    honest, leaky = D.open_data(params).table, D.open_data(params.replace(split_by="image", run_name="leaky")).table
    assert (honest["split"] == "train").sum() == (leaky["split"] == "train").sum()
    test = leaky[leaky["split"] == "test"]
    assert set(test["image_id"]) < set(honest.loc[honest["split"] == "test", "image_id"]) and len(test)
    assert set(test["car_id"]) <= set(leaky.loc[leaky["split"] == "train", "car_id"]), "no leak in the leaky split"
    assert (leaky["split"] == "unused").sum() == ((honest["split"] != "train") & (honest["view"] % 2 == 1)).sum()


def test_views_may_have_more_than_two_digits(tmp_path):
    for car in "abc":
        for view in ("01", "099", "100", "1234"):
            write_pair(tmp_path, f"{car}_{view}", seed=len(view))
    write_pair(tmp_path, "d_1")
    found = D.open_data(Params(data_dir=str(tmp_path), image_size=32)).audit.set_index("image_id")
    assert found.loc["b_1234", ["car_id", "view", "problem"]].tolist() == ["b", 1234, ""]
    assert found.index[found["problem"] != ""].tolist() == ["d_1"]


def test_photos_of_a_camera_are_one_car_and_the_message_says_how_to_adopt_them(tmp_path):
    for number in range(1, 5):
        write_pair(tmp_path, f"IMG_01{number:02d}", seed=number)
    with pytest.raises(DataError, match=f"of 1 cars leave none for train.*'carvana look {tmp_path}'"):
        D.open_data(Params(data_dir=str(tmp_path), image_size=32))
