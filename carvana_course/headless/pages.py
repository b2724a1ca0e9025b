"""The two pages that a person opens after runs: the report of one, and the comparison of many. They need no network."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader, pass_context
from latex2mathml import converter
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from carvana_course.show.figures import DescribedFigure
from carvana_course.show.glossary import GLOSSARY, glossary_text, link_terms, read_glossary

DESIGN = Path(__file__).parent.parent / "design"  # which the site has too
NAMES = {  # of columns -> in words
    "val_miou": "val mIoU",
    "test_miou": "test mIoU",
    "test_iou_std": "standard deviation over photos",
    "test_iou_min": "worst photo",
    "test_iou_max": "best photo",
    "seconds_per_epoch": "seconds an epoch",
    "ci95_low": "95 % interval from",
    "ci95_high": "to",
    "lowest_fold": "lowest fold",
    "highest_fold": "highest fold",
}
PLACES = {"seconds_per_epoch": 1}  # digits behind the point, where they are not four
OTHER_CHAPTER = re.compile(r"\]\((\d\d_\w+)\.ipynb(#[^)]*)?\)")


def fill_page(name: str, **values) -> str:
    """One of the pages in design/, filled in; what is not markup is escaped."""
    environment = Environment(autoescape=True, loader=FileSystemLoader(DESIGN))
    style = "\n".join((DESIGN / file).read_text(encoding="utf8") for file in ("style.css", "report.css"))
    return environment.get_template(name).render(style=style, **values)


class FormulaRenderer(IPythonRenderer):
    """Markdown whose formulas become MathML, which a browser draws by itself: without a script or the network."""

    def block_math(self, body: str) -> str:
        """$$...$$, on lines of its own."""
        return converter.convert(body, display="block")

    def inline_math(self, body: str) -> str:
        """$...$, in a sentence."""
        return converter.convert(body)


class CellsExporter(HTMLExporter):
    """HTML of a notebook's cells alone, with their formulas drawn."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        """As HTMLExporter has it, for notebooks without attached files."""
        renderer = FormulaRenderer(escape=False, anchor_link_text=self.anchor_link_text)
        return MarkdownWithMath(renderer=renderer).render(source)


def cells_exporter() -> CellsExporter:
    """What turns a notebook's cells into HTML, without the page around them."""
    return CellsExporter(
        template_file=str(DESIGN / "cells.html.j2"), exclude_input_prompt=True, exclude_output_prompt=True
    )


def picture(content: bytes, kind: str, alt: str, caption: str = "") -> dict:
    """A picture's bytes with its words, as the pages take them."""
    return {"source": f"data:image/{kind};base64,{base64.b64encode(content).decode()}", "alt": alt, "caption": caption}


def figure_picture(fig: DescribedFigure, caption: str = "") -> dict:
    """The same of a figure."""
    content = io.BytesIO()
    fig.savefig(content, format="png", dpi=110)
    return picture(content.getvalue(), "png", fig.alt or fig.describe(), caption)


def chapter_pages(chapters: list) -> tuple[list[dict], str]:
    """(what the report shows of each (name, title, time, notebook), the glossary of the terms that they use).

    Their links lead to chapters, sections and terms within the page.
    """
    exporter = cells_exporter()
    terms = read_glossary(GLOSSARY)
    pages = []
    used = set()
    for name, title, time, notebook in chapters:
        for cell in notebook.cells:
            cell.source = OTHER_CHAPTER.sub(r"](#\1)", cell.source)
        used |= link_terms(notebook, terms)
        body, _ = exporter.from_notebook_node(notebook, {"name": name, "is_solution": False})
        pages.append({"name": name, "title": title, "time": time, "body": with_own_ids(body, name)})
    if not used:
        return pages, ""
    return pages, exporter.markdown2html({"cell": {}}, glossary_text(terms, used))


def with_own_ids(body: str, name: str) -> str:
    """A chapter's HTML without its title, and with its name before the anchors: all chapters have takeaways."""
    page = BeautifulSoup(body, "html.parser")
    if page.h1:
        page.h1.decompose()  # the fold has it
    known = set()
    for tag in page.find_all(["h1", "h2", "h3", "h4"], id=True):
        known.add(tag["id"])
        tag["id"] = f"{name}-{tag['id']}"
    for link in page.find_all("a", href=True):
        if link["href"].startswith("#") and link["href"][1:] in known:
            link["href"] = f"#{name}-{link['href'][1:]}"
        elif not re.match(r"#|[a-z]+:", link["href"]):
            link.unwrap()  # to a file of the repository, which the report does not bring along
    return str(page)


def in_words(name: str) -> str:
    """The name of a column or parameter as a person writes it."""
    return NAMES.get(name, name.replace("_", " "))


def table_rows(table: pd.DataFrame, links: dict[str, str]) -> list[list[dict]]:
    """The cells of a table as comparison.html takes them: text, order for numbers, and link of a row's first cell."""
    rows = []
    for values in table.to_dict("records"):
        cells = []
        for place, (name, value) in enumerate(values.items()):
            is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            text = str(value)
            if isinstance(value, float | np.floating):
                text = "–" if np.isnan(value) else format(value, f".{PLACES.get(name, 4)}f")
            if name not in NAMES and isinstance(value, float):
                text = f"{value:g}"
            order = None if not is_number else float(np.nan_to_num(value, nan=-1e9))
            cells.append({"text": text, "order": order, "link": links.get(str(value)) if place == 0 else None})
        rows.append(cells)
    return rows
