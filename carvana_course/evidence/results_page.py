"""The page results/README.md: its tables, drawn from the JSONs beside it."""

from contextlib import suppress
from pathlib import Path

import pandas as pd

from carvana_course.evidence import results, transfer
from carvana_course.evidence.claims import on_real_photos, recipe_at_full_size
from carvana_course.evidence.experiments import RENDERS
from carvana_course.evidence.recipe import ingredients, recipe_gain
from carvana_course.evidence.summary import sentences
from carvana_course.parameters import read_yaml
from carvana_course.show.tables import markdown_table
from carvana_lib import RunError
from carvana_lib.runs import atomic, read_json

BEGIN = "<!-- {}: written by `experiment` -->"
END = "<!-- end of {} -->"


def write_page() -> None:
    """Bring the tables in results/README.md up to date with the JSONs beside it."""
    with suppress(RunError):  # where a run they speak of is being made again, the sentences stay as they were
        fill_section("summary", "\n".join(f"{i}. {sentence}" for i, sentence in enumerate(sentences(), 1)))
    fill_section("table", markdown_table(trainings_table()))
    fill_section("document", markdown_table(recipe_at_full_size()))
    fill_section("audit", markdown_table(on_real_photos()))
    fill_section("ingredients", f"{markdown_table(ingredients())}\n\n{recipe_gain()}")
    fill_section("between", markdown_table(results.renders_against_photos()))
    fill_section("leak", markdown_table(leak_table()))
    fill_section("grid", markdown_table(grid_table()))
    fill_section("curve", markdown_table(curve_table()))
    fill_section("pretraining", markdown_table(transfer.pretraining_table()))
    fill_section("starts", markdown_table(transfer.starts_table()))
    fill_section("native", markdown_table(results.native_dice()))


def fill_section(section: str, text: str) -> None:
    """Replace a section of results/README.md; what stands around its two marks stays."""
    readme = results.RESULTS / "README.md"
    begin = BEGIN.format(section)
    end = END.format(section)
    before, _, rest = readme.read_text(encoding="utf8").partition(begin)
    _, _, after = rest.partition(end)
    with atomic(readme) as temporary:
        temporary.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf8")


def trainings_table() -> pd.DataFrame:
    """The trainings on photographs; what only renders have taught stands in `renders_against_photos`."""
    records = {path: read_json(path) for path in results.result_files()}
    paths = [path for path, record in records.items() if record["params"]["data_dir"] != RENDERS]
    table = results.results_table(paths)
    abouts = [about_experiment(path, records[path]) for path in paths]
    intervals = [f"{low:.4f} to {high:.4f}" for low, high in zip(table["ci95_low"], table["ci95_high"], strict=True)]
    table.insert(1, "what", abouts)
    table["experiment"] = table["experiment"].map(results.experiment_link)
    table[results.SCORE_COLUMNS] = table[results.SCORE_COLUMNS].map("{:.4f}".format)
    table.insert(table.columns.get_loc("val_miou"), "95 % over its test cars", intervals)
    table["on"] = ["H100" if "H100" in records[path]["device"] else "CPU" for path in paths]
    titles = {
        "test_miou": "test mIoU",
        "test_iou_std": "std",
        "test_iou_min": "min",
        "test_iou_max": "max",
        "val_miou": "val mIoU",
    }
    return table.drop(columns=["ci95_low", "ci95_high"]).rename(columns=titles)


def about_experiment(path: Path, record: dict) -> str:
    """What an experiment is about: by its parameter file, or by its JSON where that file lies elsewhere."""
    name, _ = results.name_and_seed(path)
    file = results.RESULTS / "params" / f"{name}.yaml"
    about = read_yaml(file).get("about") if file.exists() else None
    return about or record["about"]


def leak_table() -> pd.DataFrame:
    """`results.leak_gains` as text."""
    gains = results.leak_gains().drop(columns="augment").rename_axis(columns=None)
    table = gains[["seed"]].astype(str)
    table["split by car"] = gains["car"].map("{:.4f}".format)
    table["split by image"] = gains["image"].map("{:.4f}".format)
    return table.assign(gain=gains["gain"].map("{:+.4f}".format))


def grid_table() -> pd.DataFrame:
    """`results.wide_grid_scores` as text, the best of a seed in bold."""
    scores = results.wide_grid_scores()
    best = scores.groupby("seed").transform("max").max(axis=1)
    table = scores.map("{:.3f}".format)
    table = table.where(~scores.eq(best, axis=0), "**" + table + "**")
    table.columns = [f"{rate:g}" for rate in table.columns]
    return table.reset_index()


def curve_table() -> pd.DataFrame:
    """The learning curve with a row a number of cars and a column a start; empty where none was trained."""
    curve = results.learning_curve().pivot_table(index="cars", columns="start", values="test_miou")
    return curve.astype(object).map("{:.4f}".format).replace("nan", "").reset_index()
