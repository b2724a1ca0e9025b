"""Drawings that explain: numbers in their cells, steps down a curve, the U, and what a cell of it can see."""

from itertools import pairwise

import numpy as np

from carvana_course.show.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    RED,
    describe_range,
    new_figure,
    text_color,
)

DOWN = BLUE
BOTTOM = "#8F4A00"  # these and the next are dark enough for white words, with a contrast above 4.5
UP = "#00654A"
SKIP = "#8C2D6B"
LINES = "#888888"  # between cells
SIDE = 5  # pixels of the patch that `pixels` shows


def pixels(photo, mask):
    """A photo (H, W, 3) uint8 with a frame at the left end of the car, and the frame's 5x5 pixels as numbers: their
    mean of red, green and blue, and their values in the mask (H, W) {0, 1}. Without a car, the middle is shown.
    """
    car = np.argwhere(mask)
    center = car[car[:, 1].argmin()] if len(car) else np.array(mask.shape) // 2
    top, left = np.clip(center - SIDE // 2, 0, np.array(mask.shape) - SIDE)
    patch = (slice(top, top + SIDE), slice(left, left + SIDE))
    fig, axes = new_figure(3, width=9, height=3.4)
    axes[0].imshow(photo)
    frame(axes[0], left, top, SIDE)
    axes[0].axis("off")
    greys = photo[patch].mean(-1).round().astype(int)
    numbers(axes[1], greys)
    numbers(axes[2], np.asarray(mask[patch]).astype(int))
    for ax, title in zip(axes, ("the photo", "what the net is given", "what it should answer"), strict=True):
        ax.set_title(title)
    fig.alt = (
        f"A photo of a car with a small frame; the {SIDE}x{SIDE} pixels in it as numbers, {greys.min()} to "
        f"{greys.max()}; and the same pixels in the mask, 1 where there is car and 0 elsewhere."
    )
    return fig


def number_grids(grids: dict, frames: dict | None = None):
    """{title: (H, W) numbers}, side by side with a cell for each number, light where it is large.

    frames: title -> (row, column, side) of a square to be framed in that grid.
    """
    widths = [len(values[0]) for values in grids.values()]
    tallest = max(len(values) for values in grids.values())
    fig, axes = new_figure(
        len(grids), width=0.62 * sum(widths) + len(grids), height=0.62 * tallest + 0.6, width_ratios=widths
    )
    for ax, (title, values) in zip(np.atleast_1d(axes), grids.items(), strict=True):
        numbers(ax, np.asarray(values))
        middle = (len(values) - 1) / 2
        ax.set(title=title, ylim=(middle + tallest / 2, middle - tallest / 2))  # so that all cells are of one size
        if title in (frames or {}):
            row, column, side = frames[title]
            frame(ax, column, row, side)
    rows = {title: "; ".join(" ".join(f"{v:g}" for v in row) for row in values) for title, values in grids.items()}
    fig.alt = f"Grids of numbers, row by row: {', '.join(f'{title} ({text})' for title, text in rows.items())}."
    return fig


def numbers(ax, values) -> None:
    """The numbers of an array (H, W) in their cells, the smaller the darker."""
    shown = ax.imshow(values, cmap="gray")
    for (row, column), value in np.ndenumerate(values):
        color = text_color(shown.to_rgba(value)[:3])
        ax.text(column, row, f"{value:g}", ha="center", va="center", color=color)
    height, width = values.shape
    ax.hlines(np.arange(height + 1) - 0.5, -0.5, width - 0.5, LINES, linewidth=1, clip_on=False)
    ax.vlines(np.arange(width + 1) - 0.5, -0.5, height - 0.5, LINES, linewidth=1, clip_on=False)
    ax.axis("off")


def frame(ax, left: int, top: int, side: int, color: str = RED, label: str = "") -> None:
    """The outline of a square of pixels, or of cells."""
    x = np.array([0, 1, 1, 0, 0]) * side + left - 0.5
    y = np.array([0, 0, 1, 1, 0]) * side + top - 0.5
    ax.plot(x, y, color=color, linewidth=2.5, clip_on=False, label=label)


def descent(loss, paths: dict):
    """The curve of a loss of one weight, and one panel for each path, {title: weights after 0, 1, 2 ... steps}."""
    everywhere = np.concatenate(list(paths.values()))
    low = everywhere.min() - 0.5
    high = everywhere.max() + 0.5
    curve = np.linspace(low, high, 200)
    fig, axes = new_figure(len(paths), width=9, height=3.4, sharex=True, sharey=True)
    for ax, (title, path) in zip(np.atleast_1d(axes), paths.items(), strict=True):
        ax.plot(curve, loss(curve), color=BLUE)
        places = [(weight, loss(weight)) for weight in path]
        for start, end in pairwise(places):
            ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": BLACK, "shrinkA": 3, "shrinkB": 3})
        ax.plot(*zip(*places, strict=True), "o", color=RED)
        ax.plot(*places[0], "o", color=RED, markersize=11)
        ax.set(title=title, xlabel="weight")
    np.atleast_1d(axes)[0].set_ylabel("loss")
    said = [f"{title}: weight {describe_range(path)}" for title, path in paths.items()]
    fig.alt = f"A curve of loss over weight, and steps down it from a large dot; {'; '.join(said)}."
    return fig


def unet_diagram(stages, photo, mask):
    """The U between a photo (H, W, 3) and its mask (H, W), drawn from what `trace_shapes` returns: a box for each stage
    with its channels and size, an arrow for each operation.
    """
    down = [row for row in stages if row["stage"].startswith("encoder")]
    bottom = [row for row in stages if row["stage"] == "bottleneck"]
    up = [row for row in stages if row["stage"].startswith("decoder")]
    boxes = down + bottom + up
    sizes = sorted({row["size"] for row in stages}, reverse=True)
    places = {row["stage"]: (x, -sizes.index(row["size"])) for x, row in enumerate(boxes)}
    last = len(boxes) - 1
    lowest = len(down)
    fig, ax = new_figure(width=10, height=5.6)
    for rows, color in ((down, DOWN), (bottom, BOTTOM), (up, UP)):
        box = {"boxstyle": "round,pad=0.3", "facecolor": color, "edgecolor": "none"}
        for row in rows:
            label = f"{row['channels']} ch\n{row['size']} px"
            ax.text(*places[row["stage"]], label, ha="center", va="center", color="white", fontsize=12.5, bbox=box)

    def arrow(start, end, color=BLACK, shrink=25, width=1.6):
        style = {"arrowstyle": "-|>", "mutation_scale": 16, "color": color, "linewidth": width}
        ax.annotate("", end, start, arrowprops=style | {"shrinkA": shrink, "shrinkB": shrink})

    for start, end in pairwise(places.values()):
        arrow(start, end)
    for left, right in zip(down, reversed(up), strict=True):
        arrow(places[left["stage"]], places[right["stage"]], SKIP, shrink=33, width=2.4)
    for picture, x, title in ((photo, -1.5, "photo"), (mask, last + 1.5, "mask")):
        ax.imshow(picture, extent=(x - 0.55, x + 0.55, -0.5, 0.5), cmap="gray", aspect="auto")
        ax.text(x, 0.56, title, ha="center", va="bottom")
    arrow((-0.95, 0), (-0.45, 0), shrink=0)
    arrow((last + 0.45, 0), (last + 0.95, 0), shrink=0)
    ax.text(lowest, 0.12, "skip connection: concatenate", ha="center", va="bottom", color=SKIP)
    ax.text(0.75, -1.75, "max pooling 2x2", ha="right", va="center")
    ax.text(last - 0.75, -1.6, "transposed\nconvolution 2x2", ha="left", va="center")
    ax.text(last + 0.75, -0.6, "convolution 1x1", ha="left", va="top")
    ax.text(-2, -lowest, "In each box, twice:\nconvolution 3x3,\nBatchNorm, ReLU", ha="left", va="center")
    ax.set(xlim=(-2.1, last + 2.6), ylim=(-lowest - 0.5, 0.95))
    ax.axis("off")
    fig.alt = (
        f"Diagram of the U between a photo and its mask: {len(down)} stages down by max pooling, from "
        f"{down[0]['channels']} channels at {down[0]['size']} pixels to {bottom[0]['channels']} at "
        f"{bottom[0]['size']}, {len(up)} stages up by transposed convolutions, and a skip connection across each level."
    )
    return fig


def receptive_fields(photo, stages):
    """What one cell of each stage can see, from `receptive_field`, as squares on a photo (H, W, 3): a cell in the
    middle on the left, one in the upper left corner on the right.
    """
    height, width = photo.shape[:2]
    widest = stages[-1]["pixels"] / 2
    first = stages[-1]["stride"] / 2 - widest  # where the corner cell's square begins
    fig, axes = new_figure(2, width=9, height=5.6)
    right = max(width, width / 2 + widest) + 2
    bottom = max(height, height / 2 + widest) + 2
    for ax, title in zip(axes, ("a cell in the middle", "a cell in the corner"), strict=True):
        ax.imshow(photo)
        for stage, color in zip(stages, (BLUE, ORANGE, GREEN, RED, PINK), strict=True):
            x = width / 2
            y = height / 2
            if ax is axes[1]:
                x = stage["stride"] / 2  # a cell is as wide as the stride
                y = x
            reach = stage["pixels"] / 2
            frame(ax, x - reach, y - reach, stage["pixels"], color, f"{stage['stage']}: {stage['pixels']} px")
        ax.set(title=title, xlim=(first - 2, right), ylim=(bottom, first - 2))
        ax.axis("off")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    seen = ", ".join(f"{stage['stage']} {stage['pixels']}" for stage in stages)
    fig.alt = (
        f"A photo of {width}x{height} pixels, twice, and the squares that one cell of a stage sees: {seen} pixels. "
        f"Around a cell in the middle they lie on the photo, around one in the corner mostly outside."
    )
    return fig
