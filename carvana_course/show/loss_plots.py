"""The pictures of losses in chapter 03: what each pixel costs, and curves with the size of Carvana's cars."""

import cv2
import numpy as np

from carvana_course.show.figures import new_figure
from carvana_course.show.pictures import TITLE_SIZE, as_jpeg
from carvana_course.show.plots import curves

CARVANA_AREAS = (0.09, 0.41)  # the share of a photo that is car, least and most
MEDIAN_AREA = 0.21


def typical_car(masks: np.ndarray) -> int:
    """Masks (N, H, W) in which 1 is car -> the row of the one whose car is closest to Carvana's median in size."""
    areas = (masks == 1).mean((1, 2))
    return int(np.abs(areas - MEDIAN_AREA).argmin())


def move_and_blur(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) bool -> probabilities (H, W) float32 from 0.02 to 0.98: the mask, moved down and right and blurred,
    as if a net had guessed it.
    """
    by = max(1, len(mask) // 24)
    moved = np.roll(mask, (by, by), axis=(0, 1)).astype(np.float32)
    return 0.02 + 0.96 * cv2.GaussianBlur(moved, (0, 0), 2 * by)


def pixel_maps(maps: dict):
    """{title: array or tensor (H, W)} side by side, each with a scale of its own; a JPEG."""
    fig, axes = new_figure(len(maps), width=4.6 * len(maps), height=3.6, squeeze=False)
    parts = []
    for ax, (title, values) in zip(axes.flat, maps.items(), strict=True):
        fig.colorbar(ax.imshow(values, cmap="cividis"), ax=ax)
        ax.set_title(title, fontsize=TITLE_SIZE)
        ax.axis("off")
        parts.append(f"{title}, from {values.min():.2f} to {values.max():.2f}")
    fig.alt = f"Maps in colour, a value per pixel: {'; '.join(parts)}."
    return as_jpeg(fig)


def loss_curves(lines: dict, xlabel: str, ylabel: str, title: str, carvana: bool = False, log_y: bool = False):
    """`curves` under a title that says under which condition they were computed.

    carvana: shade where Carvana's cars are; the x axis is then the share of the picture that is car.
    """
    fig = curves(lines, xlabel, ylabel, log_y=log_y)
    (ax,) = fig.axes
    ax.set_title(title)
    if carvana:
        least, most = CARVANA_AREAS
        ax.axvspan(least, most, color="0.88", zorder=0, label=f"Carvana: {100 * least:.0f} % to {100 * most:.0f} %")
        fig.alt = f"{fig.alt[:-1]}; shaded from {least} to {most}, where Carvana's cars are."
    ax.legend()
    fig.alt = f"{title}: {fig.alt}"
    return fig
