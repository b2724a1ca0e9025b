"""The report of a run and the comparison of many, as a person opens them: in a browser, on a phone, in the dark."""

import re

import nbformat
import pandas as pd
import pytest
import yaml
from conftest import SCREENSHOTS

from carvana_course.headless import batches, report
from carvana_course.headless.pages import cells_exporter
from carvana_course.headless.scores import score_run
from carvana_course.show.glossary import GLOSSARY, read_glossary
from carvana_lib.data import open_data
from carvana_lib.runs import Run, write_csv, write_json
from carvana_lib.training import train

FIRST = (
    "# 1 · Data: from a folder\n\nA [mask](../docs/glossary.md#mask) comes [first](02_model.ipynb).\n\n## Takeaways\n\n"
)
SECOND = "# 2 · Model\n\n## Takeaways\n\n[Back](#Takeaways), or to the [file](../README.md)."


def finish(params) -> Run:
    """Train and score a tiny run as the chapters do, with two executed chapters beside it."""
    data = open_data(params)
    run = Run.start(params, "cpu (a test)")
    model, history = train(data, params)
    test, metrics = score_run(model, data, params, history)
    write_csv(run.per_image, test)
    write_json(run.metrics, metrics | {"params": params.model_dump()})
    run.notebooks.mkdir()
    for name, text in {"01_data": FIRST, "02_model": SECOND}.items():
        cells = [nbformat.v4.new_code_cell("secret = 1"), nbformat.v4.new_markdown_cell(text)]
        cells[0].metadata["tags"] = ["injected-parameters"]
        cells.append(nbformat.v4.new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("stream", text="x" * 300)]))
        book = nbformat.v4.new_notebook(cells=cells)
        book.metadata["papermill"] = {"parameters": params.model_dump(), "duration": 75.0}
        book.metadata["pictures"] = data.fingerprint
        nbformat.write(book, run.notebooks / f"{name}.ipynb")
    report.write_report(params, data.fingerprint, data)
    return run


@pytest.fixture
def run(params):
    return finish(params)


def open_page(chromium, path, width=1400, height=1000, **options):
    """A page of a file, that may ask nothing else."""
    page = chromium.new_page(viewport={"width": width, "height": height}, **options)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert asked == [path.as_uri()] or all(url.startswith("data:") for url in asked[1:])
    return page


def test_the_first_screen_says_what_was_run_how_good_it_is_and_shows_it(run, chromium):
    page = open_page(chromium, run.report)
    metrics = report.read_json(run.metrics)
    low, high = metrics["test_miou_ci95"]
    tile = page.locator(".scores div").first.inner_text()
    assert f"{metrics['test_miou']:.4f}" in tile and f"{low:.3f} to {high:.3f}" in tile
    verdict = page.locator(".verdict").inner_text()
    worst = pd.read_csv(run.per_image).sort_values("iou").iloc[0]
    assert f"The weakest photo is {worst['image_id']}" in verdict and "leaves out the seed" in verdict
    titles = page.locator(".panels h2").all_inner_texts()
    assert len(titles) == 4 and page.locator(".panels img").count() == 10
    assert page.locator(".panels").bounding_box()["y"] < 450  # there without scrolling
    assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0 && one.alt.length > 8)")
    assert "secret" not in page.content() and "1 min 15 s" in page.locator("#\\30 1_data summary").inner_text()
    page.screenshot(path=SCREENSHOTS / "report_first.png")
    page.close()


def test_links_unfold_what_they_lead_to(run, chromium):
    page = open_page(chromium, run.report)
    takeaways = page.locator("details#\\30 2_model h2")
    assert not takeaways.is_visible()
    page.locator("#menu").get_by_role("link", name="2 · Model").click()
    assert takeaways.is_visible()
    page.locator("#menu").get_by_role("link", name="1 · Data").click()
    term = page.locator("a.term")
    definition = read_glossary(GLOSSARY)["mask"].definition
    assert term.get_attribute("title") == definition
    term.click()
    assert page.locator("p:has(#glossary-mask)").inner_text() == f"Mask. {definition}"
    page.get_by_role("link", name="first").click()
    assert page.url.endswith("#02_model")
    page.get_by_role("link", name="Back").click()
    assert page.url.endswith("#02_model-Takeaways")
    assert page.get_by_role("link", name="file").count() == 0  # which the report does not bring along
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1400])
def test_it_is_readable_on_any_screen(run, chromium, width, scheme):
    page = open_page(chromium, run.report, width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    wide = """() => [...document.querySelectorAll("body *")]
        .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 99))"""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(wide)
    letters = page.evaluate("""() => {
        const one = document.querySelector('.chapter p');
        return one.clientWidth / parseFloat(getComputedStyle(one).fontSize) * 2;
    }""")
    assert letters <= 92
    page.screenshot(path=SCREENSHOTS / f"report_{width}_{scheme}.png", full_page=True)
    page.close()


def test_it_prints_its_summary_and_what_is_unfolded(run, chromium, tmp_path):
    page = open_page(chromium, run.report)
    page.emulate_media(media="print")
    assert not page.locator("#menu").is_visible() and not page.locator("#used").is_visible()
    folded = page.pdf(path=tmp_path / "folded.pdf")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.locator("#used").is_visible()
    unfolded = page.pdf(path=tmp_path / "unfolded.pdf")
    pages = [len(re.findall(rb"/Type /Page\b", content)) for content in (folded, unfolded)]
    assert pages[0] <= 3 < pages[1]
    page.close()


def test_formulas_need_no_script():
    """A browser draws MathML by itself; a dollar in code is a dollar."""
    page = cells_exporter().markdown2html({"cell": {}}, "$$a = \\frac{b}{2}$$\n\nwith $b$ and `$HOME`, `$PWD`")
    assert page.count("<math ") == 2 and "<mfrac>" in page and "\\frac" not in page
    assert "<code>$HOME</code>, <code>$PWD</code>" in page


def test_without_scores_or_pictures_it_says_what_is_missing(params, data):
    run = Run.start(params, "cpu")
    report.write_report(params, data.fingerprint, data)
    page = run.report.read_text("utf8")
    assert "This run has not been scored" in page and "<img" not in page and 'class="scores"' not in page


def test_a_net_that_has_gone_is_told(run, params):
    run.last.unlink()
    data = open_data(params)
    report.write_report(params, data.fingerprint, data)
    page = run.report.read_text("utf8")
    assert "The net has gone" in page and "test mIoU" in page and page.count("<img") == 1


def test_one_test_car_is_not_taken_for_many(params, data):
    table = data.table
    table["split"] = table["split"].where((table["split"] != "test") | (table["car_id"] == "000000000001"), "unused")
    one_car = table["car_id"].iloc[0]
    table.loc[table["car_id"] == one_car, "split"] = "test"
    table.loc[(table["split"] == "test") & (table["car_id"] != one_car), "split"] = "unused"
    model, history = train(data, params)
    run = Run.start(params, "cpu")
    test, metrics = score_run(model, data, params, history)
    write_csv(run.per_image, test)
    write_json(run.metrics, metrics | {"params": params.model_dump()})
    report.write_report(params, data.fingerprint, data)
    assert "One car says nothing of others" in run.report.read_text("utf8")


def test_the_comparison_sorts_draws_and_links(params, tmp_path, chromium):
    file = tmp_path / "sets.yaml"
    values = params.model_dump(exclude={"run_name"}) | {"grid": {"seed": [0, 1, 2]}}
    file.write_text(yaml.safe_dump(values))
    for one in batches.read_sets([file])[:2]:
        finish(one)
    table = batches.compare_runs([file])
    page = open_page(chromium, Run("x").folder.parent / "comparison.html", color_scheme="dark")
    assert "Of 2 finished runs" in page.locator(".verdict").inner_text()
    assert "sets-seed-0" in page.locator("figure img").get_attribute("alt")
    column = list(table.columns).index("test_miou")
    head = page.locator("th").nth(column)
    scores = page.locator(f"tbody td:nth-child({column + 1})")
    head.get_by_role("button").click()
    rising = [float(text) for text in scores.all_inner_texts()]
    head.get_by_role("button").press("Enter")
    falling = [float(text) for text in scores.all_inner_texts()]
    assert rising == sorted(rising) == falling[::-1] and head.get_attribute("aria-sort") == "descending"
    assert rising == pytest.approx(sorted(table["test_miou"]), abs=1e-4)
    page.screenshot(path=SCREENSHOTS / "comparison_dark.png")
    page.get_by_role("link", name="sets-seed-1").click()
    assert page.title() == "Run sets-seed-1"
    page.close()


def test_an_empty_comparison_says_so(tmp_path, runs):
    (tmp_path / "sets.yaml").write_text("seed: 5")
    batches.compare_runs([tmp_path / "sets.yaml"])
    page = (runs / "comparison.html").read_text("utf8")
    assert "No run of these files has finished." in page and "<table" not in page
