"""Photos with masks on them: what is taken for one, overlays, error maps and labelled grids."""

import io
import textwrap

import cv2
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from carvana_course.show.figures import BLACK, BLUE, ORANGE, PINK, YELLOW, DescribedFigure, new_figure
from carvana_lib.runs import atomic

ERROR_COLORS = {"hit": BLUE, "missed": ORANGE, "false alarm": PINK}
TITLE_SIZE = 13  # of the title above a picture of a grid, points


def as_photo(photo) -> np.ndarray:
    """(H, W, 3) uint8 RGB from that or from grey (H, W) uint8. Raises ValueError for anything else."""
    photo = np.asarray(photo)
    is_grey = photo.ndim == 2
    is_rgb = photo.ndim == 3 and photo.shape[-1] == 3
    if photo.dtype != np.uint8 or photo.size == 0 or not (is_grey or is_rgb):
        raise ValueError(f"a photo must be (H, W, 3) uint8, this one is {photo.shape} {photo.dtype}")
    if is_grey:
        photo = np.repeat(photo[..., None], 3, axis=-1)
    return np.ascontiguousarray(photo)


def as_mask(mask) -> np.ndarray | None:
    """(H, W) uint8 {0, 1} from numbers of any type, also (1, H, W) or (H, W, 1); None stays None."""
    if mask is None:
        return None
    return (plane(mask, "mask") > 0).astype(np.uint8)


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
    """(H, W) from (H, W), (1, H, W) or (H, W, 1). Raises ValueError, naming `name`, for other shapes."""
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
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(values, (shape[1], shape[0]), interpolation=interpolation)


def overlay(image: np.ndarray, mask: np.ndarray, color: str = ORANGE, opacity: float = 0.5) -> np.ndarray:
    """Tint the pixels of a mask: image (H, W, 3) uint8 and mask (H, W) -> (H, W, 3) uint8."""
    tint = 255 * np.array(to_rgb(color))
    blended = (1 - opacity) * image + opacity * tint
    return np.where(mask[..., None] > 0, blended, image).round().astype(np.uint8)


def outline(image: np.ndarray, mask: np.ndarray, side: int = 480) -> np.ndarray:
    """A picture with the contour of a mask, in yellow between black lines, which shows on a car of any colour.

    image (H, W, 3) uint8 and mask (H, W) -> (h, w, 3) uint8, both enlarged to at least `side` pixels, without blur.
    """
    factor = max(1, -(-side // max(mask.shape)))
    drawn = image.repeat(factor, axis=0).repeat(factor, axis=1)
    large = (mask > 0).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)
    width = max(1, max(large.shape) // 240)
    beyond = 4 * width  # so that no line runs along the edge of the picture where the car goes on behind it
    wider = cv2.copyMakeBorder(large, beyond, beyond, beyond, beyond, cv2.BORDER_REPLICATE)
    contours, _ = cv2.findContours(wider, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE, offset=(-beyond, -beyond))
    for color, thickness in ((BLACK, 3 * width), (YELLOW, width)):
        cv2.drawContours(drawn, contours, -1, [255 * share for share in to_rgb(color)], thickness)
    return drawn


def error_map(image: np.ndarray, mask: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The photo in grey, with hit, missed and false-alarm pixels in three colours; (H, W, 3) uint8."""
    picture = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    is_car = mask > 0
    is_claimed = predicted > 0
    picture = overlay(picture, is_car & is_claimed, ERROR_COLORS["hit"], 0.35)
    picture = overlay(picture, is_car & ~is_claimed, ERROR_COLORS["missed"], 0.9)
    return overlay(picture, ~is_car & is_claimed, ERROR_COLORS["false alarm"], 0.9)


def picture_grid(pictures, titles=None, columns: int = 4, width: float = 9, legend: dict | None = None, alt: str = ""):
    """Pictures of one size in rows with a title above each; `legend` maps names to colours.

    pictures: (H, W, 3) uint8, or (H, W) of any type, shown in grey from 0 to their greatest value.
    width: inches. alt: what the pictures show, for those who cannot see them; titles and legend are added to it.
    Returns a JPEG for the notebook to show: photographs as PNG would make it ten times larger.
    """
    pictures = list(pictures)
    rows = -(-len(pictures) // columns)
    height, broad = pictures[0].shape[:2]
    title_height = 0.04
    if titles is not None:
        letters = max(8, int(120 * width / columns / TITLE_SIZE))  # a letter is about 0.6 of its size wide
        wrapped = [textwrap.fill(title, letters) for title in titles]
        lines = 1 + max(title.count("\n") for title in wrapped)
        title_height = 0.15 + lines * 1.2 * TITLE_SIZE / 72
    total_height = rows * (width / columns * height / broad + title_height)
    if legend:
        total_height += 0.4
    fig, axes = new_figure(columns, rows, width, total_height, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for i, picture in enumerate(pictures):
        ax = axes.flat[i]
        ax.imshow(picture, cmap="gray", vmin=0, vmax=None if picture.ndim == 3 else picture.max() or 1)
        if titles is not None:
            ax.set_title(wrapped[i], fontsize=TITLE_SIZE, pad=5, parse_math=False)
    fig.alt = alt or f"{len(pictures)} pictures"
    if titles is not None:
        fig.alt += f": {', '.join(dict.fromkeys(titles))}"
    if legend:
        handles = [Patch(color=color, label=name) for name, color in legend.items()]
        fig.legend(handles=handles, ncols=len(legend), loc="outside lower center", frameon=False)
        fig.alt += f"; in colour: {', '.join(legend)}"
    fig.alt += "."
    return as_jpeg(fig)


def as_jpeg(fig: DescribedFigure):
    """A figure as an IPython image of JPEG bytes, with its alt text."""
    from IPython.display import Image

    buffer = io.BytesIO()
    fig.savefig(buffer, format="jpg", pil_kwargs={"quality": 85})
    return Image(buffer.getvalue(), format="jpeg", alt=fig.alt or fig.describe())


def save_picture(picture, path) -> None:
    """Write what `picture_grid` or `as_jpeg` returned to a file."""
    with atomic(path) as temporary:
        temporary.write_bytes(picture.data)
