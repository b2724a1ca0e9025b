"""Photos with masks on them: what is taken for one, overlays, error maps and labelled grids."""

import io

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from carvana_course.show.plots import BLUE, ORANGE, PURPLE, DescribedFigure, figure
from carvana_lib.runs import atomic

ERROR_COLORS = {"hit": BLUE, "missed": ORANGE, "false alarm": PURPLE}


def as_photo(photo) -> np.ndarray:
    """(H, W, 3) uint8 RGB from that or from grey (H, W) uint8. Raises ValueError for anything else."""
    photo = np.asarray(photo)
    if photo.dtype != np.uint8 or photo.size == 0 or not (photo.ndim == 2 or photo.ndim == 3 and photo.shape[-1] == 3):
        raise ValueError(f"a photo must be (H, W, 3) uint8, this one is {photo.shape} {photo.dtype}")
    return np.ascontiguousarray(photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=-1))


def as_mask(mask) -> np.ndarray | None:
    """(H, W) uint8 {0, 1} from numbers of any type, also (1, H, W) or (H, W, 1); None stays None."""
    return None if mask is None else (plane(mask, "mask") > 0).astype(np.uint8)


def as_probability(probability) -> np.ndarray | None:
    """(H, W) float32 from 0 to 1, from that or from uint8 0 to 255; None stays None. Raises ValueError for logits."""
    if probability is None:
        return None
    probability = plane(probability, "probability")
    if probability.dtype == np.uint8:
        return probability.astype(np.float32) / 255
    if not (probability.min() >= 0 and probability.max() <= 1):
        raise ValueError(
            "probabilities must lie between 0 and 1; do they still need a sigmoid, or are they not finite?"
        )
    return probability.astype(np.float32)


def plane(values, name: str) -> np.ndarray:
    """(H, W) from (H, W), (1, H, W) or (H, W, 1). Raises ValueError for other shapes."""
    values = np.asarray(values)
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a {name} must be (H, W), this one is {values.shape}")
    return values


def stretch(values: np.ndarray, shape) -> np.ndarray:
    """(h, w) float32 -> (H, W) float32: averaged where it shrinks, interpolated where it grows."""
    if values.shape == tuple(shape):
        return values
    shrinks = values.size > shape[0] * shape[1]
    return cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def overlay(image: np.ndarray, mask: np.ndarray, color: str = ORANGE, opacity: float = 0.5) -> np.ndarray:
    """Tint the pixels of a mask: image (H, W, 3) uint8 and mask (H, W) -> (H, W, 3) uint8."""
    tint = 255 * np.array(to_rgb(color))
    blended = (1 - opacity) * image + opacity * tint
    return np.where(mask[..., None] > 0, blended, image).round().astype(np.uint8)


def error_map(image: np.ndarray, mask: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The photo in grey, with hit, missed and false-alarm pixels in three colours; (H, W, 3) uint8."""
    picture = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    truth, said = mask > 0, predicted > 0
    for name, where in {"hit": truth & said, "missed": truth & ~said, "false alarm": ~truth & said}.items():
        opacity = 0.35 if name == "hit" else 0.9
        picture = overlay(picture, where, ERROR_COLORS[name], opacity)
    return picture


def grid(pictures, titles=None, columns: int = 4, width: float = 9, legend: dict | None = None, alt: str = ""):
    """Pictures of one size in rows with a title above each; `legend` maps names to colours.

    alt: what the pictures show, for readers who cannot see them; titles and legend are added to it.
    Returns a JPEG for the notebook to show: photographs as PNG would make it ten times larger.
    """
    pictures = list(pictures)
    rows = -(-len(pictures) // columns)
    height, tall = pictures[0].shape[:2], 0.26 if titles is not None else 0.04
    cell = width / columns
    fig, axes = figure(
        columns,
        rows,
        width=width,
        height=rows * (cell * height[0] / height[1] + tall) + 0.35 * bool(legend),
        squeeze=False,
    )
    for i, ax in enumerate(axes.flat):
        ax.axis("off")
        if i < len(pictures):
            ax.imshow(pictures[i], cmap="gray", vmin=0, vmax=None if pictures[i].ndim == 3 else pictures[i].max() or 1)
            if titles is not None:
                ax.set_title(titles[i], fontsize=9, pad=3)
    if legend:
        fig.legend(
            handles=[Patch(color=color, label=name) for name, color in legend.items()],
            ncols=len(legend),
            loc="outside lower center",
            frameon=False,
        )
    marked = f"; in colour: {', '.join(legend)}" if legend else ""
    named = f": {', '.join(dict.fromkeys(titles))}" if titles is not None else ""
    fig.alt = f"{alt or f'{len(pictures)} pictures'}{named}{marked}."
    return as_jpeg(fig)


def as_jpeg(fig: DescribedFigure):
    """A figure as an IPython image of JPEG bytes, with its alt text."""
    from IPython.display import Image

    buffer = io.BytesIO()
    fig.savefig(buffer, format="jpg", pil_kwargs={"quality": 85})
    return Image(buffer.getvalue(), format="jpeg", alt=fig.alt or fig.describe())


def save(picture, path) -> None:
    """Write what `grid` or `as_jpeg` returned to a file."""
    with atomic(path) as temporary:
        temporary.write_bytes(picture.data)
