"""Charts of a net's scores in chapter 05: by picture, by view, and how far a mean could be off."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from carvana_course.show.figures import (
    BLACK,
    BLUE,
    LINE_COLORS,
    RED,
    SKY,
    describe_extremes,
    new_figure,
)

COLOURED = 6  # cars that have a colour of their own, the worst first
OTHERS = "0.75"  # a grey


def car_colors(table) -> dict[str, str]:
    """{car_id: colour}, from the lowest mean of the column `iou` to the highest; cars after the sixth are grey."""
    cars = table.groupby("car_id")["iou"].mean().sort_values().index
    colors = [*LINE_COLORS[:COLOURED], *[OTHERS] * max(0, len(cars) - COLOURED)]
    return dict(zip(cars, colors, strict=False))


def car_name(place: int, car: str, count: int) -> str:
    """What a legend calls a car: the beginning of its id, and the first of the grey ones 'N others'; '' is left out."""
    if place < COLOURED:
        return str(car)[:4]
    return f"{count - COLOURED} others" if place == COLOURED else ""


def iou_histogram(table, bins: int = 15):
    """Pictures by their IoU, from the columns `iou` (0 to 1) and `car_id`, each car in a colour, and the mean."""
    fig, ax = new_figure(height=4)
    colors = car_colors(table)
    names = [car_name(place, car, len(colors)) for place, car in enumerate(colors)]
    ious = [table.loc[table["car_id"] == car, "iou"] for car in colors]
    ax.hist(ious, bins=bins, stacked=True, color=list(colors.values()), label=names, edgecolor="white")
    mean = table["iou"].mean()
    ax.axvline(mean, color=BLACK, linestyle="--", label=f"mean {mean:.3f}")
    ax.set(xlabel="IoU of one picture", ylabel="pictures")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = ax.get_legend_handles_labels()
    shown = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label]
    fig.legend(*zip(*shown, strict=True), title="car", loc="outside right upper", frameon=False)
    worst = next(iter(colors))
    fig.alt = (
        f"Histogram of the IoU of {len(table)} pictures, {table['iou'].min():.3f} to {table['iou'].max():.3f}, with "
        f"mean {mean:.3f}, coloured by car; the lowest car is {str(worst)[:4]}, with a mean of {ious[0].mean():.3f}."
    )
    return fig


def polar_by_view(table):
    """The column `iou` around the turntable: view 1 at the top, clockwise; a dot per picture in its car's colour, and a
    line of means over cars.
    """
    means = table.groupby("view")["iou"].mean()
    fig, ax = new_figure(width=6.6, height=5, subplot_kw={"projection": "polar"})
    ax.set(theta_zero_location="N", theta_direction=-1)
    colors = car_colors(table)
    for place, (car, color) in enumerate(colors.items()):
        pictures = table[table["car_id"] == car]
        name = car_name(place, car, len(colors))
        ax.plot(angle(pictures["view"]), pictures["iou"], "o", color=color, markersize=5, label=name or None)
    angles = angle(means.index)
    ax.plot([*angles, angles[0]], [*means, means.iloc[0]], "-", color=BLACK, linewidth=2, label="mean")
    ax.set_xticks(angle(np.arange(1, 17)), [str(view) for view in range(1, 17)])
    low = np.floor(table["iou"].min() * 20) / 20
    ax.set_ylim(low, 1)
    ax.set_rorigin(low - 0.5 * (1 - low))  # a ring: no dots meet in the middle
    ax.set_rlabel_position(101.25)  # between two views, where there is no dot
    ax.tick_params(axis="y", labelsize=12)
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], prune="upper"))
    ax.set_axisbelow(False)
    for label in ax.get_yticklabels():
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0})
    fig.legend(title="car", loc="outside right upper", frameon=False)
    fig.alt = (
        f"IoU by view, drawn around the turntable, a dot per picture; the mean over cars is {describe_extremes(means)}."
    )
    return fig


def angle(views) -> np.ndarray:
    """Where views 1 to 16 stand on the turntable, in radians."""
    return (np.asarray(views) - 1) * 2 * np.pi / 16


def drawn_means(means: dict, score: float):
    """The distributions of means that a bootstrap drew, {what was drawn: (draws,)}, each with its 95 % interval below
    it as a line, and the score itself.
    """
    fig, axes = new_figure(1, len(means), height=1.2 + 1.5 * len(means), sharex=True, squeeze=False)
    lowest = min(drawn.min() for drawn in means.values())
    highest = max(drawn.max() for drawn in means.values())
    said = []
    for ax, (name, drawn) in zip(axes.flat, means.items(), strict=True):
        low, high = np.quantile(drawn, (0.025, 0.975))
        tops, _, _ = ax.hist(drawn, bins=np.linspace(lowest, highest, 61), color=SKY)
        ax.plot([low, high], [-0.1 * tops.max()] * 2, color=BLUE, linewidth=5, solid_capstyle="butt")
        ax.axvline(score, color=RED, linestyle="--")
        ax.set(yticks=[], ylim=(-0.2 * tops.max(), None))
        ax.set_title(f"{name}: {low:.3f} to {high:.3f}", loc="left")
        said.append(f"{name}: {low:.4f} to {high:.4f}")
    ax.plot([], [], color=BLUE, linewidth=5, label="95 % interval")
    ax.plot([], [], color=RED, linestyle="--", label="the score")
    ax.set_xlabel("mean IoU of what was drawn")
    fig.legend(loc="outside lower right", ncols=2, frameon=False)
    fig.alt = f"Histograms of drawn means with their 95 % intervals, {'; '.join(said)}."
    return fig
