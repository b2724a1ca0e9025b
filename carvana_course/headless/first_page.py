"""What the report of a run begins with: what was run, how good it is, and the pictures that show it."""

from datetime import datetime

import pandas as pd

from carvana_course.browser import layers
from carvana_course.deployment import cutout
from carvana_course.facts import is_rendered
from carvana_course.headless.pages import figure_picture, picture
from carvana_course.show import plots
from carvana_lib import CheckpointError
from carvana_lib.checkpoints import load_trained
from carvana_lib.prediction import probability
from carvana_lib.reading import read_photo
from carvana_lib.runs import Run

EXAMPLES = 4  # best and worst pictures, of each
WIDTH = 240  # pixels of one of these at least


def about(run: Run, params, record: dict, metrics: dict, data, seconds: float) -> str:
    """What was run, in a few words each."""
    parts = []
    if "parameters" in metrics:
        parts.append(f"A U-Net of {metrics['parameters']:,} parameters")
        parts.append(f"trained for {metrics['epochs']} epochs on {metrics['n_train']:,} photos")
    if data is not None:
        kind = "rendered pictures" if is_rendered(data.table) else "pictures"
        parts.append(f"{len(data.table):,} {kind} of {data.table['car_id'].nunique():,} cars")
    parts.append(f"{params.frame.width} x {params.frame.height} pixels")
    parts.append(record["device"])
    parts.append(f"seed {params.seed}")
    if seconds:
        parts.append(f"{seconds / 60:.1f} minutes in the notebooks")
    day = datetime.fromtimestamp(run.params.stat().st_mtime)
    parts.append(f"{day:%d %B %Y}".lstrip("0"))
    return "; ".join(filter(None, parts)) + "."


def score_tiles(metrics: dict) -> list[tuple[str, str, str]]:
    """(name, value, note) of the scores that a reader asks for first; none where nothing was scored."""
    tiles = []
    low, high = metrics.get("test_miou_ci95", (None, None))
    interval = "" if low is None else f"95 % over cars:\n{low:.3f} to {high:.3f}"
    for key, name, note in (
        ("test_miou", "test mIoU", interval),
        ("val_miou", "validation mIoU", f"{metrics.get('n_val', 0):,} photos"),
        ("test_iou_min", "worst test photo", f"of {metrics.get('n_test', 0):,}"),
        ("test_boundary_iou", "outlines", "boundary IoU, test"),
    ):
        if key in metrics:
            tiles.append((name, f"{metrics[key]:.4f}", note))
    if "seconds_per_epoch" in metrics:
        tiles.append(("an epoch", f"{metrics['seconds_per_epoch']:.1f} s", f"{metrics.get('epochs', '')} of them"))
    return tiles


def verdict(test: pd.DataFrame, metrics: dict, data) -> str:
    """What the scores say, and what they do not, in two sentences or three; or that there are none."""
    if not metrics:
        return "This run has not been scored: chapter 05 has not run with these parameters and pictures."
    score = f"the mean IoU is {metrics['test_miou']:.3f}"
    if test.empty or "test_miou_ci95" not in metrics:
        return f"On the test photos {score}. Which photos these are is not known any more: run chapter 05 again."
    cars = test["car_id"].nunique()
    if cars == 1:
        said = f"On {len(test)} test photos of one car, {score}."
        return f"{said} One car says nothing of others: test on more before you trust the number."
    low, high = metrics["test_miou_ci95"]
    said = f"On {len(test)} test photos of {cars} cars that the net has not seen, {score}"
    said += f", and with other cars it could as well be {low:.3f} to {high:.3f}."
    worst = test.iloc[0]
    limits = "The interval leaves out the seed: another training would differ, too."
    if data is not None and is_rendered(data.table):
        limits = "All of them are renders, so nothing is said of real photos."
    return f"{said} The weakest photo is {worst['image_id']}, with {worst['iou']:.2f}. {limits}"


def read_test(run: Run) -> pd.DataFrame:
    """The run's test pictures, the worst first; none where their table is gone."""
    if not run.per_image.exists():
        return pd.DataFrame()
    table = pd.read_csv(run.per_image, dtype={"image_id": str, "car_id": str})
    return table.sort_values("iou", ignore_index=True, kind="stable")


def figures_of(run: Run, test: pd.DataFrame, params, metrics: dict, data) -> list[dict]:
    """The pictures of the first page: learning curve, worst and best test photos, and the way to a cut-out."""
    figures = []
    if run.history.exists():
        curves = figure_picture(plots.learning_curves(pd.read_csv(run.history)))
        figures.append({"title": "Loss and validation mIoU, epoch by epoch", "pictures": [curves]})
    if not metrics or data is None or test.empty:
        return figures
    try:
        model, params, _ = load_trained(data, params)
    except CheckpointError:  # its scores are still there
        figures.append({"title": "The net has gone, and its masks with it: run chapter 04 again", "pictures": []})
        return figures
    count = max(1, min(EXAMPLES, len(test) // 2))  # so that no photo is among the best and the worst
    worst = [show_example(model, params, data, row) for _, row in test.head(count).iterrows()]
    best = [show_example(model, params, data, row) for _, row in test.tail(count)[::-1].iterrows()]
    figures.append({"title": "Worst test photos: hit blue, missed orange, false alarm pink", "pictures": worst})
    figures.append({"title": "Best test photos", "pictures": best})
    middle = test.iloc[len(test) // 2]
    photo = read_photo(data.folder / middle["image"], at_least=480)
    car = cutout.steps(photo, probability(model, photo, params.frame, flip=params.flip))
    shown = picture(car.data, "jpeg", f"{middle['image_id']}: photo, probability, mask, cut-out.", middle["image_id"])
    figures.append({"title": "From photo to cut-out, a test photo of middling score", "pictures": [shown]})
    return figures


def show_example(model, params, data, row) -> dict:
    """One test photo with what was hit, missed and falsely claimed, its name and score."""
    photo = read_photo(data.folder / row["image"], at_least=WIDTH)
    car = probability(model, photo, params.frame, flip=params.flip)
    shown = layers.compose(photo, data.read_mask(row["mask"]), car, layers.ERRORS)
    name = row["image_id"]
    score = f"IoU {row['iou']:.3f}"
    content = layers.encode_jpeg(shown, quality=85)
    return picture(content, "jpeg", f"{name}, {score}: hit, missed and false alarm", f"{name}\n{score}")
