"""What all charts share: colours, style, and a figure that carries its description for those who cannot see it.

Colours are Okabe and Ito's eight, which people with any colour vision can tell apart.
"""

import textwrap
from itertools import cycle, islice

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
PINK = "#CC79A7"
SKY = "#56B4E9"
YELLOW = "#F0E442"
BLACK = "#000000"
LINE_COLORS = (BLUE, ORANGE, GREEN, PINK, RED, SKY, BLACK)
DASHES = ("-", "--", "-.", ":")
LINE_STYLES = list(islice(zip(cycle(LINE_COLORS), cycle(DASHES)), len(LINE_COLORS) * len(DASHES)))  # no two are equal

plt.rcParams.update(
    {
        "figure.dpi": 90,
        "font.size": 14,  # readable where a narrow page halves the figure
        "figure.facecolor": "white",  # paper and ink are the same on a dark page, in the lab, and wherever it is saved
        "axes.facecolor": "white",
        "savefig.facecolor": "white",
        "savefig.transparent": False,
        "text.color": "black",
        "axes.labelcolor": "black",
        "axes.titlesize": "medium",
        "axes.edgecolor": "black",
        "xtick.color": "black",
        "ytick.color": "black",
        "legend.framealpha": 1,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
    }
)


def contrast(one, other) -> float:
    """The contrast of two of Matplotlib's colours as WCAG 2 defines it, 1 to 21; text needs 4.5."""
    lights = []
    for color in (one, other):
        shares = np.array(to_rgb(color))
        linear = np.where(shares <= 0.03928, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        lights.append(linear @ (0.2126, 0.7152, 0.0722))
    return float((max(lights) + 0.05) / (min(lights) + 0.05))


def text_color(ground) -> str:
    """'black' or 'white', whichever stands out more on this colour; the better one always has a contrast above 4.5."""
    return max(("black", "white"), key=lambda color: contrast(color, ground))


class DescribedFigure(Figure):
    """A Figure whose `alt` text goes with its picture into the notebook, where IPython and nbconvert look for it."""

    alt = ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        """No data of its own, since Matplotlib draws the picture; and {'image/png': {'alt': ...}} as its metadata."""
        return {}, {"image/png": {"alt": self.alt or self.describe()}}

    def describe(self) -> str:
        """For a figure that was given no `alt`: its titles, its axes' names and its legends."""
        words = [", ".join(filter(None, (ax.get_title(), ax.get_ylabel(), ax.get_xlabel()))) for ax in self.axes]
        for ax in self.axes:
            _, labels = ax.get_legend_handles_labels()
            words.extend(labels)
        return "Figure: " + "; ".join(filter(None, words)) + "."


def new_figure(columns: int = 1, rows: int = 1, width: float = 8, height: float = 3.6, **kwargs):
    """A figure of width x height inches and its axes; closed for pyplot, so that only a cell that returns it shows it.

    kwargs go to `plt.subplots`. One cell of axes comes as it is, several as an array, as pyplot does it.
    """
    fig, axes = plt.subplots(rows, columns, figsize=(width, height), FigureClass=DescribedFigure, **kwargs)
    plt.close(fig)
    return fig, axes


def legend_above(ax) -> None:
    """A legend above the axes, where it covers no data."""
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0.2)


def wrapped(label: str) -> str:
    """A y label in as many lines as it takes beside a figure of the usual height."""
    return textwrap.fill(label, 26)


def describe_range(values, places=None) -> str:
    """'from 0.1 to 0.9, at most 1 at 5': how some numbers run over `places`, for an `alt` text."""
    values = np.asarray(values, float)
    first = f"{values[0]:.3g}"
    last = f"{values[-1]:.3g}"
    least = f"{np.nanmin(values):.3g}"
    most = f"{np.nanmax(values):.3g}"
    if least == most:
        return least if len(values) == 1 else f"{least} throughout"

    def at(index: int) -> str:
        return "" if places is None else f" at {np.asarray(places)[index]:.3g}"

    words = f"{first} at both ends" if first == last else f"from {first} to {last}"
    if least not in (first, last):
        words += f", at least {least}{at(np.nanargmin(values))}"
    if most not in (first, last):
        words += f", at most {most}{at(np.nanargmax(values))}"
    return words


def describe_lines(lines: dict, xlabel: str, ylabel: str) -> str:
    """Each of some lines, {name: (x, y)}, and the range of x, once where all have the same, for an `alt` text."""
    ranges = [describe_range(x) for x, _ in lines.values()]
    one_range = len(set(ranges)) == 1
    parts = []
    for (name, (x, y)), x_range in zip(lines.items(), ranges, strict=True):
        label = name if one_range else f"{name} ({x_range})"
        parts.append(f"{label} {describe_range(y, x)}")
    over = f"{xlabel} {ranges[0]}" if one_range else xlabel
    return f"{ylabel} over {over}: {'; '.join(parts)}."


def describe_extremes(by_view) -> str:
    """The least and the greatest value of a Series over views, for an `alt` text."""
    low = by_view.idxmin()
    high = by_view.idxmax()
    return f"least {by_view[low]:.3f} in view {low}, most {by_view[high]:.3f} in view {high}"
