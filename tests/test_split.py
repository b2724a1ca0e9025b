"""Near-duplicates: found whatever name they have, told, and kept on one side of the split where asked."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from conftest import write_cars
from PIL import Image

from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.runs import Run
from carvana_lib.split import across, find_alike, unite


def set_with_copies(tmp_path):
    """Ten cars, of which two photos of the first are there again as another car, saved anew and larger."""
    folder = write_cars(tmp_path)
    for view in (1, 3):
        name = f"{0:012x}_{view:02d}"
        (photo,) = (folder / "train").glob(f"{name}.*")
        (mask,) = (folder / "train_masks").glob(f"{name}_mask.*")
        first = Image.open(photo).convert("RGB")
        size = (2 * first.width, 2 * first.height)
        first.resize(size, Image.Resampling.LANCZOS).save(folder / "train" / f"copy_{view:02d}.jpg", quality=90)
        picture = Image.open(mask).convert("L").resize(size, Image.Resampling.NEAREST)
        picture.save(folder / "train_masks" / f"copy_{view:02d}_mask.png")
    return folder


def test_copies_under_another_name_are_told_and_kept_together_where_asked(tmp_path, capsys):
    params = Params(data_dir=str(set_with_copies(tmp_path)), image_size=32, run_name="copies")
    first = f"{0:012x}_01"
    told = 0
    for seed in range(6):
        capsys.readouterr()
        table = open_data(params.replace(seed=seed)).table.set_index("image_id")
        assert table.loc["copy_01", "alike"] == table.loc[first, "alike"] == first
        assert (table["alike"] != "").sum() == 4
        said = capsys.readouterr().out
        are_apart = table.loc["copy_01", "split"] != table.loc[first, "split"]
        assert ("4 pictures look like one on another side" in said) == are_apart == (len(across(table)) == 4)
        told += int(are_apart)
        together = open_data(params.replace(seed=seed, group_duplicates=True)).table
        assert across(together).empty and "look like" not in capsys.readouterr().out
        sides = together[together["car_id"].isin([f"{0:012x}", "copy"])]["split"]
        assert sides.nunique() == 1
    assert 0 < told < 6
    assert "alike" in pd.read_csv(Run("copies").audit)


def test_groups_are_joined_from_one_to_the_next(monkeypatch):
    """Of four hashes the second is 8 bits from the first and from the third, which are 16 apart."""
    bits = np.zeros((4, 256), bool)
    bits[1, :8] = True
    bits[2, :16] = True
    bits[3] = True
    hashes = iter(bits)
    monkeypatch.setattr("imagehash.phash", lambda photo, hash_size: SimpleNamespace(hash=next(hashes)))
    groups = find_alike(np.zeros((4, 64, 64), np.uint8))
    assert groups[0] == groups[1] == groups[2] != groups[3]
    assert len(find_alike([])) == 0


def test_cars_are_united_through_others():
    table = pd.DataFrame({"car_id": list("abcd"), "image_id": ["a_1", "b_1", "c_1", "d_1"], "alike": ""})
    more = pd.DataFrame({"car_id": ["a", "b", "b", "c"], "alike": ["x", "x", "y", "y"]})
    united = unite(pd.concat([table, more], ignore_index=True))
    assert united["car_id"].tolist() == ["a", "a", "a", "d", "a", "a", "a", "a"]


def test_pictures_in_several_blocks_find_each_other():
    noise = np.random.default_rng(0).integers(0, 256, (1200, 64, 64), dtype=np.uint8)
    noise[1100] = noise[3]
    groups = find_alike(noise)
    assert groups[1100] == groups[3] and len(set(groups)) == 1199
    assert set(find_alike(np.full((3000, 64, 64), 7, np.uint8))) == {0}
