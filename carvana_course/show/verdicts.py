"""Claims with what was measured of them: a row each, with a dot, its interval, what is claimed, and the verdict."""

import math
import textwrap

import numpy as np

from carvana_course.show.figures import BLUE, ORANGE, PINK, new_figure, text_color

MARKS = {"holds": ("✓", BLUE), "does not hold": ("✗", ORANGE), "cannot be told": ("?", PINK)}
BAND = "0.85"  # a grey


def claim_rows(judgements: dict):
    """{claim: Judgement} as rows: in grey where the difference of mIoU would lie if the claim held, a dot and a line
    where it was measured and its 95 % interval, and the verdict as a sign, a colour and words.
    """
    fig, ax = new_figure(width=9.5, height=1.4 + 0.62 * len(judgements))
    said = []
    for place, (claim, found) in enumerate(judgements.items()):
        kind = next(kind for kind in MARKS if found.verdict.startswith(kind))
        mark, color = MARKS[kind]
        if found.claimed:
            ax.barh(place, np.diff(found.claimed), left=found.claimed[0], height=0.8, color=BAND)
        measured = found.counted
        ax.text(0.001, place, found.counted, va="center")
        if found.measured:
            mean, low, high = found.measured
            measured = f"{mean:+.4f}"
            if not math.isnan(low):
                ax.plot([low, high], [place, place], color=color, linewidth=3)
                measured += f" ({low:+.4f} to {high:+.4f})"
            ax.plot(mean, place, "o", color=color, markersize=9, markeredgecolor="black")
        box = {"boxstyle": "round,pad=0.3", "facecolor": color, "edgecolor": "none"}
        style = {"va": "center", "color": text_color(color), "bbox": box}
        ax.text(1.03, place, f"{mark} {kind}", transform=ax.get_yaxis_transform(), **style)
        said.append(f"{claim} {measured or 'not measured'}, {kind}")
    ax.axvline(0, color="black", linewidth=1)
    ax.set(xlim=(-0.04, 0.06), ylim=(len(judgements) - 0.5, -0.5), xlabel="difference of mIoU")
    ax.set_yticks(range(len(judgements)), [textwrap.fill(claim, 32) for claim in judgements])
    ax.barh(0, 0, color=BAND, label="as claimed")
    ax.plot([], [], "o-", color="black", linewidth=3, label="as measured, 95 % interval")
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    fig.alt = f"A row a claim, with what was measured, and the verdict: {'; '.join(said)}."
    return fig
