"""The words of the glossary where they are used: as tooltips, and at the end of a page that stands alone."""

import nbformat
import pytest

from carvana_course.show import glossary
from carvana_course.show.glossary import GlossaryLinks, read_glossary

TEXT = "The [IoU](../docs/glossary.md#iou) of a [`mask`](../../docs/glossary.md#mask), [no](../docs/glossary.md#no)."


@pytest.fixture
def notebook():
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(TEXT), nbformat.v4.new_code_cell("'#iou'")])


def test_links_lead_to_the_end_of_the_page_with_the_definition_as_tooltip(notebook):
    cells = GlossaryLinks().preprocess(notebook, {})[0].cells
    iou = read_glossary(glossary.GLOSSARY)["iou"]
    assert f'<a class="term" href="#glossary-iou" title="{iou.definition}">IoU</a>' in cells[0].source
    assert '">`mask`</a>, [no](../docs/glossary.md#no).' in cells[0].source  # a term that is not there stays a link
    assert cells[1].source == "'#iou'"
    assert cells[2].source.count("<a id=") == 2
    assert f'<a id="glossary-iou"></a>**IoU.** {iou.definition}' in cells[2].source


def test_a_tooltip_is_plain_text():
    term = glossary.Term("x", 'A `code`, a [link](there.md) and "quotes" < 1.')
    assert term.tooltip == "A code, a link and &quot;quotes&quot; &lt; 1."
    assert not any(sign in term.tooltip for term in read_glossary(glossary.GLOSSARY).values() for sign in "`<[")


def test_a_page_without_terms_or_without_the_glossary_stays_as_it_is(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(glossary, "GLOSSARY", tmp_path / "glossary.md")
    assert GlossaryLinks().preprocess(notebook, {})[0].cells[0].source == TEXT
    assert len(notebook.cells) == 2
