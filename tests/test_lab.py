"""`make lab` and Voila as a reader meets them: where JupyterLab opens, and where a word of the glossary leads."""

import os
import shlex
import shutil
import subprocess
from contextlib import ExitStack

import nbformat
import pytest
from conftest import ROOT, SCREENSHOTS, jupyter_server

from carvana_course.show.glossary import GLOSSARY, read_glossary

TEXT = "# A page\n\nHow good is a mask? The [IoU](../docs/glossary.md#iou) says it."


@pytest.fixture
def place(tmp_path):
    """A copy of what a reader sees, so that nothing is opened or saved in the repository; and homes for Jupyter."""
    course = tmp_path / "course"
    for name in ("docs", "lab", "notebooks"):
        shutil.copytree(ROOT / name, course / name)
    for name in ("README.md", "voila.json"):
        shutil.copy(ROOT / name, course)
    return tmp_path


@pytest.fixture
def serve(place):
    """Start a server in that place with `words`, wait until it answers at `path`, and give its address."""
    with ExitStack() as servers:
        yield lambda words, path: servers.enter_context(
            jupyter_server(words, place, path, {"JUPYTER_TOKEN": "token"}, place / "course")
        )


def lab_words() -> list[str]:
    """The words after `jupyter` that `make lab` says."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    words = ["make", "-n", "-o", ".venv/installed", "lab"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=plain)
    return shlex.split(said.stdout.splitlines()[-1])[1:]


def test_the_lab_opens_on_01_at_the_root_and_follows_a_link_to_the_glossary(serve, chromium):
    first, *options = lab_words()
    address = serve([f"jupyter{first}", *options], "/api")
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    page.goto(f"{address}/?token=token")
    page.locator(".jp-Notebook").wait_for()
    assert page.url.endswith("/lab/tree/notebooks/01_data.ipynb")
    page.get_by_role("button", name="Expand Folder").or_(page.locator(".jp-BreadCrumbs-home")).first.click()
    page.locator(".jp-DirListing-itemName", has_text="README.md").wait_for()  # the root, not notebooks/
    link = page.locator(".jp-Notebook a[href*='glossary.md']").first
    term = read_glossary(GLOSSARY)[link.get_attribute("href").split("#")[1]]
    link.click()
    entry = page.locator(".jp-MarkdownViewer p", has_text=f"{term.name}. {term.tooltip}")
    entry.wait_for()
    page.wait_for_timeout(500)  # it scrolls
    assert 0 < entry.bounding_box()["y"] < 1000
    page.screenshot(path=SCREENSHOTS / "lab_glossary.png")
    assert page.get_by_text("official Jupyter news").count() == 0
    page.close()


def test_without_make_the_readme_says_the_same():
    first, *options = lab_words()
    line = " ".join(["jupyter", first, *(option for option in options if option != "--allow-root")])
    for name in ("README.md", "README.ru.md"):
        assert f"\n{line}\n" in (ROOT / name).read_text("utf8")


def test_voila_shows_what_a_word_means_and_follows_its_link(serve, place, chromium):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(TEXT)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, place / "course" / "notebooks" / "page.ipynb")
    address = serve(["voila", "notebooks/page.ipynb"], "/voila/static/main.js")
    page = chromium.new_page(viewport={"width": 1000, "height": 300})
    page.set_default_timeout(60_000)
    page.goto(address)
    link = page.locator("a.term")
    link.wait_for()
    definition = read_glossary(GLOSSARY)["iou"].definition
    assert link.get_attribute("title") == definition
    link.click()
    assert page.url.endswith("#glossary-iou")
    entry = page.locator("p", has=page.locator("#glossary-iou"))
    assert entry.inner_text() == f"IoU. {definition}"
    page.screenshot(path=SCREENSHOTS / "voila_glossary.png")
    page.close()
