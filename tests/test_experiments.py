import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from carvana_lib import audit, experiments
from carvana_lib.config import ParameterError
from carvana_lib.results import RESULTS, found, scores, table
from carvana_lib.runs import Run, read_json, write_json


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr("carvana_lib.results.RESULTS", tmp_path / "results")
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
    path = experiments.run(experiment, 3)
    record = read_json(path)
    assert path == results / "wide-seed3.json" and record["about"] == "wider" and record["seed"] == 3
    assert record["params"]["epochs"] == 1 and record["metrics"]["images_seen"] == 24
    low, high = record["metrics"]["test_miou_ci95"]
    assert low <= record["metrics"]["test_miou"] <= high and record["commit"] and record["versions"]["torch"]
    assert record["elsewhere"]["n"] == 40 and 0 <= record["elsewhere"]["miou"] <= 1
    assert len(record["val_miou_each_epoch"]) == 1 and len(record["test_miou_each_view"]) == 4
    ways = pd.DataFrame(record["native"]["ways"])
    assert record["native"]["n"] == 40 and len(ways) == 9 and ways["dice"].between(ways["iou"], 1).all()
    rows = table([path])
    assert rows[["experiment", "seed"]].to_numpy().tolist() == [["wide", 3]]
    before = path.stat().st_mtime_ns
    assert experiments.run(experiment, 3) == path and path.stat().st_mtime_ns == before, "it was run again"
    path.unlink()
    trained = Run("wide-seed3").last.stat().st_mtime_ns
    assert read_json(experiments.run(experiment, 3))["metrics"] == record["metrics"]
    assert Run("wide-seed3").last.stat().st_mtime_ns == trained, "a finished training is only scored again"


def test_wrong_experiment_files_are_explained(params, tmp_path, results):
    with pytest.raises(ParameterError, match="needs a line 'about"):
        experiments.read_experiment(write(tmp_path, "mute", **tiny(params)))
    with pytest.raises(ParameterError, match="did you mean 'learning_rate'"):
        experiments.read_experiment(write(tmp_path, "typo", about="x", learning_rat=1e-3))
    with pytest.raises(ParameterError, match="absent.yaml' cannot be read"):
        experiments.read_experiment(write(tmp_path, "lost", about="x", extends="absent.yaml"))
    assert not results.exists()


def test_the_tables_in_the_results_are_those_of_the_jsons(tmp_path, monkeypatch):
    kept = (RESULTS / "README.md").read_text(encoding="utf8")
    monkeypatch.setattr("carvana_lib.results.RESULTS", shutil.copytree(RESULTS, tmp_path / "copy"))
    experiments.write_page()
    assert (tmp_path / "copy" / "README.md").read_text(encoding="utf8") == kept
    assert kept.count("\n| ") > len(found()) + len(audit.CLAIMS)


def made_up(test_miou: float, **more) -> dict:
    """A result as `experiments.run` writes it, as far as the audit reads it."""
    metrics = {"test_miou": test_miou, "val_miou": 0.95, "test_miou_ci95": [0.94, 0.96], "n_test": 32, "n_train": 80}
    metrics |= {"test_averagings": {"per image": 0.95, "micro": 0.96, "soft": 0.7}}
    views = {str(view): test_miou + 0.01 * (view % 2) for view in range(1, 17)}
    record = {"metrics": metrics, "params": {"start_from": None}, "val_miou_each_epoch": [0.9, 0.94, 0.95]}
    return record | {"test_miou_each_view": views} | more


def test_the_audit_says_what_the_results_say(results):
    def judge(**changed) -> pd.Series:
        names = {"loss-dice-small", "loss-bce-small", "split-by-image-small", "steplr-small"}
        given = {f"{name}-seed0": made_up(0.95) for name in names}
        given |= {f"protocol-small-seed{seed}": made_up(0.95 + seed / 1000) for seed in range(3)}
        for name, record in (given | {k.replace("_", "-"): v for k, v in changed.items()}).items():
            write_json(results / f"{name}.json", record)
        return audit.on_real_photos().set_index("claim")["verdict"]

    equal = judge()
    assert equal.iloc[[0, 1, 2, 3]].str.split(";|,").str[0].tolist() == ["not measured yet", "holds", "holds", "holds"]
    assert equal.iloc[4].startswith("no flattery") and equal.iloc[5].startswith("no difference")
    other = judge(loss_dice_small_seed0=made_up(0.97), split_by_image_small_seed0=made_up(0.96),
                  steplr_small_seed0=made_up(0.95, val_miou_each_epoch=[0.9, 0.94, 0.96]))  # fmt: skip
    assert "dice is best" in other.iloc[2] and other.iloc[4] == "the leak flatters" and other.iloc[5] == "differs"
    low = judge(protocol_small_seed1=made_up(0.95, val_miou_each_epoch=[0.9, 0.91, 0.92]))
    assert low.iloc[1] == "does not hold"


@pytest.mark.parametrize("path", found(), ids=lambda path: path.stem)
def test_each_result_belongs_to_its_parameter_file(path):
    record, (name, _, seed) = read_json(path), path.stem.rpartition("-seed")
    experiment = experiments.read_experiment(RESULTS / "params" / f"{name}.yaml")
    assert int(seed) in experiment.seeds and record["about"] == experiment.about
    assert record["params"] == experiment.params(int(seed)).model_dump()


@pytest.mark.parametrize("name", ["README.md", "README.ru.md"])
def test_what_the_readmes_quote_of_real_photos_stands_in_a_json(name):
    rows = re.findall(r"^\| \*\*(?:real photos|настоящие фото)\*\*.*$", (ROOT / name).read_text("utf8"), re.M)
    assert len(rows) >= 2
    for row in rows:
        name = re.search(r"params/([a-z0-9-]+)[.]yaml", row)[1]
        record = read_json(RESULTS / f"{name}-seed0.json")["metrics"]
        low, high = record["test_miou_ci95"]
        quoted = [cell.strip() for cell in row.split("|")[2:8]]
        assert quoted[4].split()[::2] == [f"{low:.3f}", f"{high:.3f}"]
        numbers = [record[key] for key in ("test_miou", "test_iou_std", "test_iou_min", "test_iou_max", "val_miou")]
        assert [*quoted[:4], quoted[5]] == [f"{number:.4f}" for number in numbers]


@pytest.mark.parametrize("name", ["README.md", "README.ru.md", "studio/README.md"])
def test_what_they_say_in_sentences_stands_in_a_json(name):
    text = (ROOT / name).read_text("utf8").replace("\n", " ")
    renders, photos = (read_json(RESULTS / f"{of}-small-seed0.json")["elsewhere"] for of in ("protocol", "sample"))
    for record, of in ((renders, "512"), (photos, "4320")):
        assert record["n"] == int(of) and f"{record['miou']:.3f}" in text
    if name == "studio/README.md":
        return
    less = 1 - (1 - scores("best-small")) / (1 - scores("protocol-small"))
    assert re.search(rf"\b{100 * less.min():.0f} (to|до) {100 * less.max():.0f} %", text)
