"""The pictures of learning rates in chapter 03: a range test with its marks, and forty steps of descent."""

import numpy as np
import pandas as pd

from carvana_course.show.figures import BLACK, BLUE, ORANGE, RED, SKY, describe_range, new_figure
from carvana_course.show.pictures import as_jpeg

NEIGHBOURS = 9  # steps that are averaged
RISE = 1.1  # times its lowest so far: where a smoothed loss has broken
CURVATURES = (1, 25)  # of the valley, along it and across it
START = (-7.0, 1.6)


def read_range_test(curve: pd.DataFrame) -> tuple[pd.Series, float, float]:
    """What a range test says: (smoothed loss, rate of the steepest descent, rate at which it breaks).

    curve: learning_rate and loss, as `range_test` gives them. The smoothed loss is the mean of nine neighbouring steps,
    of those whose loss is a number. It breaks where that has risen by a tenth above its lowest so far, or, where it
    never does, at the curve's end.
    """
    curve = curve[np.isfinite(curve["loss"])]
    smooth = curve["loss"].rolling(NEIGHBOURS, center=True, min_periods=1).mean()
    risen = (smooth > RISE * smooth.cummin()).to_numpy()
    end = int(risen.argmax()) if risen.any() else len(curve) - 1
    rates = curve["learning_rate"].to_numpy()
    slopes = np.gradient(smooth, np.log10(rates))
    steepest = int(slopes[: end + 1].argmin())
    return smooth, rates[steepest], rates[end]


def draw_range_test(curve: pd.DataFrame, marks=(1e-4, 5e-4, 1e-3)):
    """Loss over learning rate, with marks at some rates, at the steepest descent, and grey from where it breaks."""
    smooth, steepest, breaks = read_range_test(curve)
    curve = curve.loc[smooth.index]
    rates = curve["learning_rate"]
    fig, ax = new_figure(height=4.2)
    ax.axvspan(breaks, rates.iloc[-1] * 1.3, color="0.88", zorder=0, label=f"broken from {breaks:.0e}")
    ax.plot(rates, curve["loss"], color=SKY, linewidth=1.5, label="one step")
    ax.plot(rates, smooth, color=BLUE, linewidth=2.5, label="mean of nine")
    ax.plot(
        steepest, np.interp(steepest, rates, smooth), "v", color=RED, markersize=11, label=f"steepest at {steepest:.0e}"
    )
    for rate in marks:
        ax.axvline(rate, color=BLACK, linestyle=":", linewidth=1.5)
        name = f"{rate:.0e}".replace("e-0", "e-")
        beside = {"xytext": (-3, 4), "textcoords": "offset points", "ha": "right", "va": "bottom", "rotation": 90}
        ax.annotate(name, (rate, 0), xycoords=ax.get_xaxis_transform(), **beside)
    top = 1.15 * max(smooth.max(), curve["loss"][rates <= breaks].max())
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0, top), xlim=(rates.iloc[0], rates.iloc[-1]))
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    fig.alt = (
        f"Loss over learning rate from {rates.iloc[0]:.0e} to {rates.iloc[-1]:.0e}: the mean of nine steps "
        f"{describe_range(smooth, rates)}; steepest at {steepest:.1e}, broken from {breaks:.1e}; marks at "
        f"{', '.join(f'{rate:g}' for rate in marks)}."
    )
    return fig


def draw_range_tests(tests: dict, mark: float = 1e-3):
    """{letter: curve} as small panels, each with a mark at one learning rate."""
    fig, axes = new_figure(3, 2, width=10, height=5.6, sharex=True, sharey=True)
    parts = []
    for ax, (name, curve) in zip(axes.flat, tests.items(), strict=True):
        ax.plot(curve["learning_rate"], curve["loss"], color=BLUE, linewidth=1.5)
        ax.axvline(mark, color=BLACK, linestyle=":", linewidth=1.5)
        ax.set(xscale="log", title=name, ylim=(0, 1.2))
        parts.append(f"{name} {describe_range(curve['loss'], curve['learning_rate'])}")
    for ax in axes[-1]:
        ax.set_xlabel("learning rate")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss")
    fig.alt = f"Range tests, loss over learning rate, with a mark at {mark:.0e}: {'; '.join(parts)}."
    return fig


def descend(rate: float, steps: int = 40) -> np.ndarray:
    """(steps + 1, 2) places of plain gradient descent in the valley (x² + 25 y²) / 2, the start first."""
    places = [np.array(START)]
    for _ in range(steps):
        gradient = np.array(CURVATURES) * places[-1]
        places.append(places[-1] - rate * gradient)
    return np.array(places)


def valley_loss(places: np.ndarray) -> np.ndarray:
    """(..., 2) places -> (...) the valley's loss there."""
    return (np.array(CURVATURES) * places**2).sum(-1) / 2


def draw_descent(*rates: float):
    """Forty steps in the valley at each learning rate, side by side; a JPEG."""
    fig, axes = new_figure(len(rates), width=max(5.5, 4 * len(rates)), height=3.6, squeeze=False, sharey=True)
    x, y = np.meshgrid(np.linspace(-8, 8, 120), np.linspace(-2.4, 2.4, 80))
    ground = valley_loss(np.stack([x, y], -1))
    parts = []
    for ax, rate in zip(axes.flat, rates, strict=True):
        places = descend(rate)
        left = f"{valley_loss(places[-1]):.2g}"
        ax.contour(x, y, ground, levels=[0.5, 2, 5, 10, 20, 35, 55], colors="0.75", linewidths=1)
        ax.plot(*places.T, "o-", color=BLUE, markersize=4, linewidth=1)
        ax.plot(*START, "o", color=ORANGE, markersize=9)
        ax.plot(0, 0, "*", color=RED, markersize=14)
        ax.set(xlim=(-8, 8), ylim=(-2.4, 2.4), xticks=[], yticks=[], title=f"rate {rate:g}: loss {left}")
        ax.grid(False)
        parts.append(f"at a learning rate of {rate:g} from {valley_loss(places[0]):.2g} to {left}")
    fig.alt = f"Forty steps of gradient descent in a narrow valley; the loss goes {'; '.join(parts)}."
    return as_jpeg(fig)
