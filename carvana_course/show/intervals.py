"""Scores with their intervals: a dot and a line for each, one under the other."""

import numpy as np

from carvana_course.show.figures import BLUE, new_figure


def intervals(names, means, lows, highs, xlabel: str):
    """One row for each name: a dot at its mean, a line from low to high, or no line where these are NaN."""
    fig, ax = new_figure(width=8, height=0.9 + 0.36 * len(names))
    places = np.arange(len(names))
    reaches = np.abs(np.nan_to_num(np.array([lows, highs], float) - np.asarray(means, float)))
    ax.errorbar(means, places, xerr=reaches, fmt="o", color=BLUE, capsize=4, markersize=7)
    ax.set(yticks=places, yticklabels=list(names), xlabel=xlabel, ylim=(len(names) - 0.5, -0.5))
    rows = []
    with_intervals = "" if np.isnan(lows).all() else " with 95 % intervals"
    for name, mean, low, high in zip(names, means, lows, highs, strict=True):
        known = "" if np.isnan(low) else f" ({low:.4f} to {high:.4f})"
        rows.append(f"{name} {mean:.4f}{known}")
    fig.alt = f"Dots of {xlabel}{with_intervals}: {', '.join(rows)}."
    return fig
