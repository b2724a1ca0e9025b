"""A page that says what a net is, what it was made from, how good it is and what it cannot do.

Its words are in model_card.md.j2; every number on it is read from the run's own files. (Mitchell et al. 2019, "Model
Cards for Model Reporting".)
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jinja2 import Environment, StrictUndefined

from carvana_course.facts import cars_on_two_sides, is_rendered
from carvana_course.show.tables import markdown_table
from carvana_lib import RunError
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.config import Params
from carvana_lib.frame import Frame
from carvana_lib.metrics import confusion_counts, iou
from carvana_lib.prediction import net_logits
from carvana_lib.runs import Run, atomic, read_json

TEMPLATE = Path(__file__).with_suffix(".md.j2")
WORST = 5  # rows of the tables of views and pictures


def write_model_card(run: Run, beyond: pd.DataFrame | None = None) -> str:
    """Write `run.model_card` from the run's params.json, metrics.json, per_image.csv, split.csv and last checkpoint.

    `beyond` is what `beyond_training` measured; the card says so where it is not given. The same files give the same
    card, whoever writes it. Returns its text. Raises RunError where a file is missing or belongs to other parameters,
    CheckpointError for an unusable checkpoint.
    """
    record = read_json(run.params, "notebook 04")
    metrics = read_json(run.metrics, "notebook 05")
    if metrics["params"] != record["params"]:
        raise RunError(f"{run.metrics} was made with other parameters than {run.params}; run notebook 05 again")
    checkpoint = load_checkpoint(run.last)
    params = Params(**checkpoint["params"])
    test = read_images_table(run.per_image, "notebook 05")
    split = read_images_table(run.split, "notebook 01")

    environment = Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)
    environment.filters["markdown_table"] = markdown_table
    text = environment.from_string(TEMPLATE.read_text(encoding="utf8")).render(
        run=run,
        data_dir=record["params"]["data_dir"],
        metrics=metrics,
        frame=params.frame,
        encoder=params.encoder,
        params_table=pd.DataFrame(checkpoint["params"].items(), columns=["parameter", "value"]),
        made_with=checkpoint.get("made_with"),  # older checkpoints do not say
        history=pd.DataFrame(checkpoint["history"]),
        rendered=is_rendered(test),
        parts=count_parts(split),
        leaked_cars=cars_on_two_sides(split),
        scores=score_table(metrics, test),
        worst_views=worst_views(test),
        worst_pictures=four_digits(test.nsmallest(WORST, "iou")[["image_id", "iou", "dice", "boundary_iou"]]),
        beyond=beyond,
    )
    with atomic(run.model_card) as temporary:
        temporary.write_text(text, encoding="utf8")
    return text


def read_images_table(path: Path, made_by: str) -> pd.DataFrame:
    """A CSV with a row an image, identifiers as text. Raises RunError that names the notebook to run first."""
    if not path.exists():
        raise RunError(f"{path} does not exist; run {made_by} first")
    return pd.read_csv(path, dtype={"image_id": str, "car_id": str})


def four_digits(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its numbers of type float as text."""
    floats = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].map("{:.4f}".format) for name in floats})


def count_parts(split: pd.DataFrame) -> pd.DataFrame:
    """The parts of the split: part, pictures, cars."""
    parts = split.groupby("split").agg(pictures=("image_id", "size"), cars=("car_id", "nunique"))
    return parts.loc[["train", "val", "test"]].rename_axis("part").reset_index()


def score_table(metrics: dict, test: pd.DataFrame) -> pd.DataFrame:
    """The run's numbers: measure, value."""
    low, high = metrics["test_miou_ci95"]
    rows = [
        ("test mIoU", f"{metrics['test_miou']:.4f}"),
        ("95 % interval of it, over cars", f"{low:.4f} to {high:.4f}"),
        ("standard deviation over pictures", f"{metrics['test_iou_std']:.4f}"),
        ("worst and best picture", f"{metrics['test_iou_min']:.4f} and {metrics['test_iou_max']:.4f}"),
        ("test Dice", f"{metrics['test_dice']:.4f}"),
        ("test boundary IoU", f"{metrics['test_boundary_iou']:.4f}"),
        ("validation mIoU", f"{metrics['val_miou']:.4f}"),
        ("test pictures and cars", f"{metrics['n_test']} and {test['car_id'].nunique()}"),
    ]
    return pd.DataFrame(rows, columns=["measure", "value"])


def worst_views(test: pd.DataFrame) -> pd.DataFrame:
    """The views of the lowest mean IoU: view, pictures, mean IoU, least IoU."""
    by_view = test.groupby("view")["iou"].agg(["size", "mean", "min"]).nsmallest(WORST, "mean").reset_index()
    return four_digits(by_view.set_axis(["view", "pictures", "mean IoU", "least IoU"], axis=1))


def beyond_training(model, images: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """What the net makes of pictures unlike its training's: (pictures, measure, value).

    The test pictures (N, H, W, 3) uint8 RGB with masks (N, H, W) are changed in ways that the training's augmentation
    does not reach, and then there are pictures without a car. Street photos would need masks, which nobody here has.
    """
    images = np.asarray(images)
    masks = np.asarray(masks)
    changed = {
        "as they are": (images, masks),
        "upside down": (images[:, ::-1], masks[:, ::-1]),
        "half as bright": (images // 2, masks),
        "colours inverted": (255 - images, masks),
        "the car half as large": half_as_large(images, masks),
    }
    rows = []
    for name, (pictures, truth) in changed.items():
        counts = confusion_counts(predict_masks(model, pictures), torch.from_numpy(truth.copy()))
        tp, fp, fn, _ = counts.numpy().T
        rows.append((f"test pictures, {name}", "mIoU", f"{iou(tp, fp, fn).mean():.4f}"))
    without_car = {
        "an even grey": np.full_like(images[:1], 128),
        "noise": np.random.default_rng(0).integers(0, 256, images[:8].shape, dtype=np.uint8),
    }
    for name, pictures in without_car.items():
        share = predict_masks(model, pictures).float().mean()
        rows.append((f"no car: {name}", "pixels said to be car", f"{share:.1%}"))
    return pd.DataFrame(rows, columns=["pictures", "measure", "value"])


def half_as_large(images: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and masks at half their size in the middle of frames as large as before, their edges repeated."""
    height, width = images.shape[1:3]
    small = Frame(height // 2, width // 2)
    rows = (height // 4, height - small.height - height // 4)
    columns = (width // 4, width - small.width - width // 4)
    return (
        np.pad([small.resize(image) for image in images], ((0, 0), rows, columns, (0, 0)), mode="edge"),
        np.pad([small.resize(mask) for mask in masks], ((0, 0), rows, columns)),
    )


def predict_masks(model, pictures: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 RGB -> where the net says car, (N, H, W) bool, a few pictures at a time."""
    batches = [pictures[start : start + 8] for start in range(0, len(pictures), 8)]
    return torch.from_numpy(np.concatenate([net_logits(model, batch) >= 0 for batch in batches]))
