"""The glossary beside the text that uses its words: definitions as tooltips, and below the page for links to lead to.

A page that stands alone, as the report, or that a server shows, as Voila, cannot follow a link to docs/glossary.md.
"""

import html
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbconvert.preprocessors import Preprocessor

from carvana_lib.runs import ROOT

GLOSSARY = ROOT / "docs" / "glossary.md"
ENTRY = re.compile(r'^<a id="([\w-]+)"></a>\*\*(.+?)\.\*\* (.+)$', re.M)
TO_GLOSSARY = re.compile(r"\[([^\]]+)\]\([./]*docs/glossary\.md#([\w-]+)\)")
CHAPTER = re.compile(r" \(\[\d\]\([^)]*\)\)$")  # an entry ends with the chapter that takes the term apart


class Term(NamedTuple):
    """A word of the glossary and what it says of it, both in Markdown."""

    name: str
    definition: str

    @property
    def tooltip(self) -> str:
        """The definition without Markdown's signs, for an attribute of HTML."""
        return html.escape(re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", self.definition))


def read_glossary(path: Path) -> dict[str, Term]:
    """Its entries by anchor; none where the file is not there, as without the repository."""
    if not path.exists():
        return {}
    entries = ENTRY.findall(path.read_text(encoding="utf8"))
    return {anchor: Term(name, CHAPTER.sub("", text)) for anchor, name, text in entries}


class GlossaryLinks(Preprocessor):
    """A hook of nbconvert: links to the glossary lead to the end of the notebook's own page, where the terms are."""

    def preprocess(self, nb, resources):
        """Return a notebook with these links and, where there are any, one cell more; and the resources unchanged."""
        terms = read_glossary(GLOSSARY)
        used = link_terms(nb, terms)
        if used:
            nb.cells.append(nbformat.v4.new_markdown_cell(glossary_text(terms, used), id="glossary"))
        return nb, resources


def link_terms(notebook, terms: dict[str, Term]) -> set[str]:
    """Let a notebook's links to the glossary lead into its own page, with tooltips; the anchors of those it uses."""
    used = set()

    def connect(match) -> str:
        text, anchor = match.groups()
        if anchor not in terms:
            return match.group()
        used.add(anchor)
        return f'<a class="term" href="#glossary-{anchor}" title="{terms[anchor].tooltip}">{text}</a>'

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = TO_GLOSSARY.sub(connect, cell.source)
    return used


def glossary_text(terms: dict[str, Term], used: set[str]) -> str:
    """The entries of the anchors in `used`, in the glossary's order, as Markdown under a heading of its own."""
    entries = [
        f'<a id="glossary-{anchor}"></a>**{term.name}.** {term.definition}'
        for anchor, term in terms.items()
        if anchor in used
    ]
    return "\n\n".join(["## Glossary", *entries])
