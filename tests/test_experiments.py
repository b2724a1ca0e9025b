import re
import shutil

import nbformat
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from typer.testing import CliRunner

from carvana_course.cli import app
from carvana_course.evidence import experiments, results_page
from carvana_course.evidence.document import CLAIMS, DOCUMENT_RESULTS
from carvana_course.evidence.judges import even_view_scores
from carvana_course.evidence.results import (
    RECIPE_STEPS,
    RESULTS,
    SIZES,
    error_removed,
    ingredients,
    learning_curve,
    mean_interval,
    recipe_gain,
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


def shares_removed(before: str, after: str) -> pd.Series:
    """The share of one experiment's error that another removes, by seed."""
    return error_removed(scores_by_seed(before), scores_by_seed(after)).dropna()


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
    assert list(record["test_miou_each_car"]) == record["test_cars"]
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
    averagings = results_by_seed("protocol-full")[0]["metrics"]["test_averagings"]
    assert f"soft IoU is that far from the rest ({averagings['soft']:.4f} on" in kept
    spread = scores_by_seed("protocol-small", "test_iou_std")
    assert spread.idxmax() == 0 and len(spread) == 5, "the page says so"
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


def test_an_ingredient_has_a_share_where_the_line_above_was_trained(results):
    for name, score in (
        ("protocol-small", 0.96),
        ("rate-small", 0.97),
        ("ema-small", 0.98),
        ("best-batch-2-small", 0.985),
    ):
        write_json(results / f"{name}-seed0.json", {"metrics": {"test_miou": score}})
    shares = ingredients().set_index("recipe").iloc[:, -1]
    assert shares.to_dict() == {RECIPE_STEPS["protocol-small"]: "", RECIPE_STEPS["rate-small"]: "25 %"} | {
        RECIPE_STEPS[name]: "" for name in ("ema-small", "best-batch-2-small")
    }
    assert recipe_gain() == (
        "Error removed by all of them: 62 % with seed 0 (base_channels 16, 128 px; test mIoU 0.9600 against 0.9850)."
    )
    for seed, score in ((1, 0.98), (2, 0.982)):
        write_json(results / f"protocol-small-seed{seed}.json", {"metrics": {"test_miou": 0.96}})
        write_json(results / f"best-batch-2-small-seed{seed}.json", {"metrics": {"test_miou": score}})
    assert "62 %, 50 %, 55 % with seeds 0, 1, 2, 95 % interval of the mean 40 to 71 % (" in recipe_gain()
    assert ingredients().columns[-1] == "less than the line above by (seed 0)", "other lines have no more"
    for seed, score in ((1, 0.968), (2, 0.98)):
        for name in ("rate-small", "ema-small"):
            write_json(results / f"{name}-seed{seed}.json", {"metrics": {"test_miou": score}})
    row = ingredients().set_index("recipe").loc[RECIPE_STEPS["rate-small"]]
    assert row["less than the line above by (seeds 0, 1, 2)"] == "25 %, 20 %, 50 %" and row["test mIoU"] == "0.9727"


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
    assert (len(pairs), sum(better < protocol for protocol, better in pairs)) == (5, 4)
    for page in (RESULTS / "README.md", ROOT / "README.md"):
        assert "in four of five pairs" in page.read_text("utf8")
    assert "в четырёх парах из пяти" in (ROOT / "README.ru.md").read_text("utf8")


def test_what_the_glossaries_say_of_a_leak():
    gain = (even_view_scores("split-by-image-small") - even_view_scores("protocol-small")).dropna()
    assert len(gain) == 5
    for name, between in (("glossary.md", " to "), ("glossary.ru.md", "…")):
        assert f"{gain.min():+.4f}{between}{gain.max():+.4f}" in (ROOT / "docs" / name).read_text("utf8")


def test_what_the_page_says_of_batches_of_two():
    page = (RESULTS / "README.md").read_text("utf8")
    small, half, full = (
        [round(100 * share) for share in shares_removed(f"best-{of}", f"best-batch-2-{of}")]
        for of in ("small", "32", "full")
    )
    assert (
        f"another {small[0]} %, {small[1]} % and {small[2]} % of the error with seeds 0, 1 and 2, {half[0]} % at half "
        f"width and {full[0]} % at the full size"
    ) in page
    for size, count in (("small", 3), ("32", 1), ("full", 1)):
        gains = (
            scores_by_seed(f"best-batch-2-{size}", "val_miou") - scores_by_seed(f"best-{size}", "val_miou")
        ).dropna()
        assert len(gains) == count and (gains > 0).all(), "each time validation agrees"
    low, high = mean_interval(scores_by_seed("best-batch-2-small") - scores_by_seed("best-small"))
    assert f"over the three seeds, {low:+.4f} to {high:+.4f}, still holds 0" in page


def test_what_the_page_says_of_the_full_size():
    page, test = (RESULTS / "README.md").read_text("utf8"), "test_miou"
    protocol, best = (results_by_seed(name)[0]["metrics"] for name in ("protocol-full", "best-batch-2-full"))
    steps, document = protocol["images_seen"] // 8, int(0.7 * 318)
    assert (
        f"{protocol['n_train'] // 16} cars and {steps:,} steps in place of {document} and {5 * 2 * document:,}" in page
    )
    assert "a test mIoU of 0.983 with a std of 0.0055 at most: the document misses both, and so does our net" in page
    assert all(of["test_miou"] < 0.983 and of["test_iou_std"] > 0.0055 for of in (protocol, DOCUMENT_RESULTS))
    curve = results_by_seed("protocol-full")[0]["val_miou_each_epoch"]
    assert curve[1] < curve[0] < curve[2] < curve[3] < curve[4], "still rising in the fifth, fell once, in the second"
    half, full = (shares_removed(f"protocol-{of}", f"best-batch-2-{of}")[0] for of in ("32", "full"))
    assert half > 1 / 3 and full > 1 / 4 and protocol["test_miou_ci95"][1] < best["test_miou_ci95"][0]
    assert f"The other aim, 0.987, it misses by {0.987 - best[test]:.4f}" in page
    assert scores_by_seed("best-batch-2-32")[0] > protocol[test], "worth more than twice the channels"


def test_what_the_page_says_of_ingredients():
    page = (RESULTS / "README.md").read_text("utf8")
    soft = [results_by_seed(name)[0]["metrics"]["test_averagings"]["soft"] for name in RECIPE_STEPS]
    assert (
        min(soft[1:]) - soft[0] == pytest.approx(0.2, abs=0.05) and "soft IoU is 0.2 below that of the others" in page
    )
    said = ingredients()["less than the line above by (seeds 0, 1, 2)"].tolist()
    one_cycle, averaged, mirroring, fours, mirrored = said[2:7]
    assert one_cycle == "0 %, 11 %, 12 %" and "takes 11 % and 12 % of the error with two seeds and nothing with" in page
    assert averaged == "0 %, 0 %, 0 %" and mirroring == "12 %, 12 %, 12 %" and "takes 12 % with each seed" in page
    assert fours == "5 %, 6 %, -2 %" and "which helps with two seeds and not with the third" in page
    assert mirrored == "5 %, 4 %, 5 %" and "a second prediction, and take 4 % or 5 %" in page
    assert scores_by_seed("best-bce-small", "val_miou")[0] < scores_by_seed("best-small", "val_miou")[0], (
        "is behind on validation"
    )
    assert f"all 190 cars in 1,900 steps give {scores_by_seed('onecycle-small')[0]:.4f} (`onecycle-small`)" in page


@pytest.mark.parametrize("path", result_files(), ids=lambda path: path.stem)
def test_each_result_belongs_to_its_parameter_file(path):
    record, (name, _, seed) = read_json(path), path.stem.rpartition("-seed")
    experiment = experiments.read_experiment(RESULTS / "params" / f"{name}.yaml")
    elsewhere = dict.fromkeys(experiments.PLACE)
    assert int(seed) in experiment.seeds
    asked = Params(**record["params"]).model_dump()  # a parameter that came later had its default
    assert asked | elsewhere == experiment.params(int(seed)).model_dump() | elsewhere


def test_compared_results_have_one_device_and_no_uncommitted_code():
    devices = {}
    for path in result_files():
        record = read_json(path)
        assert not record["commit"].endswith("-dirty"), f"{path.name}: commit what you changed, and make it again"
        asked = record["params"]
        kind = asked["image_size"], asked["base_channels"], asked.get("encoder", "none") != "none"
        devices.setdefault(kind, set()).add(record["device"])
    assert all(len(one) == 1 for one in devices.values()), f"devices round differently: {devices}"


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_what_the_readmes_quote_of_real_photos_stands_in_a_json(name):
    rows = re.findall(r"^\| \*\*(?:real photos|настоящие фото)\*\*.*$", (ROOT / name).read_text("utf8"), re.M)
    assert len(rows) >= 2
    for row in rows:
        name = re.search(r"params/([a-z0-9-]+)[.]yaml", row)[1]
        record = read_json(RESULTS / f"{name}-seed0.json")["metrics"]
        low, high = record["test_miou_ci95"]
        quoted = [cell.strip() for cell in row.split("|")[2:9]]
        assert re.split(" to |–", quoted[4]) == [f"{low:.3f}", f"{high:.3f}"]
        numbers = [record[key] for key in ("test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou")]
        assert [*quoted[:4], *quoted[5:]] == [*(f"{number:.4f}" for number in numbers), "–"]


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_the_readmes_rows_of_the_sample_and_of_the_document(name):
    """The sample's numbers are those of notebook 05 as it is committed."""
    cells = nbformat.read(ROOT / "notebooks" / "05_evaluation.ipynb", 4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    scored = re.search(r"test mIoU (.{6}), std (.{6}), min (.{6}), max (.{6})\n.*val mIoU (.{6})", printed).groups()
    low, high = map(float, re.search(r"interval over cars: (.{6}) to (.{6})", printed).groups())
    rows = [
        [cell.strip() for cell in row.split("|")[2:9]]
        for row in re.findall(
            r"^\| (?:\*\*(?:sample|встроенный набор)\*\*|\*(?:the document's claim|утверждение документа)\*).*$",
            (ROOT / name).read_text("utf8"),
            re.M,
        )
    ]
    (sample, document), claimed = rows, DOCUMENT_RESULTS
    assert (*sample[:4], sample[5]) == scored and re.split(" to |–", sample[4]) == [f"{low:.3f}", f"{high:.3f}"]
    assert [float(cell) for cell in (*document[:4], *document[5:])] == [
        claimed[key] for key in ("test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou")
    ] + [claimed["seconds_per_epoch"]]
    studio = " ".join((ROOT / "studio" / "README.md").read_text("utf8").split())
    assert "test mIoU of {}, std {}, min {}, max {}.".format(*scored) in studio


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
    small, half, full = (shares_removed(f"protocol-{of}", f"best-batch-2-{of}") for of in SIZES)
    assert re.search(rf"\b{100 * small.min():.0f}( to |–){100 * small.max():.0f} %", text)
    assert re.search(rf"(removes|убирает) {100 * half.item():.0f} %\D+ {100 * full.item():.0f} %", text)
    protocol = results_by_seed("protocol-full")[0]["metrics"]
    for name in ("test_miou", "val_miou"):
        assert re.search(rf"{protocol[name]:.4f} (against|против) {DOCUMENT_RESULTS[name]}\b", text)
    started, control = (scores_by_seed(f"{of}-small")[0] for of in ("cars-003-pretrained", "longer-003"))
    assert re.search(rf"(gives|получается) {started:.3f};.{{,90}} (give|дают) {control:.3f}\.", text)
    low, high = protocol["test_miou_ci95"]
    assert low < DOCUMENT_RESULTS["test_miou"] < high, "the READMEs say that it does"
    rate = 100 * shares_removed("protocol-small", "rate-small")
    assert re.search(rf"\b{rate.min():.0f}( to |–){rate.max():.0f} %", text)
