"""The course as a static site: the committed notebooks with the outputs they have, and no network.

Pages lie as their sources do, so a link between sources needs no more than another ending to lead between pages.
Everything can be read without JavaScript; `site.js` adds the search, the quizzes' buttons and the choice of a theme.
"""

import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import nbformat
from bs4 import BeautifulSoup, NavigableString
from jinja2 import Environment

from carvana_course.headless.notebooks import find_notebooks
from carvana_course.headless.pages import DESIGN, cells_exporter
from carvana_course.show.glossary import read_glossary
from carvana_lib import DataError
from carvana_lib.runs import ROOT, atomic

SITE = ROOT / "site"
GLOSSARIES = {path: read_glossary(path) for path in sorted((ROOT / "docs").glob("glossary*.md"))}
WORDS = {
    "en": {
        "contents": "Contents",
        "neighbours": "previous and next page",
        "skip": "Skip to the text",
        "search": "Search",
        "some": "Sections found:",
        "none": "Nothing found for",
        "dark": "Dark theme",
        "solutions": "Solutions",
    },
    "ru": {
        "contents": "Содержание",
        "neighbours": "предыдущая и следующая страницы",
        "skip": "Перейти к тексту",
        "search": "Поиск",
        "some": "Найдено разделов:",
        "none": "Ничего не найдено:",
        "dark": "Тёмная тема",
        "solutions": "Решения",
    },
}


class Page(NamedTuple):
    """A page of the site: where it comes from, relative to the repository, and the notebook that holds its text."""

    source: Path
    notebook: nbformat.NotebookNode

    @property
    def address(self) -> str:
        """Its address, relative to the site; README.md is index.html."""
        return address_of(self.source.as_posix())

    @property
    def title(self) -> str:
        """The first heading, up to its colon or comma: the rest of it is for readers who have opened the page."""
        return re.search(r"^# ([^:,\n]+)", self.notebook.cells[0].source, re.M).group(1).strip()

    @property
    def language(self) -> str:
        """'ru' for *.ru.md, 'en' for the others."""
        return "ru" if self.source.stem.endswith(".ru") else "en"

    @property
    def is_solution(self) -> bool:
        """Whether it answers the exercises of a chapter."""
        return self.source.parent.name == "solutions"


class Section(NamedTuple):
    """What the search may find: where it is, relative to the site, the titles of its page and its own, its text."""

    address: str
    page: str
    title: str
    text: str


def build(target: Path = SITE) -> list[Page]:
    """Write the whole site into `target`, in the place of what is there, and return its pages in reading order.

    Raises DataError for a link to a file of the repository that is no page of the site, before anything is written.
    """
    pages = find_pages()
    template = Environment(autoescape=False).from_string((DESIGN / "page.html.j2").read_text(encoding="utf8"))
    exporter = cells_exporter()
    written = {}  # address -> text
    assets = set()
    sections = []
    for number, page in enumerate(pages):
        resources = {"name": page.source.stem, "is_solution": page.is_solution}
        body, _ = exporter.from_notebook_node(page.notebook, resources)
        connected, needed = connect_links(body, page, pages)
        assets.update(needed)
        sections.extend(find_sections(connected, page))
        written[page.address] = template.render(
            body=connected,
            page=page,
            pages=pages,
            home=next(other for other in pages if other.language == page.language),
            before=pages[number - 1] if number else None,
            after=pages[number + 1] if number + 1 < len(pages) else None,
            root="../" * (len(page.source.parts) - 1),
            sections=re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', connected),
            words=WORDS[page.language],
        )
    for name in ("style.css", "site.js"):
        written[name] = (DESIGN / name).read_text(encoding="utf8")
    written["sections.js"] = f"const SECTIONS = {json.dumps(sections, ensure_ascii=False)};\n"
    shutil.rmtree(target, ignore_errors=True)
    with atomic(target, folder=True) as temporary:
        for address, text in written.items():
            (temporary / address).parent.mkdir(parents=True, exist_ok=True)
            (temporary / address).write_text(text, encoding="utf8")
        for asset in assets:
            (temporary / asset).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / asset, temporary / asset)
    return pages


def find_pages() -> list[Page]:
    """The pages in reading order: start, notebooks, solutions, texts, and what there is in Russian."""
    notebooks = [*find_notebooks(), *ROOT.glob("notebooks/solutions/[0-9]*.ipynb")]
    notebooks.sort(key=lambda path: (len(path.parts), path.name))
    texts = (
        "README.md",
        "docs/own-pictures.md",
        "docs/glossary.md",
        "TEACHING.md",
        "README.ru.md",
        "docs/glossary.ru.md",
    )
    readme, *others = [Page(Path(name), as_notebook(ROOT / name)) for name in texts]
    return [readme, *(Page(path.relative_to(ROOT), nbformat.read(path, 4)) for path in notebooks), *others]


def as_notebook(path: Path):
    """A Markdown file as a notebook of one cell; of a README its beginning, its map of the notebooks and real data."""
    text = path.read_text(encoding="utf8")
    if path.name.startswith("README"):
        start, *sections = re.split(r"^(?=## )", text, flags=re.M)
        text = start + "".join(one for one in sections if "| [1 · " in one or "carvana download " in one)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id="text")])


def address_of(link: str) -> str:
    """README.md -> index.html, notebooks/01_data.ipynb#The-audit -> notebooks/01_data.html#The-audit."""
    return re.sub(r"\.(ipynb|md)(?=#|$)", ".html", re.sub(r"(^|/)README(?=\.)", r"\1index", link))


def connect_links(body: str, page: Page, pages: list[Page]) -> tuple[str, set[Path]]:
    """The page's HTML with links to pages instead of sources, and the pictures it needs, relative to the repository."""
    known = {(ROOT / other.source).resolve() for other in pages}
    assets = set()

    def replace(match) -> str:
        attribute, link = match.groups()
        if re.match(r"[a-z]+:|#", link):
            return match.group()
        path = (ROOT / page.source.parent / link.split("#")[0]).resolve()
        if attribute == "src" and path.is_file():
            assets.add(path.relative_to(ROOT))
        elif path not in known:
            raise DataError(f"{page.source}: the link to {link} leads to no page of the site")
        if attribute == "src":
            return match.group()
        term = GLOSSARIES.get(path, {}).get(link.partition("#")[2])
        tooltip = f' class="term" title="{term.tooltip}"' if term else ""
        return f'href="{address_of(link)}"{tooltip}'

    return re.sub(r'\b(href|src)="([^"]+)"', replace, body), assets


def find_sections(body: str, page: Page) -> list[Section]:
    """The sections of a page's HTML, each from its heading to the next; a term of the glossary is one too.

    Text and code are kept, outputs are not: who looks for a number reads on.
    """
    soup = BeautifulSoup(body, "html.parser")
    for part in soup.select(".output_wrapper, .anchor-link, .fold > summary, .fold > p, style"):
        part.decompose()
    titles = soup.select("h1[id], h2[id], h3[id], p > a[id] + strong")
    sections = []
    for title, following in zip(titles, [*titles[1:], None], strict=True):
        words = []
        for part in title.next_elements:
            if part is following:
                break
            if isinstance(part, NavigableString) and title not in part.parents:
                words.append(part)
        anchor = title.get("id") or title.find_previous_sibling("a")["id"]
        text = " ".join("".join(words).split())
        sections.append(Section(f"{page.address}#{anchor}", page.title, title.get_text().strip("."), text))
    return sections
