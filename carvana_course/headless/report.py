"""What a person reads after a run: its summary, where its time went, and the single-file report."""

import html
import re

import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from carvana_course.headless.scores import evaluated
from carvana_lib.config import Params
from carvana_lib.runs import Run, atomic, read_json

SUMMARY = ["val_miou", "test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "seconds_per_epoch"]
WORK_TAGS = ["import", "train", "data"]  # of cells, by what takes their time; the first counts where there are several
NETWORK_ADDRESSES = ["mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "mermaid_layout_elk_js_url"]


def summarise_runs(sets: list[Params], fingerprint: str = "") -> pd.DataFrame:
    """One row a net that has been evaluated, nets set aside among them: name, and what a reader asks for first."""
    return summarise(evaluated(sets, fingerprint))


def summarise(found: dict[str, dict]) -> pd.DataFrame:
    """The same of metrics by name, as `evaluated` gives them."""
    rows = [[name, *(metrics[key] for key in SUMMARY)] for name, metrics in found.items()]
    return pd.DataFrame(rows, columns=["run", *SUMMARY])


def executed_copies(run: Run):
    """Yield (path, notebook) in order. What papermill, run by hand, was killed while writing is left out."""
    for path in sorted(run.notebooks.glob("[0-9][0-9]_*.ipynb")):
        try:
            yield path, nbformat.read(path, 4)
        except ValueError:  # no JSON
            continue


def time_table(run: Run) -> pd.DataFrame:
    """Seconds of a run by notebook and kind of work: notebook, kernel start, import, train, data, plot, other.

    Read off the executed copies, where papermill left the seconds of each cell; the rest is the kernel's start.
    """
    columns = ["notebook", "kernel start", *WORK_TAGS, "plot", "other"]
    rows = []
    for path, notebook in executed_copies(run):
        row = dict.fromkeys(columns, 0.0)
        row["notebook"] = path.stem
        row["kernel start"] = seconds_of(notebook)
        for cell in notebook.cells:
            row["kernel start"] -= seconds_of(cell)
            row[kind_of_work(cell)] += seconds_of(cell)
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def seconds_of(part) -> float:
    """How long a notebook or a cell took, by papermill's note in it; 0 without one."""
    return part.metadata.get("papermill", {}).get("duration") or 0.0


def tags_of(cell) -> list[str]:
    """The tags of a notebook's cell."""
    return cell.metadata.get("tags", [])


def kind_of_work(cell) -> str:
    """What a cell's time is spent on: one of WORK_TAGS, 'plot' or 'other'."""
    for tag in WORK_TAGS:
        if tag in tags_of(cell):
            return tag
    for output in cell.get("outputs", []):
        if any("image" in mime for mime in output.get("data", {})):
            return "plot"
    return "other"


def time_shares(table: pd.DataFrame) -> str:
    """The table as one sentence: seconds in all, and the share of each notebook and each kind."""
    seconds = table.drop(columns="notebook")
    total = max(seconds.to_numpy().sum(), 1e-9)
    by_notebook = zip(table["notebook"], seconds.sum(axis=1), strict=True)
    notebooks = ", ".join(f"{name[:2]} {of_it / total:.0%}" for name, of_it in by_notebook)
    kinds = ", ".join(f"{kind} {of_it / total:.0%}" for kind, of_it in seconds.sum().items())
    return f"{total:.0f} s in the notebooks: {notebooks}; {kinds}"


def write_report(params: Params, fingerprint: str) -> None:
    """Join the notebooks that were executed with these parameters and pictures into one HTML file.

    It needs no network. Chapters of other parameters, or of pictures of another fingerprint, are of another run.
    """
    run = Run(params.run_name)
    chapters = [
        (path.stem, notebook)
        for path, notebook in executed_copies(run)
        if notebook.metadata.get("papermill", {}).get("parameters") == params.model_dump()
        and notebook.metadata.get("pictures") == fingerprint
    ]
    names = [name for name, _ in chapters]
    cells = [nbformat.v4.new_markdown_cell(report_head(run, summarise_runs([params], fingerprint), names))]
    for name, notebook in chapters:
        cells.append(nbformat.v4.new_markdown_cell(f"<div id='{name}'></div>"))
        cells.extend(report_cells(notebook))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    book = nbformat.v4.new_notebook(cells=cells)
    exporter = HTMLExporter(
        **dict.fromkeys(NETWORK_ADDRESSES, ""), exclude_input_prompt=True, exclude_output_prompt=True
    )
    page, _ = exporter.from_notebook_node(book, resources={"metadata": {"name": f"Run {run.name}"}})
    with atomic(run.report) as temporary:
        temporary.write_text(page, encoding="utf8")


def report_head(run: Run, table: pd.DataFrame, names: list[str]) -> str:
    """What the report begins with, in Markdown: scores, times, links to the chapters `names`, what was used."""
    record = read_json(run.params)
    facts = {name: record[name] for name in ("device", "commit", "seed", "python")}
    facts.update(record["params"])
    links = "\n".join(f"- [{name}](#{name})" for name in names)
    used = pd.Series(facts, dtype=object).to_frame("value").to_html()
    return (
        f"# Run {html.escape(run.name)}\n\n{table.to_html(index=False, float_format='{:.4f}'.format)}\n\n"
        f"{time_shares(time_table(run))}\n\n"
        f"{links}\n\n<details><summary>Parameters, versions, device</summary>{used}</details>"
    )


def report_cells(notebook) -> list:
    """The cells of a chapter, its links pointing into the report; its parameters stand at the report's head."""
    cells = []
    for cell in notebook.cells:
        if not {"parameters", "injected-parameters"}.intersection(tags_of(cell)):
            cell.source = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](#\1)", cell.source)
            cells.append(cell)
    return cells
