"""What a person reads after a run: its summary, where its time went, and the single-file report."""

import html
import re

import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from carvana_course.headless.scores import has_metrics
from carvana_lib.config import Params
from carvana_lib.runs import Run, atomic, read_json

SUMMARY = ["val_miou", "test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "seconds_per_epoch"]
KINDS = {  # of cells, by what their source does; a cell with a picture among its outputs is a plot otherwise
    "import": r"^(import|from) \w",
    "train": r"\b(train|fit|search|range_test|with_best|train_briefly)\(|optimizer\.step\(\)|\bexperiment\(",
    "data": r"\bopen_data\(",
}


def summary(sets: list[Params]) -> pd.DataFrame:
    """One row a set that has been evaluated: its name and the numbers that a reader asks for first."""
    evaluated = [Run(params.run_name) for params in sets if has_metrics(params)]
    rows = [{"run": run.name} | {key: read_json(run.metrics)[key] for key in SUMMARY} for run in evaluated]
    return pd.DataFrame(rows, columns=["run", *SUMMARY])


def executed_copies(run: Run):
    """Yield (path, notebook) in order. What papermill, run by hand, was killed while writing is left out."""
    for path in sorted(run.notebooks.glob("[0-9][0-9]_*.ipynb")):
        try:
            yield path, nbformat.read(path, 4)
        except ValueError:  # no JSON
            continue


def time_table(run: Run) -> pd.DataFrame:
    """Seconds of a run by notebook and kind of work: notebook, kernel start, import, data, train, plot, other.

    Read off the executed copies, where papermill left the seconds of each cell; the rest is the kernel's start.
    """
    rows = []
    for path, notebook in executed_copies(run):
        row = {"notebook": path.stem, "kernel start": notebook.metadata.get("papermill", {}).get("duration") or 0.0}
        row |= dict.fromkeys((*KINDS, "plot", "other"), 0.0)
        for cell in notebook.cells:
            seconds = cell.metadata.get("papermill", {}).get("duration") or 0.0
            row["kernel start"] -= seconds
            row[kind_of(cell)] += seconds
        rows.append(row)
    return pd.DataFrame(rows, columns=["notebook", "kernel start", *KINDS, "plot", "other"])


def kind_of(cell) -> str:
    """What a cell's time is spent on: one of KINDS, 'plot' or 'other'."""
    for kind, pattern in KINDS.items():
        if cell.cell_type == "code" and re.search(pattern, cell.source, re.MULTILINE):
            return kind
    drawn = any("image" in mime for output in cell.get("outputs", []) for mime in output.get("data", {}))
    return "plot" if drawn else "other"


def time_shares(table: pd.DataFrame) -> str:
    """The table as one sentence: seconds in all, and the share of each notebook and each kind."""
    seconds = table.drop(columns="notebook")
    total = max(seconds.to_numpy().sum(), 1e-9)
    notebooks = ", ".join(
        f"{n[:2]} {s / total:.0%}" for n, s in zip(table["notebook"], seconds.sum(axis=1), strict=True)
    )
    kinds = ", ".join(f"{kind} {s / total:.0%}" for kind, s in seconds.sum().items())
    return f"{total:.0f} s in the notebooks: {notebooks}; {kinds}"


def write_report(params: Params) -> None:
    """Join the notebooks that were executed with these parameters into one HTML file that needs no network.

    The parameters cells give way to one list at the top: what the run really used.
    """
    target, table = Run(params.run_name), summary([params])
    record = read_json(target.params)
    facts = {name: record[name] for name in ("device", "commit", "seed", "python")} | record["params"]
    used = pd.Series(facts, dtype=object).to_frame("value").to_html()
    names, cells = [], []
    for path, notebook in executed_copies(target):
        if notebook.metadata.get("papermill", {}).get("parameters") != params.model_dump():
            continue  # left there by another run of this name
        names.append(path.stem)
        cells.append(nbformat.v4.new_markdown_cell(f"<div id='{path.stem}'></div>"))
        for cell in notebook.cells:
            if not {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])):
                cell.source = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](#\1)", cell.source)
                cells.append(cell)
    head = (
        f"# Run {html.escape(target.name)}\n\n{table.to_html(index=False, float_format='{:.4f}'.format)}\n\n"
        f"{time_shares(time_table(target))}\n\n"
        + "\n".join(f"- [{name}](#{name})" for name in names)
        + f"\n\n<details><summary>Parameters, versions, device</summary>{used}</details>"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(head), *cells])
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number}"
    no_network = dict.fromkeys(
        ("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "mermaid_layout_elk_js_url"), ""
    )
    exporter = HTMLExporter(**no_network, exclude_input_prompt=True, exclude_output_prompt=True)
    page, _ = exporter.from_notebook_node(book, resources={"metadata": {"name": f"Run {target.name}"}})
    with atomic(target.report) as temporary:
        temporary.write_text(page, encoding="utf8")
