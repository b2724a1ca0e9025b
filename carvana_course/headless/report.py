"""What a person reads after a run: its summary, where its time went, and the single-file report."""

import re

import nbformat
import pandas as pd

from carvana_course.headless.first_page import about, figures_of, read_test, score_tiles, verdict
from carvana_course.headless.pages import chapter_pages, fill_page
from carvana_course.headless.scores import evaluated, has_metrics
from carvana_lib.config import Params
from carvana_lib.runs import Run, atomic, read_json

SUMMARY = ["val_miou", "test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "seconds_per_epoch"]
WORK_TAGS = ["import", "train", "data"]  # of cells, by what takes their time; the first counts where there are several
PARAMETER_TAGS = {"parameters", "injected-parameters"}  # of cells that the report leaves out: it lists them once


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


def write_report(params: Params, fingerprint: str, data=None) -> None:
    """Write the run's report: a summary, and folded the notebooks that were executed with these parameters and
    pictures. It is one file and needs no network. Chapters of other parameters, or of pictures of another fingerprint,
    are of another run. Without `data`, the opened pictures, it shows none of them.
    """
    run = Run(params.run_name)
    chapters = []
    for path, notebook in executed_copies(run):
        made_with = notebook.metadata.get("papermill", {}).get("parameters")
        if made_with == params.model_dump() and notebook.metadata.get("pictures") == fingerprint:
            notebook.cells = [cell for cell in notebook.cells if not PARAMETER_TAGS.intersection(tags_of(cell))]
            chapters.append((path.stem, title_of(notebook, path.stem), in_minutes(seconds_of(notebook)), notebook))
    test = read_test(run)
    seconds = sum(seconds_of(notebook) for _, _, _, notebook in chapters)
    pages, glossary = chapter_pages(chapters)
    record = read_json(run.params)
    metrics = read_json(run.metrics) if has_metrics(params, fingerprint) else {}
    facts = {name: record[name] for name in ("device", "commit", "seed", "python")}
    page = fill_page(
        "report.html.j2",
        title=f"Run {run.name}",
        about=about(run, params, record, metrics, data, seconds),
        scores=score_tiles(metrics),
        verdict=verdict(test, metrics, data),
        figures=figures_of(run, test, params, metrics, data),
        chapters=pages,
        glossary=glossary,
        used=[*facts.items(), *record["params"].items(), *record["versions"].items()],
    )
    with atomic(run.report) as temporary:
        temporary.write_text(page, encoding="utf8")


def title_of(notebook, name: str) -> str:
    """A chapter's first heading, or its file's name."""
    for cell in notebook.cells:
        heading = re.search(r"^# (.+)", cell.source, re.M)
        if cell.cell_type == "markdown" and heading:
            return heading[1]
    return name


def in_minutes(seconds: float) -> str:
    """Seconds as people say them: '48 s', '6 min 57 s'."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
