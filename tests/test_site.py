"""The static site: complete, connected, alone in the world, readable on a phone, by night and without JavaScript;
what its script adds; and a text for every figure."""

import base64
import io
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import nbclient
import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from PIL import Image

from carvana_course.exercises import quiz
from carvana_course.exercises.quiz import Quiz
from carvana_course.upkeep import site
from carvana_lib import DataError

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update"
SCREENS = {"phone": (390, 844), "desktop": (1280, 900)}


class Tags(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def all(self, *names) -> list[dict]:
        return [attributes for tag, attributes in self.found if tag in names]

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.found if "id" in attributes]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder, {address: Tags}) of the site of the committed notebooks, built over what an earlier one left behind."""
    folder = tmp_path_factory.mktemp("site") / "site"
    folder.mkdir()
    (folder / "stale.html").write_text("of a notebook that is gone")
    pages = site.build(folder)
    return folder, {page.address: Tags((folder / page.address).read_text("utf8")) for page in pages}


def test_every_notebook_solution_and_text_has_its_page(built):
    folder, pages = built
    sources = [*NOTEBOOKS, *(ROOT / "notebooks" / "solutions").glob("*.ipynb")]
    expected = {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in sources}
    texts = {"index.html", "index.ru.html", "TEACHING.html", "docs/glossary.html", "docs/glossary.ru.html"}
    texts.add("docs/own-pictures.html")
    assert set(pages) == expected | texts
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")} == set(pages)


def test_no_link_is_broken(built):
    folder, pages = built
    followed = 0
    for address, page in pages.items():
        for link in page.all("a", "link"):
            if link.get("href", "http").startswith("http"):
                continue
            path, _, fragment = link["href"].partition("#")
            target = ((folder / address).parent / unquote(path)).resolve() if path else folder / address
            assert target.is_file() and target.is_relative_to(folder), f"{address}: {link['href']}"
            if fragment:
                ids = pages[target.relative_to(folder).as_posix()].ids
                assert fragment in ids or unquote(fragment) in ids, f"{address}: {link['href']}"
            followed += 1
    assert followed > 500


def test_ids_are_unique(built):
    for address, page in built[1].items():
        twice = {one for one in page.ids if page.ids.count(one) > 1}
        assert not {one for one in twice if not re.fullmatch(r"T_\w+", one)}, address


def test_nothing_is_fetched_from_elsewhere(built):
    folder, pages = built
    for address, page in pages.items():
        assert not page.all("iframe", "object", "embed"), address
        root = "../" * address.count("/")
        assert page.all("script") == [{"src": f"{root}site.js"}], address
        sources = [tag.get("src", "") for tag in page.all("img", "source")] + [tag["href"] for tag in page.all("link")]
        assert not [source for source in sources if re.match(r"(https?:)?//", source)], address
    styles = "".join(path.read_text("utf8") for path in folder.rglob("*.css"))
    assert not re.search(r"url\(|@import", styles)
    assert {path.name for path in folder.rglob("*.js")} == {"site.js", "sections.js"}
    assert not re.search(r"\bfetch|XMLHttp|https?:|\bimport\b|eval\(|innerHTML", (folder / "site.js").read_text("utf8"))


def test_a_phone_is_told_its_width_and_a_screen_reader_the_language(built):
    for address, page in built[1].items():
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
        (html,) = page.all("html")
        assert html["lang"] == ("ru" if ".ru." in address else "en")
        assert len(page.all("title")) == len(page.all("main")) == len(page.all("h1")) == 1
        assert page.all("a")[0] == {"class": "skip", "href": "#main"} and page.all("main") == [{"id": "main"}]


def test_previous_and_next_lead_through_all_pages(built):
    _, pages = built
    order = list(pages)
    for number, (address, page) in enumerate(pages.items()):
        steps = {tag["rel"]: tag["href"].replace("../", "") for tag in page.all("a") if "rel" in tag}
        assert steps.get("prev") == (order[number - 1] if number else None), address
        assert steps.get("next") == (order[number + 1] if number + 1 < len(order) else None), address


def test_the_start_tells_how_to_get_the_real_photos_that_notebook_06_ends_with(built):
    """Its last line says: README, "Real data"."""
    for address, heading in (("index.html", "Real-data"), ("index.ru.html", "Настоящие-данные")):
        assert heading in map(unquote, built[1][address].ids)


def test_a_link_to_no_page_is_refused_and_the_old_site_stays(built, monkeypatch):
    folder, _ = built
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.html")}
    lost = site.Page(
        site.Path("LOST.md"), nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# L [x](no.md)")])
    )
    monkeypatch.setattr(site, "find_pages", lambda: [lost])
    with pytest.raises(DataError, match="LOST.md: the link to no.md leads to no page"):
        site.build(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.html")} == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_committed_picture_has_a_text_for_those_who_cannot_see_it(path):
    for cell in nbformat.read(path, 4).cells:
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    alt = output.metadata.get(kind, {}).get("alt", "")
                    assert len(alt.split()) >= 3, f"{cell['id']}: run `make notebooks`"


def test_every_picture_of_the_site_has_a_text(built):
    for address, page in built[1].items():
        texts = [image.get("alt", "") for image in page.all("img")]
        assert all(text and not text.startswith("No description") for text in texts), address


def contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours like #0072b2, 1 to 21."""
    lights = []
    for color in (one, other):
        shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_text_stands_out_in_both_themes(built):
    style = (built[0] / "style.css").read_text("utf8")
    colors = {name: pair for name, *pair in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)", style)}
    grounds = {"paper", "panel", "marked"}
    on_panels_only = {"comment", "keyword", "string", "number", "name"}
    texts = colors.keys() - grounds - {"line", "accent"}
    assert on_panels_only < texts and {"ink", "quiet", "link"} < texts
    for theme in (0, 1):
        for text in texts:
            for ground in ("panel",) if text in on_panels_only else grounds:
                found = contrast(colors[text][theme], colors[ground][theme])
                assert found >= 4.5, f"{text} on {ground} in theme {theme}: {found:.2f}"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of a site of the glossary and of one made-up chapter with all that folds."""
    code = nbformat.v4.new_code_cell
    printed = nbformat.v4.new_output("stream", text="forty-two\n")
    question = Quiz(
        "Why <b>?", {"it rises": "It does.", "it falls": 'It "never" falls.', "nothing": "Much."}, "it rises"
    )
    asked = nbformat.v4.new_output("execute_result", {"text/html": question._repr_html_()})
    cells = [
        nbformat.v4.new_markdown_cell("# A\n\n[Dice](../docs/glossary.md#dice), [twice](../docs/glossary.md#dice)."),
        code("41 + 1", outputs=[printed], metadata={"jupyter": {"source_hidden": True}}),
        code("43 - 1", outputs=[printed], metadata={"jupyter": {"outputs_hidden": True}}),
        code("21 * 2", outputs=[printed]),
        code("quiz('up')", outputs=[asked]),
        nbformat.v4.new_markdown_cell("### up · one line\n\nGo up."),
        code("my_up = ...", id="01-ex-up-answer"),
        code('check("up", my_up)', outputs=[printed], id="01-ex-up-check"),
    ]
    solution = [nbformat.v4.new_markdown_cell("# Solutions\n\n## up\n\nSo."), code("my_up = 1", id="s01-up-answer")]
    glossary = site.Path("docs/glossary.md")
    pages = [
        site.Page(site.Path("notebooks/01_made_up.ipynb"), nbformat.v4.new_notebook(cells=cells)),
        site.Page(site.Path("notebooks/solutions/01_made_up.ipynb"), nbformat.v4.new_notebook(cells=solution)),
        site.Page(glossary, nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(TERMS)])),
    ]
    folder = tmp_path_factory.mktemp("small") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site, "find_pages", lambda: pages)
        site.build(folder)
    return folder


TERMS = """# Glossary

<a id="dice"></a>**Dice.** Twice the overlap. (No more.)

<a id="mask"></a>**Маска (mask).** Где автомобиль, там 1; ещё."""


def test_what_jupyter_hides_and_what_a_reader_writes_is_folded(small):
    page = BeautifulSoup((small / "notebooks" / "01_made_up.html").read_text("utf8"), "html.parser")
    folded = {one.summary.get_text(): one.get_text() for one in page.select("details.fold")}
    assert list(folded) == ["Code", "Output", "Your answer and its check"]
    assert "41 + 1" in folded["Code"] and "forty-two" not in folded["Code"]
    assert "forty-two" in folded["Output"] and "43 - 1" not in folded["Output"]
    assert all(part in folded["Your answer and its check"] for part in ("my_up = ...", "check(", "forty-two"))
    (link,) = [one["href"] for one in page.select("details.fold a")]
    assert link == "solutions/01_made_up.html#up"
    solution = BeautifulSoup((small / "notebooks" / "solutions" / "01_made_up.html").read_text("utf8"), "html.parser")
    assert "my_up = 1" in solution.select_one("details.fold").get_text() and solution.select_one("h2#up")


def test_a_link_to_the_glossary_brings_its_definition(built):
    found = 0
    for address, page in built[1].items():
        for link in page.all("a"):
            if re.search(r"glossary(\.ru)?\.html#", link.get("href", "")):
                assert link["class"] == "term" and len(link["title"].split()) > 5, f"{address}: {link}"
                assert "](" not in link["title"] and "**" not in link["title"], f"{address}: {link}"
                found += 1
    assert found > 90


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_quizzes_say_what_the_library_says(path):
    """Else the site would have no buttons for them."""
    for cell in nbformat.read(path, 4).cells:
        if asked := re.fullmatch(r'quiz\("([\w ]+)"\)', cell.source):
            assert cell.outputs[0].data["text/html"] == quiz(asked[1])._repr_html_(), f"{cell['id']}: run it again"


def test_without_javascript_everything_can_be_read(small, chromium):
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto((small / "notebooks" / "01_made_up.html").as_uri())
    assert not page.get_by_role("searchbox").is_visible() and not page.locator("#theme").is_visible()
    assert page.get_by_text("nothing", exact=True).is_visible() and not page.get_by_text("Right. It does.").is_visible()
    page.get_by_text("Answer", exact=True).click()
    assert page.get_by_text("Right. It does.").is_visible() and page.get_by_text("No. Much.").is_visible()
    assert page.get_by_role("link", name="Dice").get_attribute("title").startswith("Twice the overlap")
    page.get_by_role("button", name="Contents").click()
    page.get_by_role("link", name="Glossary").click()
    assert page.url.endswith("docs/glossary.html")
    context.close()


def test_a_quiz_tells_whether_each_answer_is_right_and_why(small, chromium):
    page = chromium.new_page()
    page.goto((small / "notebooks" / "01_made_up.html").as_uri())
    asked = page.locator(".carvana-quiz")
    said = asked.get_by_role("status")
    assert asked.get_by_role("group", name="Quiz. Why <b>?").get_by_role("radio").count() == 3
    assert said.inner_text() == "" and not page.get_by_text("Answer", exact=True).is_visible()
    for answer, verdict in {
        "it falls": '✗ No. It "never" falls.',
        "it rises": "✓ Right. It does.",
        "nothing": "✗ No. Much.",
    }.items():
        asked.get_by_label(answer).check()
        assert said.inner_text() == verdict
        assert ("right" in (said.get_attribute("class") or "")) is verdict.startswith("✓")
    page.close()


def test_the_search_finds_sections_and_is_worked_by_keys(built, chromium):
    folder, _ = built
    page = chromium.new_page(viewport=dict(zip(("width", "height"), SCREENS["phone"], strict=True)))
    page.goto((folder / "notebooks" / "05_evaluation.html").as_uri())
    results = page.locator("#results")
    page.keyboard.press("/")
    for query, title in {
        "skip connections": "Skip connection · Glossary",
        "dice": "Dice · Glossary",
        "range test learning": "A range test: raise the learning rate until it breaks · 3 · Tuning",
        "my_bce": "bce · fifteen minutes · 3 · Tuning",
        "обрезка градиентов": "Обрезка градиента (gradient clipping) · Глоссарий",
    }.items():
        page.keyboard.press("Control+a")
        page.keyboard.type(query)
        results.get_by_text(title).first.wait_for(timeout=3000)
        assert results.locator("a").first.inner_text().startswith(title) and results.locator("mark").count()
        box = results.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= SCREENS["phone"][0]
        assert page.get_by_role("searchbox").bounding_box()["width"] > 120
    page.keyboard.press("Control+a")
    page.keyboard.type("<b>qqq")
    results.get_by_text("Nothing found for “<b>qqq”").wait_for()
    page.keyboard.press("Escape")
    assert not results.is_visible() and page.get_by_role("searchbox").input_value() == "<b>qqq"
    page.keyboard.press("Control+a")
    page.keyboard.type("takeaways")
    results.locator("li").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.matches('#results li:first-child a')")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('input')") and not results.is_visible()
    page.keyboard.type(" 5")
    results.get_by_text("5 · Evaluation").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/05_evaluation.html#Takeaways")
    assert not results.is_visible()
    page.close()


def test_a_theme_is_the_systems_until_one_is_chosen_and_then_stays(small, chromium):
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    ground = "getComputedStyle(document.body).backgroundColor"
    page.goto((small / "notebooks" / "01_made_up.html").as_uri())
    button = page.get_by_role("button", name="Dark")
    dark = page.evaluate(ground)
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)" and button.get_attribute("aria-pressed") == "false"
    page.add_init_script("addEventListener('DOMContentLoaded', () => window.first = " + ground + ", true)")
    page.goto((small / "docs" / "glossary.html").as_uri())
    assert page.evaluate("first") == page.evaluate(ground) == "rgb(255, 255, 255)"  # before anything was drawn
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(ground) == dark
    context.close()


def test_a_term_shows_its_definition_to_mouse_and_keyboard(small, chromium):
    page = chromium.new_page()
    page.goto((small / "notebooks" / "01_made_up.html").as_uri())
    tip = page.get_by_role("tooltip")
    page.get_by_role("link", name="Dice").hover()
    assert tip.inner_text().startswith("Twice the overlap")
    tip.hover()  # to read on, or to copy
    page.wait_for_timeout(300)
    assert tip.is_visible()
    page.mouse.move(5, 5)
    tip.wait_for(state="hidden")
    page.get_by_role("link", name="twice").focus()
    assert tip.is_visible() and page.get_by_role("link", name="twice").get_attribute("aria-describedby") == "tooltip"
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.close()


def test_beside_the_text_a_menu_stays_where_there_is_room(built, chromium):
    folder, _ = built
    page = chromium.new_page(viewport=dict(zip(("width", "height"), SCREENS["desktop"], strict=True)))
    page.goto((folder / "notebooks" / "03_tuning.html").as_uri())
    assert not page.get_by_role("button", name="Contents").is_visible()
    menu = page.get_by_role("navigation", name="Contents")
    assert menu.locator("[aria-current]").inner_text() == "3 · Tuning"
    page.evaluate("scrollTo(0, 3000)")
    menu.get_by_role("link", name="Takeaways").click()
    page.wait_for_function("document.querySelector(':target').getBoundingClientRect().top < 200")
    head = page.locator(":target").bounding_box()
    assert head["y"] >= page.locator("header").bounding_box()["height"] - 1  # not behind the page's head
    assert menu.bounding_box()["x"] + menu.bounding_box()["width"] < head["x"]
    page.close()


FIGURES = {  # a call, and what its text must say
    "plots.area_by_view(table)": "least 0.100 in view 1, most 0.400 in view 4",
    "thumbnails.split_sheet(cars)": "train: 2 cars, 4 pictures; val: 1 cars, 2 pictures",
    "drawings.unet_diagram(trace_shapes(UNet(4), 64), black, black[..., 0])": "4 channels at 64 pixels to 64 at 4",
    "drawings.pixels(black, black[..., 0])": "as numbers, 0 to 0; and the same pixels in the mask",
    "drawings.number_grids({'a': [[1, 2], [3, 4]], 'b': [[0.5]]})": "row by row: a (1 2; 3 4), b (0.5).",
    "drawings.descent(lambda w: w**2, {'rate 1': [3, -3, 3], 'rate 0': [3, 3]})": "rate 0: weight 3 throughout.",
    "plots.bars(['a', 'b'], [1, 2.5], 'seconds')": "Bars of seconds: a 1.0, b 2.5.",
    "plots.curves({'a': ([1, 2, 3], [0.1, 0.9, 0.2])}, 'step', 'IoU')": "a from 0.1 to 0.2, at most 0.9 at 2.",
    "plots.curves({'b': ([1, 2, 3], [0, 4, 0]), 'c': ([1, 2, 3], [5] * 3)}, 'x', 'y')": "b 0 at both ends, at most 4",
    "plots.curves({'d': ([1, 3, 9], [5, 6, 7]), 'e': ([2], [6])}, 'x', 'y')": ": d (from 1 to 9) from 5 to 7; e (2) 6.",
    "drawings.receptive_fields(np.zeros((64, 64, 3)), receptive_field(UNet(4)))": "of a stage sees: encoder 1 5",
    "plots.scatter([1, 2, 3, 4], [0.9, 0.8, 0.6, 0.7], 'doubt', 'IoU')": "doubt 1 to 4 and IoU 0.6 to 0.9; rank corr",
    "plots.heat_map(trials)": "bce at 0.0001 0.600, bce at 0.0003 0.800",
    "plots.learning_curves(history)": "Epochs 1 to 2: train loss from 0.5 to 0.4",
    "scores.iou_histogram(table)": "of 8 pictures, 0.600 to 0.900, with mean 0.750, coloured by car; the lowest car is",
    "scores.polar_by_view(table)": "least 0.600 in view 4, most 0.900 in view 1",
    "scores.drawn_means({'cars': table['iou']}, 0.75)": "95 % intervals, cars: 0.6000 to 0.9000.",
    "own[1].set(xlabel='pixels', ylabel='count') and own[0]": "Figure: count, pixels.",
    "pictures.picture_grid([black] * 3, [*'xyx'], legend={'car': plots.ORANGE})": "3 pictures: x, y; in colour: car.",
    "pictures.picture_grid([black] * 2, alt='Two black fields')": "Two black fields.",
}
SETUP = """
import numpy as np, pandas as pd
from types import SimpleNamespace
from carvana_course.show import drawings, figures, pictures, plots, scores, thumbnails
from carvana_lib.model import UNet
from carvana_course.show.anatomy import receptive_field, trace_shapes
table = pd.DataFrame({"view": [1, 2, 3, 4] * 2, "area": [0.1, 0.2, 0.3, 0.4] * 2, "iou": [0.9, 0.8, 0.7, 0.6] * 2,
                      "car_id": [*"aabb", *"cccc"], "split": ["train"] * 4 + ["val"] * 2 + ["test"] * 2})
trials = pd.DataFrame({"loss": ["bce", "bce"], "learning_rate": [1e-4, 3e-4], "val_miou": [0.6, 0.8]})
history = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.4], "val_loss": [0.6, 0.5], "val_miou": [0.7, 0.8]})
cars = SimpleNamespace(table=table.assign(width=3, height=2, car_id=[*"aabbccdd"]), images=np.zeros((8, 4, 4, 3), "u1"),
                       rows=lambda part: np.flatnonzero(table["split"] == part))
own, black = figures.new_figure(), np.zeros((8, 12, 3), np.uint8)
"""


def test_every_figure_of_the_library_brings_its_text_into_the_notebook():
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, *FIGURES)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, extra_arguments=["--log-level=ERROR"]).execute()
    for cell, expected in zip(cells[1:], FIGURES.values(), strict=True):
        (output,) = cell.outputs
        (kind,) = [kind for kind in output.data if kind.startswith("image/")]
        assert expected in output.metadata[kind]["alt"], cell.source
        drawn = Image.open(io.BytesIO(base64.b64decode(output.data[kind]))).convert("RGBA")
        assert drawn.getextrema()[3] == (255, 255), f"{cell.source}: a dark page would show through"


OVERFLOWING = """() => [...document.querySelectorAll("main *")]
    .filter(one => !one.closest("pre, table, style") && one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.outerHTML.slice(0, 99))"""
SMALL = """() => [...document.querySelectorAll("main p, main li, main td, main pre, main summary")]
    .filter(one => parseFloat(getComputedStyle(one).fontSize) < 13)
    .map(one => one.outerHTML.slice(0, 99))"""


PALE = """() => {
    const light = ([r, g, b]) => [[r, 0.2126], [g, 0.7152], [b, 0.0722]].map(([one, weight]) =>
        weight * (one <= 10.3 ? one / 3294 : ((one / 255 + 0.055) / 1.055) ** 2.4)).reduce((a, b) => a + b);
    const numbers = color => color.match(/[\\d.]+/g).map(Number);
    const under = one => {
        const color = numbers(getComputedStyle(one).backgroundColor);
        return (color[3] ?? 1) === 1 ? color : under(one.parentElement);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = new Set();
    while (walker.nextNode()) {
        const one = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !one.checkVisibility({visibilityProperty: true})) continue;
        const both = [light(numbers(getComputedStyle(one).color)), light(under(one))].sort((a, b) => a - b);
        const contrast = (both[1] + 0.05) / (both[0] + 0.05);
        if (contrast < 4.5) found.add(`${one.tagName}.${one.className} ${contrast.toFixed(2)}`);
    }
    return [...found];
}"""


@pytest.mark.parametrize(("screen", "theme"), [("phone", "light"), ("desktop", "dark")])
def test_every_page_is_readable(built, chromium, screen, theme):
    """In a browser: nothing wider than the screen, nothing small or pale, each picture there, no request that fails."""
    folder, pages = built
    width, height = SCREENS[screen]
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    failures = []
    page.on("requestfailed", lambda request: failures.append(request.url))
    page.on("console", lambda message: failures.append(message.text))
    shots = ROOT / "tests" / "screenshots"
    shots.mkdir(exist_ok=True)
    for address in pages:
        page.goto((folder / address).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.evaluate(OVERFLOWING) == [] and page.evaluate(SMALL) == [], address
        assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)"), address
        page.screenshot(path=shots / f"site_{screen}_{theme}_{address.replace('/', '-')}.png", full_page=True)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate(OVERFLOWING) == [] and page.evaluate(PALE) == [], address
    assert not failures
    page.close()


def test_a_reader_gets_from_the_start_to_a_term_and_back(built, chromium):
    folder, _ = built
    page = chromium.new_page(viewport=dict(zip(("width", "height"), SCREENS["phone"], strict=True)))
    page.goto((folder / "index.html").as_uri())
    page.get_by_role("link", name="2 · Model").first.click()
    assert page.title() == "2 · Model" and not page.get_by_role("link", name="Takeaways").is_visible()
    page.get_by_text("Contents", exact=True).click()
    page.get_by_role("link", name="Takeaways").click()
    assert page.evaluate("document.querySelector(':target').textContent").startswith("Takeaways")
    page.locator("a[href$='glossary.html#skip-connection']").first.click()
    assert page.locator("p:has(> :target)").inner_text().startswith("Skip connection.")
    page.get_by_role("link", name="Car segmentation on Carvana").first.click()
    assert page.url.endswith("index.html")
    page.close()
