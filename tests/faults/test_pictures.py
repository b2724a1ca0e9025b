"""Bad pictures.

Photos and masks are cut off, get bytes changed, headers or files swapped, claim sizes of nothing or of gigabytes, are
something else under a picture's name. No run may hang, crash, or take a wrong pair for a good one: the audit names
each with its reason, or the file is still a picture, which then decodes to its end and fits its mask. Without `strict`
a training goes on with the rest, with it nothing is trained.
"""

import os
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import write_pair
from PIL import Image

from .conftest import TINY, pick
from .mutations import FINE, MUST, spoil

COUNT = pick(60, 500)
MEMORY = 200  # MB more than for good pictures; a bomb that goes off takes at least 400


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory):
    """(folder with three good cars and COUNT spoiled ones, image_id -> Pair without its bytes)."""
    folder, pairs = tmp_path_factory.mktemp("spoiled"), {}
    for car in range(3):
        for view in range(1, 9):
            write_pair(folder, f"good{car}_{view:02d}", seed=car)
    for number in range(COUNT):
        pair, image_id = spoil(number), f"car{number:04d}_{number % 16 + 1:02d}"
        (folder / "train" / f"{image_id}.jpg").write_bytes(pair.image)
        (folder / "train_masks" / f"{image_id}_mask.gif").write_bytes(pair.mask)
        pairs[image_id] = pair
    return folder, pairs


def test_the_audit_names_every_bad_pair_and_training_goes_on(server, spoiled, tally, tmp_path):
    folder, pairs = spoiled
    params = TINY | {"data_dir": str(folder), "epochs": 1}
    outcome = server("train", params=params, runs=tmp_path)
    assert outcome.ended == "done", outcome
    audit = pd.read_csv(tmp_path / "tiny" / "audit.csv", keep_default_na=False).set_index("image_id")
    assert set(pairs) <= set(audit.index)
    refused, still = Counter(), Counter()
    for image_id, pair in pairs.items():
        problem = audit.loc[image_id, "problem"]
        assert pair.verdict != MUST or problem, f"{image_id}, {pair.kind}: it passed"
        assert pair.verdict != FINE or not problem, f"{image_id}, {pair.kind}: {problem}"
        assert len(problem) < 300 and "\n" not in problem and str(folder) not in problem, problem
        if problem:
            refused[pair.kind] += 1
        else:
            check_by_hand(folder, image_id)
            still[pair.kind] += 1
    split = pd.read_csv(tmp_path / "tiny" / "split.csv")
    assert set(split["image_id"]) == set(audit.index[audit["problem"] == ""])
    strict = server("train", params=params | {"strict": True, "run_name": "strict"}, runs=tmp_path)
    assert strict.ended == "refused" and "left out: " in strict.says and ", first car" in strict.says, strict
    assert not (tmp_path / "strict" / "history.csv").exists()
    for kind, count in sorted((refused + still).items()):
        tally(kind, count, f"{refused[kind]} refused with a reason, {still[kind]} still a picture")


def check_by_hand(folder, image_id: str) -> None:
    """A pair that passed: both files decode to their end, have one size, and the mask has two values (or indices)."""
    with Image.open(folder / "train" / f"{image_id}.jpg") as photo:
        photo.convert("RGB").load()
    with Image.open(folder / "train_masks" / f"{image_id}_mask.gif") as mask:
        values = np.asarray(mask if mask.mode in ("P", "L", "1") else mask.convert("L"))
        assert photo.size == mask.size and len(np.unique(values)) <= 2 and values.any()


def test_bombs_take_no_memory(server, spoiled, folder, tally, tmp_path):
    good = server("prepare", params=TINY | {"data_dir": str(folder)}, runs=tmp_path / "good")
    bad = server("prepare", params=TINY | {"data_dir": str(spoiled[0])}, runs=tmp_path / "bad")
    assert good.ended == bad.ended == "done" and bad.seconds < 60
    assert bad.peak_mb - good.peak_mb < MEMORY, f"{bad.peak_mb:.0f} MB instead of {good.peak_mb:.0f}"
    bombs, more = sum(pair.kind == "bomb" for pair in spoiled[1].values()), max(0, bad.peak_mb - good.peak_mb)
    tally("memory, among all these", bombs, f"{more:.0f} MB more at the peak than with good pictures")


def test_prediction_lists_what_it_cannot_read(server, spoiled, orders, tally, tmp_path):
    folder, pairs = spoiled
    order = orders["predict"](tmp_path) | {"images": folder / "train"}
    outcome = server("predict", **order)
    assert outcome.ended == "done", outcome
    failed = pd.read_csv(tmp_path / "out" / "failed.csv").set_index("name")["reason"]
    masks = {path.name.removesuffix("_mask.png") for path in (tmp_path / "out" / "masks").iterdir()}
    names = {path.stem for path in (folder / "train").iterdir()}
    assert masks.isdisjoint(stems := {name.removesuffix(".jpg") for name in failed.index}) and masks | stems == names
    tally("predicting all of them", len(pairs), f"{len(failed)} listed in failed.csv with a reason, masks for the rest")


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such names")
def test_names_that_are_no_files_or_no_text(server, folder, tally, tmp_path):
    """Links to nowhere, folders called .jpg, names in another encoding than UTF-8."""
    (folder / "train" / "lost_01.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (folder / "train_masks" / "lost_01_mask.gif").symlink_to("lost_01_mask.gif")
    (folder / "train" / "box_01.jpg").mkdir()
    strange = os.fsdecode(b"\xec\xe0\xf8\xe8\xed\xe0_01")  # in the Windows code page for Russian
    (folder / "train" / f"{strange}.jpg").write_bytes((folder / "train" / f"{0:012x}_01.jpg").read_bytes())
    outcome = server("train", params=TINY | {"data_dir": str(folder), "epochs": 1}, runs=tmp_path)
    assert outcome.ended == "done", outcome
    audit = pd.read_csv(tmp_path / "tiny" / "audit.csv", keep_default_na=False).set_index("image_id")["problem"]
    assert audit["lost_01"] and audit["train/box_01.jpg"] and (audit != "").sum() == 3
    tally("links to nowhere, a folder, a name that is no UTF-8", 4, "in the audit with a reason")
