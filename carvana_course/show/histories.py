"""Figures of notebook 04: the curves of a finished run, and several runs side by side."""

from matplotlib.ticker import MaxNLocator

from carvana_course.show.figures import BLUE, ORANGE, describe_range, new_figure
from carvana_course.show.plots import learning_curves
from carvana_lib.device import is_live


def final_curves(history):
    """The curves of a finished run, in place of those that `plots.watch` has left in the same cell of JupyterLab."""
    if is_live():
        from IPython.display import clear_output

        clear_output(wait=True)
    return learning_curves(history)


def loss_panels(runs: dict, columns: int = 3, highest: float = 0.8):
    """Loss of training and validation by epoch, a panel for each run, {name: (train_loss, val_loss)}.

    All panels have one scale, 0 to `highest`; what is above leaves its panel.
    """
    rows = -(-len(runs) // columns)
    fig, axes = new_figure(columns, rows, height=2.6 * rows + 0.4, squeeze=False, sharey=True)
    said = []
    for ax, (name, (train, val)) in zip(axes.flat, runs.items(), strict=False):
        epochs = range(1, len(train) + 1)
        ax.plot(epochs, train, color=BLUE, linewidth=2, label="training")
        ax.plot(epochs, val, "--", color=ORANGE, linewidth=2, label="validation")
        ax.set(title=name, ylim=(0, highest))
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
        said.append(f"{name}, {len(train)} epochs, training {describe_range(train)}, validation {describe_range(val)}")
    for ax in axes.flat[len(runs) :]:
        ax.axis("off")
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    fig.alt = f"Loss over epochs in {len(runs)} panels: {'; '.join(said)}."
    return fig
