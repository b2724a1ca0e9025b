"""A page that says what a net is, what it was made from, how good it is and what it cannot do.

Every number on it is read from the run's own files. (Mitchell et al. 2019, "Model Cards for Model Reporting".)
"""

import numpy as np
import pandas as pd
import torch

from carvana_course.evidence.facts import cars_on_two_sides, is_rendered
from carvana_lib import RunError
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.metrics import confusion_counts, iou
from carvana_lib.prediction import net_logits
from carvana_lib.reading import resize
from carvana_lib.runs import Run, atomic, read_json

WORST = 5  # rows of the tables of views and pictures
RENDERED = (
    "Pictures rendered by this repository's `studio/`, of invented cars, under its MIT licence. "
    "They show what photographs would be like, and are none."
)
PHOTOS = (
    "Photographs in the layout of Kaggle's Carvana Image Masking Challenge. If they are that competition's, its rules "
    "hold: they may not be redistributed, and what a net trained on them may be used for follows from them."
)
LIMITS = """\
- It knows one scene: one whole car in the middle of a light studio, from the height of a person's eyes. For anything
  else (streets, several cars, parts of cars, night) it was neither trained nor tested.
- Glass is part of the car, as in the masks it learned from: what is seen through a window is cut out with it.
- Thin parts (antennas, mirrors, roof racks) and tyres in shadow are where masks err first; look at the worst pictures.
- The score is of pictures that look like the training's. The interval is over cars, of this one split.
- It is for cutting out cars, and for learning. Nothing that people's safety depends on may rest on it."""


def write(run: Run, beyond: pd.DataFrame | None = None) -> str:
    """Write `run.model_card` from the run's params.json, metrics.json, per_image.csv, split.csv and last checkpoint.

    `beyond` is what `beyond_training` measured; the card says so where it is not given. The same files give the same
    card, whoever writes it. Returns its text. Raises RunError where a file is missing or belongs to other parameters,
    CheckpointError for an unusable checkpoint.
    """
    record, metrics = read_json(run.params, "notebook 04"), read_json(run.metrics, "notebook 05")
    if metrics["params"] != record["params"]:
        raise RunError(f"{run.metrics} was made with other parameters than {run.params}; run notebook 05 again")
    last = load_checkpoint(run.last)
    test, split = read_table(run.per_image, "notebook 05"), read_table(run.split, "notebook 01")
    rendered = is_rendered(test)
    trained, history = last["params"], pd.DataFrame(last["history"])
    sides = split.groupby("split", sort=False).agg(pictures=("image_id", "size"), cars=("car_id", "nunique"))
    leak = cars_on_two_sides(split)
    parts = [
        f"# Model card: run `{run.name}`",
        f"A U-Net of {metrics['parameters']:,} parameters that says for each pixel of a picture how probably it shows "
        f"a car. It takes RGB pictures of 0 to 255, stretched to {trained['image_size']} x {trained['image_size']} "
        "pixels, and gives a probability for each of their pixels; the mask is where it is at least 0.5.",
        "## Data",
        f"{RENDERED if rendered else PHOTOS} Folder: `{record['params']['data_dir']}`.",
        as_table(sides.loc[["train", "val", "test"]].rename_axis("part").reset_index()),
        f"Trained on {metrics['n_train']} of the training pictures. "
        + (
            f"{leak} car(s) have pictures on more than one side, which flatters the score."
            if leak
            else "No car is on two sides."
        ),
        "## Training",
        as_table(pd.DataFrame(trained.items(), columns=["parameter", "value"])),
        origin(last.get("made_with")),
        f"{len(history)} epochs, {history['images'].sum():,.0f} pictures seen, {history['seconds'].sum():.0f} seconds, "
        "validation included. The energy was not measured.",
        "## How good it is",
        scores(metrics, test),
        "The IoU of the car is computed for each test picture at probability 0.5 and averaged over pictures; the "
        "interval is drawn over cars, since views of one car are not independent.",
        "### The worst views",
        as_table(worst_views(test)),
        "### The worst pictures",
        as_table(test.nsmallest(WORST, "iou")[["image_id", "iou", "dice", "boundary_iou"]]),
        "## Beyond what it was trained on",
        "Untested." if beyond is None else as_table(beyond),
        "## Limits",
        LIMITS,
    ]
    text = "\n\n".join(parts) + "\n"
    with atomic(run.model_card) as temporary:
        temporary.write_text(text, encoding="utf8")
    return text


def read_table(path, made_by: str) -> pd.DataFrame:
    """A CSV artefact with its identifiers as text. Raises RunError naming the notebook to run where it is missing."""
    if not path.exists():
        raise RunError(f"{path} does not exist; run {made_by} first")
    return pd.read_csv(path, dtype={"image_id": str, "car_id": str})


def as_table(table: pd.DataFrame) -> str:
    """A table in Markdown, scores with four digits; a bar in a name would begin a new cell, so it is escaped."""
    for name in table.select_dtypes("float"):
        table = table.assign(**{name: table[name].map("{:.4f}".format)})
    rows = [table.columns, ["---"] * table.shape[1], *table.astype(object).to_numpy()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def origin(made_with: dict | None) -> str:
    """Where the net was trained, as its checkpoint says; older checkpoints do not say."""
    if made_with is None:
        return "Device, versions and commit: unknown."
    versions = {"Python": made_with["python"], **made_with["versions"]}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"Device: {made_with['device']}. System: {made_with['platform']}. {listed}. Commit `{made_with['commit']}`."


def scores(metrics: dict, test: pd.DataFrame) -> str:
    """The run's numbers as a table: what, value."""
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
    return as_table(pd.DataFrame(rows, columns=["measure", "value"]))


def worst_views(test: pd.DataFrame) -> pd.DataFrame:
    """The views of the lowest mean IoU: view, pictures, mean IoU, least IoU."""
    by_view = test.groupby("view")["iou"].agg(["size", "mean", "min"]).nsmallest(WORST, "mean").reset_index()
    return by_view.set_axis(["view", "pictures", "mean IoU", "least IoU"], axis=1)


def beyond_training(model, images: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """What the net makes of pictures unlike its training's: (pictures, measure, value).

    The test pictures (N, S, S, 3) uint8 RGB with masks (N, S, S) are changed in ways that the training's augmentation
    does not reach, and then there are pictures without a car. Street photos would need masks, which nobody here has.
    """
    images, masks, size = np.asarray(images), np.asarray(masks), images.shape[1]
    small, border = size // 2, (size - size // 2) // 2
    border = ((0, 0), (border, size - small - border), (border, size - small - border))
    noise = np.random.default_rng(0).integers(0, 256, images[:8].shape, dtype=np.uint8)
    changed = {
        "as they are": (images, masks),
        "upside down": (images[:, ::-1], masks[:, ::-1]),
        "half as bright": (images // 2, masks),
        "colours inverted": (255 - images, masks),
        "the car half as large": (
            np.pad(np.stack([resize(image, small) for image in images]), (*border, (0, 0)), mode="edge"),
            np.pad(np.stack([resize(mask, small) for mask in masks]), border),
        ),
    }
    rows = []
    for name, (pictures, truth) in changed.items():
        tp, fp, fn, _ = confusion_counts(said(model, pictures), torch.from_numpy(truth.copy())).numpy().T
        rows.append((f"test pictures, {name}", "mIoU", f"{iou(tp, fp, fn).mean():.4f}"))
    for name, pictures in {"an even grey": np.full_like(images[:1], 128), "noise": noise}.items():
        rows.append((f"no car: {name}", "pixels said to be car", f"{said(model, pictures).float().mean():.1%}"))
    return pd.DataFrame(rows, columns=["pictures", "measure", "value"])


def said(model, pictures: np.ndarray) -> torch.Tensor:
    """(N, S, S, 3) uint8 RGB -> where the net says car, (N, S, S) bool, a few pictures at a time."""
    batches = (pictures[start : start + 8] for start in range(0, len(pictures), 8))
    return torch.from_numpy(np.concatenate([net_logits(model, batch) >= 0 for batch in batches]))
