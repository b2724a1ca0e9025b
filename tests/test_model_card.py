"""The model card: every number comes from the run's files, and it says what it does not know."""

import re
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from carvana_course.deployment import model_card
from carvana_course.headless.scores import score_run
from carvana_lib import CheckpointError, RunError, training
from carvana_lib.checkpoints import load_checkpoint, load_trained
from carvana_lib.device import describe_device
from carvana_lib.runs import Run, read_json, write_csv, write_json


@pytest.fixture
def run(data, params):
    """A tiny run, trained and evaluated as notebooks 04 and 05 do it."""
    run = Run.start(params, describe_device(params))
    training.train(data, params)
    model, trained, history = load_trained(data, params)
    test, measured = score_run(model, data, trained, history)
    write_csv(run.per_image, test)
    write_json(run.metrics, measured | {"params": params.model_dump()})
    return run


def cells(text: str) -> dict[str, str]:
    """{first cell: second cell} of all tables of the card."""
    return dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text, re.M))


def test_the_numbers_are_the_files(run, data):
    text, metrics = model_card.write_model_card(run), read_json(run.metrics)
    assert run.model_card.read_text(encoding="utf8") == text and text.startswith("# Model card: run `tiny`\n")
    found, (low, high) = cells(text), metrics["test_miou_ci95"]
    assert found["test mIoU"] == f"{metrics['test_miou']:.4f}"
    assert found["95 % interval of it, over cars"] == f"{low:.4f} to {high:.4f}"
    assert found["validation mIoU"] == f"{metrics['val_miou']:.4f}"
    cars = data.table["car_id"][data.rows("test")].nunique()
    assert found["test pictures and cars"] == f"{metrics['n_test']} and {cars}"
    assert (found["learning_rate"], found["epochs"], found["loss"]) == ("0.001", "2", "bce_dice")
    assert [found[side] for side in ("train", "val", "test")] == [
        str(len(data.rows(s))) for s in ("train", "val", "test")
    ]
    assert f"{metrics['parameters']:,} parameters" in text and f"{metrics['images_seen']} pictures seen" in text


def test_where_it_was_trained_is_the_checkpoints_word(run, params):
    made_with, before = load_checkpoint(run.last)["made_with"], model_card.write_model_card(run)
    assert f"Device: {made_with['device']}. " in before and f"Commit `{made_with['commit']}`" in before
    assert f"Python {made_with['python']}, " in before and f"torch {made_with['versions']['torch']}, " in before
    Run.start(params, "cuda (somebody else's)")
    assert model_card.write_model_card(run) == before
    state = load_checkpoint(run.last)
    del state["made_with"]
    torch.save(state, run.last)  # as older versions wrote it
    text = model_card.write_model_card(run)
    assert "Device, versions and commit: unknown." in text and made_with["device"] not in text


def test_other_numbers_make_another_card(run):
    before = model_card.write_model_card(run)
    metrics = read_json(run.metrics)
    write_json(run.metrics, metrics | {"test_miou": 0.12345, "test_miou_ci95": [0.1, 0.2], "n_train": 77})
    after = model_card.write_model_card(run)
    assert {"| test mIoU | 0.1235 |", "| test mIoU | 0.1234 |"} & set(after.splitlines())
    assert "0.1000 to 0.2000" in after and "Trained on 77 of" in after and "0.1000 to 0.2000" not in before


def test_the_same_files_make_the_same_card(run):
    assert model_card.write_model_card(run) == model_card.write_model_card(run)


def test_the_worst_are_the_worst(run):
    text, test = model_card.write_model_card(run), pd.read_csv(run.per_image, dtype={"image_id": str})
    views = test.groupby("view")["iou"].mean()
    rows = re.findall(r"^\| (\d+) \| \d+ \| (0\.\d{4}) \| 0\.\d{4} \|$", text, re.M)
    assert [int(view) for view, _ in rows] == views.nsmallest(5).index.tolist()
    assert [mean for _, mean in rows] == [f"{mean:.4f}" for mean in views.nsmallest(5)]
    worst = test.nsmallest(5, "iou")["image_id"].tolist()
    assert re.findall(r"^\| (\w+_\d\d) \| 0\.", text, re.M) == worst


def test_it_says_what_the_pictures_are_and_whether_the_split_leaks(run):
    text = model_card.write_model_card(run)
    assert "may not be redistributed" in text and "No car is on two sides" in text and "rendered by" not in text
    test, split = pd.read_csv(run.per_image, dtype={"car_id": str}), pd.read_csv(run.split, dtype={"car_id": str})
    write_csv(run.per_image, test.assign(trim2="rendered"))
    split.loc[split.index[0], "split"] = {"train": "test", "val": "test", "test": "train"}[split["split"].iloc[0]]
    write_csv(run.split, split)
    text = model_card.write_model_card(run)
    assert (
        "rendered by" in text and "redistributed" not in text and "1 car(s) have pictures on more than one side" in text
    )


def test_names_cannot_break_the_tables(run):
    test = pd.read_csv(run.per_image)
    write_csv(run.per_image, test.assign(image_id="a|b", iou=0.5))
    assert "| a\\|b | 0.5000 |" in model_card.write_model_card(run)


def test_what_is_missing_or_stale_is_named(run):
    metrics = read_json(run.metrics)
    write_json(run.metrics, metrics | {"params": metrics["params"] | {"epochs": 3}})
    with pytest.raises(RunError, match=r"metrics\.json was made with other parameters than .*run notebook 05 again"):
        model_card.write_model_card(run)
    write_json(run.metrics, metrics)
    for path, message in {
        run.per_image: "per_image.csv does not exist; run notebook 05",
        run.split: "split.csv does not exist; run notebook 01",
        run.metrics: "metrics.json does not exist; run notebook 05",
    }.items():
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(RunError, match=message):
            model_card.write_model_card(run)
        path.write_bytes(content)
    run.last.unlink()
    with pytest.raises(CheckpointError, match="run notebook 04"):
        model_card.write_model_card(run)
    assert not run.model_card.exists()


class Bright(torch.nn.Module):
    """Says that the car is what is brighter than 160."""

    stride = 16

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(160.0))

    def forward(self, images):
        return images.float().mean(1, keepdim=True) - self.level


def test_pictures_beyond_the_training(run):
    masks = np.zeros((9, 32, 32), np.uint8)
    masks[:, 4:20, 8:24] = 1
    images = np.where(masks[..., None], np.uint8(240), np.uint8(60)).repeat(3, -1)
    table = model_card.beyond_training(Bright(), images, masks)
    found = dict(zip(table["pictures"], table["value"], strict=True))
    perfect = ("as they are", "upside down", "the car half as large")
    assert [found[f"test pictures, {name}"] for name in perfect] == ["1.0000"] * 3
    assert found["test pictures, half as bright"] == "0.0000" and float(found["test pictures, colours inverted"]) < 0.1
    assert found["no car: an even grey"] == "0.0%" and 0 < float(found["no car: noise"].rstrip("%")) < 50
    text = model_card.write_model_card(run, table)
    assert all(f"| {name} | " in text for name in found) and "Untested." not in text
    assert "Untested." in model_card.write_model_card(run)


def test_its_sections_and_tables_are_markdown(run):
    text = model_card.write_model_card(run)
    titles = re.findall(r"^## (.+)$", text, re.M)
    assert titles == ["Data", "Training", "How good it is", "Beyond what it was trained on", "Limits"]
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1 and re.match(r"\| ---", block.splitlines()[1])


def test_an_installed_package_holds_its_template():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["tool"]["setuptools"]
    template = model_card.TEMPLATE.relative_to(ROOT / "carvana_course")
    assert any(template.match(pattern) for pattern in settings["package-data"]["carvana_course"])
