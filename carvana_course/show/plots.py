"""Every chart of the notebooks. Pictures with masks are drawn in `pictures.py`, what explains in `drawings.py`.

Functions return a Figure; as the last line of a cell it is shown once. Its `alt` says in a sentence what there is to
see, for those who see none.
"""

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from carvana_course.show.figures import (
    BLUE,
    LINE_STYLES,
    ORANGE,
    SKY,
    describe_extremes,
    describe_lines,
    describe_range,
    legend_above,
    new_figure,
    text_color,
    wrapped,
)
from carvana_lib.device import is_live


def area_by_view(table):
    """Columns `area` (share of the picture, 0 to 1) by `view` (1 to 16): pictures as dots, medians as a line."""
    fig, ax = new_figure()
    shift = np.random.default_rng(0).uniform(-0.2, 0.2, len(table))
    ax.scatter(table["view"] + shift, table["area"], s=8, color=SKY, label="one picture")
    medians = table.groupby("view")["area"].median()
    ax.plot(medians.index, medians, "o-", color=BLUE, label="median")
    ax.set(xlabel="view (22.5 degrees per step)", ylabel="car area, % of\nthe picture", xticks=range(1, 17))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_above(ax)
    extremes = describe_extremes(medians)
    fig.alt = f"Car area by view as a share of the picture, a dot each, and a line of medians: {extremes}."
    return fig


def bars(names, values, xlabel: str, label_format: str = "{:,.1f}", color=BLUE, height: float | None = None):
    """Horizontal bars with their values written beside them."""
    fig, ax = new_figure(height=height or 0.42 * len(names) + 1)
    drawn = ax.barh(list(names), list(values), color=color)
    ax.bar_label(drawn, labels=[label_format.format(v) for v in values], padding=3)
    ax.set(xlabel=xlabel, xlim=(0, 1.2 * max(values)))
    ax.invert_yaxis()
    ax.grid(False)
    parts = [f"{name} {label_format.format(v)}" for name, v in zip(names, values, strict=True)]
    fig.alt = f"Bars of {xlabel}: {', '.join(parts)}."
    return fig


def curves(lines: dict, xlabel: str, ylabel: str, log_x: bool = False, log_y: bool = False, marker: str = ""):
    """Lines, {name: (x, y)}, told apart by colour and by dash; `marker="o"` where single points count.

    Raises ValueError for more lines than there are pairs of a colour and a dash, 28.
    """
    if len(lines) > len(LINE_STYLES):
        raise ValueError(f"{len(lines)} lines cannot be told apart; give at most {len(LINE_STYLES)}")
    fig, ax = new_figure(height=max(3.6, 0.35 * len(lines)))
    for (name, (x, y)), (color, dash) in zip(lines.items(), LINE_STYLES, strict=False):
        ax.plot(x, y, dash, marker=marker, color=color, linewidth=2, label=name)
    ax.set(
        xlabel=xlabel, ylabel=wrapped(ylabel), xscale="log" if log_x else "linear", yscale="log" if log_y else "linear"
    )
    if log_x and min(np.min(x) for x, _ in lines.values()) >= 1:  # counts: 5, 10, 20 in place of powers of ten
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    if len(lines) > 5:
        fig.legend(loc="outside right upper")
    elif len(lines) > 1:
        ax.legend()
    fig.alt = describe_lines(lines, xlabel, ylabel)
    return fig


def scatter(x, y, xlabel: str, ylabel: str):
    """A dot for each pair of values."""
    fig, ax = new_figure()
    ax.scatter(x, y, s=22, color=BLUE)
    ax.set(xlabel=xlabel, ylabel=wrapped(ylabel))
    ends = [f"{name} {np.min(values):.3g} to {np.max(values):.3g}" for name, values in ((xlabel, x), (ylabel, y))]
    fig.alt = f"{len(x)} dots: {' and '.join(ends)}"
    if len(x) > 2:
        fig.alt += f"; rank correlation {np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1]:.2f}"
    fig.alt += "."
    return fig


def heat_map(table):
    """Validation mIoU over learning rate and loss, from the table of `tuning.search`."""
    grid = table.pivot(index="loss", columns="learning_rate", values="val_miou")
    fig, ax = new_figure(width=6, height=2.6)
    shown = ax.imshow(grid, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(grid.to_numpy()):
        if np.isfinite(value):
            color = text_color(shown.to_rgba(value)[:3])
            ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
    ax.set_xticks(range(len(grid.columns)), [f"{rate:g}" for rate in grid.columns])
    ax.set_yticks(range(len(grid.index)), grid.index)
    ax.set(xlabel="learning rate", ylabel="loss")
    ax.grid(False)
    fig.colorbar(shown, label="val mIoU")
    parts = [f"{loss} at {rate:g} {value:.3f}" for (loss, rate), value in grid.stack().items()]
    fig.alt = f"Heat map of val mIoU over loss and learning rate: {', '.join(parts)}."
    return fig


def learning_curves(history):
    """Loss of training and validation, and validation mIoU, by epoch, from the table of history.csv."""
    fig, (left, right) = new_figure(2)
    left.plot(history["epoch"], history["train_loss"], "o-", color=BLUE, label="train")
    left.plot(history["epoch"], history["val_loss"], "s--", color=ORANGE, label="val")
    left.update_datalim([(history["epoch"].iloc[0], 0)])  # the scale begins at 0, with a margin above the uppermost dot
    left.autoscale_view()
    left.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    left.legend()
    right.plot(history["epoch"], history["val_miou"], "s--", color=ORANGE)
    right.set(xlabel="epoch", ylabel="val mIoU")
    for ax in (left, right):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    train, val, miou = (describe_range(history[name]) for name in ("train_loss", "val_loss", "val_miou"))
    fig.alt = f"Epochs 1 to {len(history)}: train loss {train}; val loss {val}; val mIoU {miou}."
    return fig


def watch(history) -> None:
    """Report the newest epoch: one line headless, and in JupyterLab curves that grow as the training goes on."""
    lines = "\n".join(
        f"epoch {row.epoch}: train loss {row.train_loss:.4f}, val loss {row.val_loss:.4f}, "
        f"val mIoU {row.val_miou:.4f}, {row.seconds:.1f} s"
        for row in history.itertuples()
    )
    if is_live():
        from IPython.display import clear_output, display

        clear_output(wait=True)
        print(lines)
        display(learning_curves(history))
    else:
        print(lines.splitlines()[-1])
