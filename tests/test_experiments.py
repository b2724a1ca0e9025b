import re
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from typer.testing import CliRunner

from carvana_course.cli import app
from carvana_course.evidence import experiments, results_page, summary
from carvana_course.evidence.document import CLAIMS, DOCUMENT_RESULTS
from carvana_course.evidence.judges import even_view_scores
from carvana_course.evidence.paired import compare, gains_by_car
from carvana_course.evidence.recipe import RECIPE_STEPS, ingredients, recipe_gain
from carvana_course.evidence.results import (
    RESULTS,
    SIZES,
    error_removed,
    image_scores,
    learning_curve,
    mean_interval,
    result_files,
    results_by_seed,
    results_table,
    scores_by_seed,
)
from carvana_lib import ParameterError
from carvana_lib.config import Params
from carvana_lib.runs import Run, read_json, write_json


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr("carvana_course.evidence.results.RESULTS", tmp_path / "results")
    return tmp_path / "results"


def write(folder, name, **values):
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return folder / f"{name}.yaml"


def tiny(params):
    keep = ("data_dir", "image_size", "base_channels", "epochs", "learning_rate", "loss", "precision", "device")
    return {name: getattr(params, name) for name in keep}


def test_an_experiment_trains_scores_and_keeps_its_numbers(params, tmp_path, results, folder):
    write(tmp_path, "base", about="whatever", **tiny(params))
    file = write(
        tmp_path,
        "wide",
        extends="base.yaml",
        about="wider",
        seeds=[3],
        score_also=str(folder),
        native=str(folder),
        epochs=1,
    )
    experiment = experiments.read_experiment(file)
    path = experiments.run_experiment(experiment, 3)
    record = read_json(path)
    assert path == results / "wide-seed3.json" and record["about"] == "wider" and record["seed"] == 3
    assert record["params"]["epochs"] == 1 and record["metrics"]["images_seen"] == 24
    low, high = record["metrics"]["test_miou_ci95"]
    assert low <= record["metrics"]["test_miou"] <= high and record["commit"] and record["versions"]["torch"]
    assert record["elsewhere"]["n"] == 40 and 0 <= record["elsewhere"]["miou"] <= 1
    assert len(record["val_miou_each_epoch"]) == 1 and len(record["test_miou_each_view"]) == 4
    each = pd.read_csv(image_scores(path), dtype={"car_id": str}).set_index("car_id")
    assert list(record["test_miou_each_car"]) == list(each.index)
    assert each.stack().mean() == pytest.approx(record["metrics"]["test_miou"], abs=1e-5)
    ways = pd.DataFrame(record["native"]["ways"])
    assert record["native"]["n"] == 40 and len(ways) == 9 and ways["dice"].between(ways["iou"], 1).all()
    rows = results_table([path])
    assert rows[["experiment", "seed"]].to_numpy().tolist() == [["wide", 3]]
    before = path.stat().st_mtime_ns
    assert experiments.run_experiment(experiment, 3) == path and path.stat().st_mtime_ns == before, "it was run again"
    path.unlink()
    trained = Run("wide-seed3").last.stat().st_mtime_ns
    assert read_json(experiments.run_experiment(experiment, 3))["metrics"] == record["metrics"]
    assert Run("wide-seed3").last.stat().st_mtime_ns == trained, "a finished training is only scored again"


def test_wrong_experiment_files_are_explained(params, tmp_path, results):
    with pytest.raises(ParameterError, match="needs a line 'about"):
        experiments.read_experiment(write(tmp_path, "mute", **tiny(params)))
    with pytest.raises(ParameterError, match="did you mean 'learning_rate'"):
        experiments.read_experiment(write(tmp_path, "typo", about="x", learning_rat=1e-3))
    with pytest.raises(ParameterError, match="absent.yaml' cannot be read"):
        experiments.read_experiment(write(tmp_path, "lost", about="x", extends="absent.yaml"))
    faults = {
        "seeds must be a list": {"seeds": 3},
        "seeds must be a list.*": {"seeds": []},
        "seed='first': it should be a valid integer": {"seeds": ["first"]},
        "extends must name one other file": {"extends": ["lost.yaml"]},
        "extends must name .* none that extends this one": {"extends": "wrong.yaml"},
        "native must name one folder": {"native": ["sample"]},
        "score_also must name one folder": {"score_also": {"data_dir": "sample"}},
        "needs a line 'about": {"about": ["x"]},
    }
    for message, values in faults.items():
        with pytest.raises(ParameterError, match=message):
            experiments.read_experiment(write(tmp_path, "wrong", **{"about": "x", **values}))
    assert not results.exists()


def test_an_experiment_may_run_elsewhere_but_not_otherwise(params, tmp_path, results):
    experiment = experiments.read_experiment(write(tmp_path, "one", about="x", **tiny(params)))
    with pytest.raises(ParameterError, match="epochs, seed cannot be changed here, only data_dir, device"):
        experiments.run_experiment(experiment, 0, epochs=1, seed=3, device="cpu")
    write_json(experiment.result(0), {})
    assert experiments.run_experiment(experiment, 0, device="cpu") == experiment.result(0)


def test_photos_may_lie_elsewhere_but_renders_stay_renders(params, tmp_path, results, monkeypatch):
    opened = []

    class Opened(Exception):
        pass

    def open_data(asked):
        opened.append(asked.data_dir)
        if asked.run_name.endswith("score_also"):
            raise Opened

    monkeypatch.setattr(experiments, "open_data", open_data)
    for trained, scored in (("sample", "data/carvana-256"), ("data/carvana-256", "sample")):
        values = tiny(params) | {"data_dir": trained, "score_also": scored, "native": "full-size"}
        one = experiments.read_experiment(write(tmp_path, "one", about="x", **values))
        for overrides in ({}, {"data_dir": "mine"}):
            with pytest.raises(Opened):
                experiments.run_experiment(one, 0, **overrides)
    assert one.with_photos_in("mine").native == "full-size"
    assert opened == ["sample", "data/carvana-256", "sample", "mine", "data/carvana-256", "sample", "mine", "sample"]


def test_a_missing_folder_is_told_before_training_and_stops_no_other(params, tmp_path, results, monkeypatch):
    monkeypatch.setattr(results_page, "write_page", lambda: None)
    keep = tiny(params) | {"epochs": 1}
    lost = [
        write(tmp_path, f"lost-{key}", about="x", **{**keep, key: str(tmp_path / "absent")})
        for key in ("data_dir", "score_also", "native")
    ]
    done = CliRunner().invoke(app, ["experiment", *map(str, lost), str(write(tmp_path, "sound", about="x", **keep))])
    assert done.exit_code == 1 and [path.stem for path in result_files()] == ["sound-seed0"]
    for file in lost:
        key = file.stem.removeprefix("lost-")
        named = "" if key == "data_dir" else f"its {key}: "
        assert re.search(rf"skipped: {file.stem}, seed 0: {named}data_dir '.*absent' has no folder train/", done.output)
        assert not Run(f"{file.stem}-seed0").last.exists()
    done = CliRunner().invoke(app, ["experiment", str(lost[0])])
    assert done.exit_code == 1 and done.output.count("\n") == 1, "one sentence and no empty table"


def test_without_rate_and_loss_the_grid_is_searched_first(params, tmp_path, results):
    keep = tiny(params) | {"learning_rate": None, "loss": None, "epochs": 1, "tuning_subset": 8}
    path = experiments.run_experiment(experiments.read_experiment(write(tmp_path, "grid", about="x", **keep)), 0)
    record = read_json(path)
    assert record["params"]["loss"] is None and len(record["grid"]) == 6
    assert {tuple(trial) for trial in record["grid"]} == {("learning_rate", "loss", "val_miou", "seconds")}


def test_the_command_skips_what_it_cannot_start_and_says_so(params, tmp_path, results, monkeypatch):
    written = []
    monkeypatch.setattr(results_page, "write_page", lambda: written.append(1))
    keep = tiny(params) | {"epochs": 1}
    files = [
        write(tmp_path, "orphan", about="x", start_from="absent", **keep),
        write(tmp_path, "sound", about="x", **keep),
    ]
    done = CliRunner().invoke(app, ["experiment", *map(str, files)])
    assert done.exit_code == 1 and "skipped: orphan, seed 0" in done.output and "sound" in done.output
    assert written == [1] and [path.stem for path in result_files()] == ["sound-seed0"]


def test_the_tables_in_the_results_are_those_of_the_jsons(tmp_path, monkeypatch):
    kept = (RESULTS / "README.md").read_text(encoding="utf8")
    monkeypatch.setattr("carvana_course.evidence.results.RESULTS", shutil.copytree(RESULTS, tmp_path / "copy"))
    results_page.write_page()
    assert (tmp_path / "copy" / "README.md").read_text(encoding="utf8") == kept
    assert kept.count("\n| ") > len(result_files()) + len(CLAIMS)
    mine = read_json(RESULTS / "protocol-small-seed0.json") | {"about": "a file that lies elsewhere"}
    write_json(tmp_path / "copy" / "mine-seed0.json", mine)
    write(tmp_path / "copy" / "params", "heir", extends="protocol-small.yaml", epochs=6)
    write_json(tmp_path / "copy" / "heir-seed0.json", mine)
    results_page.write_page()
    page = (tmp_path / "copy" / "README.md").read_text(encoding="utf8")
    assert "a file that lies elsewhere" in page
    assert "| [heir](params/heir.yaml) | a file that lies elsewhere" in page, "its own file says nothing about it"


def test_the_better_recipe_is_one_at_every_size():
    varies = dict.fromkeys(["data_dir", "image_size", "base_channels", "learning_rate"])
    files = (RESULTS / "params" / f"best-batch-2-{size}.yaml" for size in SIZES)
    small, half, full = (
        experiments.read_experiment(file).params(0, run_name="x").model_dump() | varies for file in files
    )
    assert small == half == full


def test_an_ingredient_has_a_gain_where_the_line_above_was_trained(results):
    def keep(name, seed, score):
        cars = {"a": score - 0.001, "b": score + 0.001}
        write_json(results / f"{name}-seed{seed}.json", {"metrics": {"test_miou": score}, "test_miou_each_car": cars})

    for seed, more in enumerate((0, 0.001, 0.002)):
        keep("protocol-small", seed, 0.96)
        keep("rate-small", seed, 0.97 + more)
        keep("mirrors-small", seed, 0.98)
        keep("best-batch-2-small", seed, 0.985)
    keep("protocol-small", 3, 0.5)  # a seed that the others have not
    table = ingredients().set_index("recipe")
    assert list(table.index) == [
        RECIPE_STEPS[name] for name in ("protocol-small", "rate-small", "mirrors-small", "best-batch-2-small")
    ]
    assert table["gain"].tolist() == ["", "+0.0110", "", ""] and table["test mIoU"].tolist()[:2] == ["0.9600", "0.9710"]
    assert table["95 % interval"].iloc[1] == "+0.0085 to +0.0135" and table["p, corrected"].iloc[1] == "0.003"
    assert recipe_gain().startswith("Error removed by all of them: 62 %, 62 %, 62 % with seeds 0, 1, 2, 95 % interval")


def test_the_learning_curve_tells_starts_apart(results):
    for name, start, score in (
        ("cars-010", None, 0.93),
        ("cars-003", None, 0.91),
        ("cars-003-pretrained", "sample-small-seed0", 0.94),
        ("longer-003", None, 0.92),
    ):
        metrics = {"n_train": 16 * int(name[-3:] if start is None else 3), "test_miou": score}
        write_json(results / f"{name}-small-seed0.json", {"params": {"start_from": start}, "metrics": metrics})
    shown = {
        start: (rows["cars"].tolist(), rows["test_miou"].tolist()) for start, rows in learning_curve().groupby("start")
    }
    assert shown == {
        "after the sample": ([3], [0.94]),
        "from random weights": ([3, 10], [0.91, 0.93]),
        "from random weights, 3 times the steps": ([3], [0.92]),
    }


def test_the_learning_curve_compares_equal_steps():
    """As the page says: all alike, but for the control, which has about what renders and photos make together."""
    seen = {path.stem: read_json(path)["metrics"]["images_seen"] for path in RESULTS.glob("*-small-seed0.json")}
    assert {seen[name] for name in seen if name.startswith("cars-")} == {760 * 8}
    assert {seen[name] for name in seen if name.startswith("longer-")} == {3 * 760 * 8}
    assert 760 + 1408 == 760 + seen["sample-small-seed0"] // 8 == pytest.approx(3 * 760, rel=0.06)
    curve = learning_curve().pivot(index="cars", columns="start", values="test_miou")
    few, some, many = (curve["after the sample"] - curve["from random weights, 3 times the steps"]).dropna()
    said = f"ahead by {few:.3f} at 3 cars and by {some:.3f} at 13, and behind by {-many:.3f} at 63"
    all_cars = f"in 1,900 steps give {scores_by_seed('onecycle-small')[0]:.4f} (`onecycle-small`"
    page = (RESULTS / "README.md").read_text("utf8")
    assert said in page and all_cars in page
    audit = (ROOT / "notebooks" / "08_audit.ipynb").read_text("utf8")
    assert few > 0.01 > max(some, -many) and "it is clearly ahead at 3 cars only" in audit
    random = learning_curve().query("start == 'from random weights'").set_index("cars")["test_miou"]
    assert scores_by_seed("onecycle-small")[0] > random.max() and "higher than any point of that line" in audit
    assert random[50] - random[3] > 5 * (random[190] - random[50]) and "comes with the first 50 cars" in audit


def test_the_page_names_what_is_not_trained_yet():
    page = (RESULTS / "README.md").read_text("utf8")
    sentence = "".join(re.findall(r"^Not trained yet: (.*)$", page, re.M))
    said = dict(re.findall(r"`([\w-]+)` \(seeds? ([\d, ]+)\)", sentence))
    asked = [experiments.read_experiment(file) for file in (RESULTS / "params").glob("*.yaml")]
    missing = {one.name: [seed for seed in one.seeds if not one.result(seed).exists()] for one in asked}
    assert said == {name: ", ".join(map(str, seeds)) for name, seeds in missing.items() if seeds}


def test_what_the_page_says_of_renders():
    pairs = []
    for size in SIZES:
        protocol, better = (
            {seed: record["elsewhere"]["miou"] for seed, record in results_by_seed(f"{recipe}-{size}").items()}
            for recipe in ("protocol", "best-batch-2")
        )
        pairs += [(protocol[seed], better[seed]) for seed in protocol.keys() & better]
    assert (len(pairs), sum(better < protocol for protocol, better in pairs)) == (9, 4)
    assert "in four of nine pairs" in (RESULTS / "README.md").read_text("utf8")


def test_what_the_glossaries_say_of_a_leak():
    gain = (even_view_scores("split-by-image-small") - even_view_scores("protocol-small")).dropna()
    assert len(gain) == 5
    for name, between in (("glossary.md", " to "), ("glossary.ru.md", "…")):
        assert f"{gain.min():+.4f}{between}{gain.max():+.4f}" in (ROOT / "docs" / name).read_text("utf8")


def test_what_the_page_says_of_the_full_size():
    page = (RESULTS / "README.md").read_text("utf8")
    runs = results_by_seed("protocol-full")
    steps = runs[0]["metrics"]["images_seen"] // 8
    document = int(0.7 * 318)
    trained = runs[0]["metrics"]["n_train"] // 16
    assert f"{trained} cars and {steps:,} steps in place of {document} and {5 * 2 * document:,}" in page
    below = {seed: DOCUMENT_RESULTS["test_miou"] - run["metrics"]["test_miou"] for seed, run in runs.items()}
    assert abs(below[0]) < 0.002 and abs(below[1]) < 0.002 and f"the third {below[2]:.3f} below it" in page
    worst, *others = sorted(runs[2]["test_miou_each_car"].values())
    assert f"(IoU {worst:.2f}); the other {len(others)} cars of this split score {np.mean(others):.3f}" in page
    assert all(np.argmax(run["val_miou_each_epoch"]) == 4 for run in runs.values())
    for run in runs.values():
        averagings = run["metrics"]["test_averagings"]
        assert [name for name, score in averagings.items() if score < 0.96] == ["soft"], "only soft IoU lies that low"


def test_what_the_page_says_of_ingredients():
    table = ingredients().set_index("recipe")
    p = table["p, corrected"].replace("", "nan").astype(float)
    certain = {RECIPE_STEPS["rate-small"], RECIPE_STEPS["best-small"]}
    assert set(p.index[p < 0.05]) == certain, "the learning rate, and mirrored predictions"
    gains = gains_by_car("mirrors-small", "onecycle-small")
    assert all(cars.mean() > 0 for cars in gains.values()) and p[RECIPE_STEPS["mirrors-small"]] > 0.05
    averaged = compare("ema-small", "onecycle-small")
    assert abs(averaged.mean) < 1e-4 and averaged.high < 1e-4, "averaged weights change nothing"
    assert experiments.read_experiment(RESULTS / "params" / "best-batch-2-full.yaml").params(0).ema == 0


def test_the_page_begins_with_sentences_that_hold():
    five = summary.sentences()
    page = (RESULTS / "README.md").read_text("utf8").splitlines()
    assert page[3:8] == [f"{number}. {sentence}" for number, sentence in enumerate(five, 1)]
    assert abs(scores_by_seed("protocol-full").median() - DOCUMENT_RESULTS["test_miou"]) < 0.002, "plausible"
    assert (DOCUMENT_RESULTS["val_miou"] < scores_by_seed("protocol-full", "val_miou") - 0.02).all()
    assert "a learning rate of 1e-3" in five[2] and "mirrored predictions" in five[2]


@pytest.mark.parametrize("path", result_files(), ids=lambda path: path.stem)
def test_each_result_belongs_to_its_parameter_file(path):
    record, (name, _, seed) = read_json(path), path.stem.rpartition("-seed")
    experiment = experiments.read_experiment(RESULTS / "params" / f"{name}.yaml")
    elsewhere = dict.fromkeys(experiments.PLACE)
    assert int(seed) in experiment.seeds
    asked = Params(**record["params"]).model_dump()  # a parameter that came later had its default
    assert asked | elsewhere == experiment.params(int(seed)).model_dump() | elsewhere


COMPARED = [  # experiments of which differences are taken, and which must have one device
    [*RECIPE_STEPS, "ema-small", "loss-bce-small", "loss-dice-small", "split-by-image-small", "steplr-small"],
    ["protocol-32", "best-batch-2-32"],
    ["protocol-full", "best-batch-2-full", "best-batch-2-full-20", "lite0-256", "lite0-random-256"],
    [f"{net}-{cars}-small" for net in ("cars", "lite0", "lite0-random") for cars in ("003", "013", "063", "all")],
    [f"{start}-small" for start in ("cars-003-pretrained", "longer-003", "cars-013-pretrained", "longer-013")],
]


@pytest.mark.parametrize("names", COMPARED)
def test_compared_results_have_one_device(names):
    devices = {run["device"] for name in names for run in results_by_seed(name).values()}
    assert len(devices) == 1 and all(results_by_seed(name) for name in names)


def test_results_come_from_committed_code_and_keep_each_image():
    for path in result_files():
        record = read_json(path)
        assert not record["commit"].endswith("-dirty"), f"{path.name}: commit what you changed, and make it again"
        if "test_miou_each_car" not in record:
            assert record["device"].startswith("cpu"), "only the older rows lack their cars"
            continue
        if not image_scores(path).exists():
            assert record["device"].startswith("cpu")
            continue
        scores = pd.read_csv(image_scores(path), dtype={"car_id": str}).set_index("car_id")
        assert scores.stack().mean() == pytest.approx(record["metrics"]["test_miou"], abs=1e-5)
        by_car = pd.Series(record["test_miou_each_car"])
        assert (scores.mean(axis=1) - by_car).abs().max() < 1e-5 and len(by_car) == 40


def readme_rows(name: str, kind: str) -> list[list[str]]:
    """The cells after the first of the rows of README's table on pictures of a kind, and of the document."""
    rows = re.findall(
        rf"^\| (?:\*\*(?:{kind})\*\*|\*(?:the document|утверждение)).*$", (ROOT / name).read_text("utf8"), re.M
    )
    return [[cell.strip() for cell in row.split("|")[2:5]] for row in rows]


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_what_the_readmes_quote_of_real_photos_stands_in_the_jsons(name):
    protocol, better, document = readme_rows(name, "real photos|настоящие фото")
    for row, experiment in ((protocol, "protocol-full"), (better, "best-batch-2-full")):
        test = scores_by_seed(experiment)
        low, high = mean_interval(test)
        assert row == [
            f"{test.mean():.4f}",
            f"{low:.3f} to {high:.3f}" if name == "README.md" else f"{low:.3f}–{high:.3f}",
            f"{scores_by_seed(experiment, 'val_miou').mean():.4f}",
        ]
        assert len(test) == 3, "mean of three splits"
    assert [float(document[0]), float(document[2])] == [DOCUMENT_RESULTS[key] for key in ("test_miou", "val_miou")]


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_readmes_row_of_the_sample_is_that_of_notebook_05_as_committed(name):
    cells = nbformat.read(ROOT / "notebooks" / "05_evaluation.ipynb", 4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    scored = re.search(r"test mIoU (.{6}), std (.{6}), min (.{6}), max (.{6})\n.*val mIoU (.{6})", printed).groups()
    low, high = map(float, re.search(r"interval over cars: (.{6}) to (.{6})", printed).groups())
    sample, _ = readme_rows(name, "sample|встроенный набор")
    assert (sample[0], sample[2]) == (scored[0], scored[4])
    assert re.split(" to |–", sample[1]) == [f"{low:.3f}", f"{high:.3f}"]
    studio = " ".join((ROOT / "studio" / "README.md").read_text("utf8").split())
    assert "test mIoU of {}, std {}, min {}, max {}.".format(*scored[:4]) in studio


@pytest.mark.parametrize("name", ["README.md", "README.ru.md", "studio/README.md"])
def test_what_they_say_in_sentences_stands_in_a_json(name):
    text = (ROOT / name).read_text("utf8").replace("\n", " ")
    (photos,), renders = (
        [r["elsewhere"] for r in results_by_seed(f"{of}-small").values()] for of in ("sample", "protocol")
    )
    assert photos["n"] == 4320 and f"{photos['miou']:.3f}" in text and {record["n"] for record in renders} == {512}
    low, high = (f"{pick(record['miou'] for record in renders):.3f}" for pick in (min, max))
    assert re.search(rf"\b{low}( to |–){high}\b", text)
    if name == "studio/README.md":
        assert f"(std {photos['std']:.3f})" in text
        return
    full = 100 * error_removed(scores_by_seed("protocol-full"), scores_by_seed("best-batch-2-full"))
    assert re.search(rf"\b{full.min():.0f}( to |–){full.max():.0f} %", text)
    rate = 100 * error_removed(scores_by_seed("protocol-small"), scores_by_seed("rate-small")).dropna()
    assert re.search(rf"\b{rate.min():.0f}( to |–){rate.max():.0f} %", text)
    started, control = (scores_by_seed(f"{of}-small")[0] for of in ("cars-003-pretrained", "longer-003"))
    assert re.search(rf"(gives|получается) {started:.3f};.{{,90}} (give|дают) {control:.3f}\.", text)
    below = (scores_by_seed("protocol-full") - DOCUMENT_RESULTS["test_miou"]).abs()
    assert sorted(below < 0.002) == [False, True, True], "two of three splits lie within 0.002"
