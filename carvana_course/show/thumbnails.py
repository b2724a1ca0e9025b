"""The cars of a split, a thumbnail each."""

import cv2
import torch
from torchvision.utils import make_grid

from carvana_course.show.figures import BLUE, GREEN, ORANGE, new_figure
from carvana_course.show.pictures import as_jpeg

SPLIT_COLORS = {"train": BLUE, "val": ORANGE, "test": GREEN}
PER_LINE = 8
MOST_CARS = 5 * PER_LINE  # thumbnails of one part
CAR_WIDTH = 120  # of a thumbnail, pixels


def split_sheet(data):
    """The cars of train, val and test of a `Carvana` in three frames, each by its third picture.

    Of a part with more than 40 cars the first 40 are shown; its title counts all. Returns a JPEG to show.
    """
    first = data.table.iloc[0]
    size = (CAR_WIDTH, max(1, round(CAR_WIDTH * first["height"] / first["width"])))
    grids = []
    titles = []
    for part in SPLIT_COLORS:
        rows = data.table.iloc[data.rows(part)]
        cars = [views.index[:3][-1] for _, views in rows.groupby("car_id")]
        photos = [cv2.resize(data.images[row], size, interpolation=cv2.INTER_AREA) for row in cars[:MOST_CARS]]
        photos += [photos[0] * 0 + 255] * (-len(photos) % PER_LINE)  # white, to the end of the line
        stack = torch.stack([torch.from_numpy(photo).permute(2, 0, 1) for photo in photos])
        grids.append(make_grid(stack, PER_LINE, padding=4, pad_value=255).permute(1, 2, 0).numpy())
        titles.append(f"{part}: {len(cars)} cars, {len(rows):,} pictures")
    heights = [grid.shape[0] for grid in grids]
    height = 9 * sum(heights) / grids[0].shape[1] + 1.2
    fig, axes = new_figure(1, len(grids), width=9, height=height, gridspec_kw={"height_ratios": heights})
    for ax, grid, title, color in zip(axes, grids, titles, SPLIT_COLORS.values(), strict=True):
        ax.imshow(grid)
        ax.set_title(title, loc="left")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color=color, linewidth=3)
    fig.alt = f"A thumbnail of each car, in three frames. {'; '.join(titles)}."
    return as_jpeg(fig)
