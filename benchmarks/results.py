"""What was measured, on paper: results.json, the tables, and the figure of growth."""

import os
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from matplotlib.ticker import LogLocator

from benchmarks.measure import fresh
from carvana_course.show.figures import BLUE, ORANGE, new_figure
from carvana_lib.runs import environment, read_json, write_json

AXES = {"pictures": "number of pictures", "size": "side of the picture, pixels", "channels": "base_channels"}


def machine() -> dict:
    """Processor, cores and memory."""
    import torch

    from carvana_lib.device import capabilities

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cpu": capabilities().get("cpu_name", "unknown"),
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def record(path: Path, name: str, found: dict, mode: str, pictures: str) -> dict:
    """Put a part's findings into results.json, beside those of other parts on the same machine; all of them."""
    here, facts = fresh(machine)[0], environment()
    results = read_json(path) if path.exists() else {}
    if results.get("machine") != here:
        results = {"machine": here, "targets": [], "parts": {}}
    more = ("onnxruntime", "pillow", "opencv-python-headless")
    results |= {"python": facts["python"], "versions": facts["versions"] | {each: version(each) for each in more}}
    about = {"date": date.today().isoformat(), "commit": facts["commit"], "mode": mode, "pictures": pictures}
    targets = [{"part": name} | target for target in found.pop("targets")]
    results["targets"] = [target for target in results["targets"] if target["part"] != name] + targets
    results["parts"][name] = about | found
    write_json(path, results)
    return results


def show(results: dict, parts) -> str:
    """The findings of some parts as tables: figures, growth, targets."""
    shown = {name: results["parts"][name] for name in parts}
    rows = [row for part in shown.values() for row in part["rows"]]
    curves = [curve for part in shown.values() for curve in part["curves"]]
    targets = [target for target in results["targets"] if target["part"] in shown]
    columns = [
        "what",
        "unit",
        "ours",
        "textbook",
        "ratio",
        "variant",
        "times",
        "share_of_limit",
        "limit_is",
        "peak_mb",
        "textbook_peak_mb",
    ]
    tables = [(rows, columns), (curves, ["name", "axis", "unit", "slope", "expected"])]
    texts = []
    for lines, chosen in [*tables, (targets, ["name", "target", "measured", "met"])]:
        table = pd.DataFrame(lines).reindex(columns=chosen).dropna(axis="columns", how="all")
        if len(table):
            texts.append(table.to_string(index=False, na_rep="", float_format="{:.4g}".format))
    return "\n\n".join(texts)


def draw(curves: list[dict], path: Path) -> None:
    """Time above, memory below, against each of the three axes."""
    fig, grid = new_figure(len(AXES), 2, width=13, height=7.5)
    for curve in curves:
        in_time, first = curve["unit"].startswith("s"), curve["name"] != "loader"
        ax = grid[0 if in_time else 1][list(AXES).index(curve["axis"])]
        label = f"{curve['name']}: slope {curve['slope']:.2f}, expected {curve['expected']}"
        ax.plot(curve["x"], curve["y"], "o-" if first else "s--", color=BLUE if first else ORANGE, label=label)
        unit = {"s": "seconds", "s a picture": "seconds a picture"}.get(curve["unit"], curve["unit"])
        ax.set(xscale="log", yscale="log", xlabel=AXES[curve["axis"]], ylabel=unit)
    for ax in grid.flat:
        low, high = ax.get_ylim()
        ax.set_ylim(low / 2, high * 6)  # room for flat lines and for the legend
        for axis in (ax.xaxis, ax.yaxis):
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 4) if high < 300 * low else (1,)))
            axis.set_major_formatter("{x:g}")
        ax.minorticks_off()
        ax.legend(fontsize=9, loc="upper left")
    fig.savefig(path)
