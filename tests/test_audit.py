"""The document's claims: this run's verdicts, and those of the JSONs in results/."""

import html
import re

import nbformat
import pandas as pd
import pytest
from conftest import ROOT

from carvana_course.evidence import claims, judges, results
from carvana_course.evidence.document import DOCUMENT_GAP, DOCUMENT_RESULTS
from carvana_lib.runs import write_json


@pytest.fixture
def measured():
    averages = {"per image": 0.98, "micro": 0.982, "soft": 0.95}
    return {"val_miou": 0.975, "test_miou": 0.98, "n_test": 768, "test_averagings": averages}


def judge(measured, params, rendered=False, miou=0.97, n_images=5088, epochs=5, shared=False, searched=True):
    history = pd.DataFrame({"val_miou": [0.5] + [miou] * (epochs - 1), "learning_rate": [1e-4] * epochs})
    tuning = pd.DataFrame({"loss": ["bce", "bce_dice"], "val_miou": [0.9, 0.91]}).head(2 * searched)
    splits = ["val", "test"] if shared else ["train"]
    pictures = pd.DataFrame({"car_id": "a", "split": [splits[i % len(splits)] for i in range(n_images)]})
    table = claims.verdicts(measured, history, params, tuning, pictures, rendered)
    return dict(zip(table["claim"].str[0], table["verdict"], strict=True))


def test_verdicts_follow_the_numbers(measured, params):
    found = judge(measured, params)
    assert len(found) == 8 and found["2"] == "holds" and found["4"] == "holds"
    assert judge(measured, params, miou=0.92)["2"] == "does not hold"
    assert judge(measured | {"val_miou": 0.94}, params)["4"] == "does not hold"
    assert found["5"] == "holds" and judge(measured, params, shared=True)["5"] == "does not hold"
    assert found["7"] == "318 cars x 16 views are 5088"
    for scheduler, acted in (("step", "StepLR acted after epoch 5"), ("onecycle", "no difference within 5 epochs")):
        assert judge(measured, params.replace(scheduler=scheduler), epochs=8)["6"] == acted
        assert judge(measured, params.replace(scheduler=scheduler))["6"] == "no difference within 5 epochs"
    assert (
        found["3"] == "cannot be told from one seed"
        and judge(measured, params, searched=False)["3"] == "not tested here"
    )
    assert judge(measured, params, n_images=4320)["7"] == "cannot be told: not the full set"


def test_verdicts_on_rendered_pictures_are_withheld(measured, params):
    found = judge(measured, params, rendered=True)
    assert all(found[claim] == "cannot be told from rendered pictures" for claim in "247")


def test_the_documents_table_is_compared(measured):
    measured |= dict.fromkeys(DOCUMENT_RESULTS, 1.0)
    table = claims.claimed_and_measured(measured)
    assert table["document"].tolist() == [0.9521, 0.97996, 0.0075, 0.9293, 0.99, 306.0, 760]
    assert (table["difference"] == table["this run"] - table["document"]).all()


@pytest.fixture
def jsons(tmp_path, monkeypatch):
    """A function that writes made-up results and returns the verdicts on them."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)

    def judge(given: dict) -> pd.Series:
        for name, record in given.items():
            write_json(tmp_path / f"{name}.json", record)
        rows = claims.on_real_photos()
        return pd.Series(rows["verdict"].to_numpy(), rows["claim"].str[0]), rows["on real photographs"]

    return judge


def made_up(test_miou: float, curve=(0.9, 0.94, 0.95), even: float = 0.0, **more) -> dict:
    """A result as `run_experiment` writes it, as far as the audit reads it."""
    metrics = {"test_miou": test_miou, "val_miou": 0.95, "test_miou_ci95": [0.94, 0.96], "n_test": 32}
    metrics |= {"n_train": 80, "n_val": 48, "test_averagings": {"per image": 0.95, "micro": 0.96, "soft": 0.7}}
    views = {str(view): test_miou + (even if view % 2 == 0 else 0) for view in range(1, 17)}
    record = {"metrics": metrics, "params": {"start_from": None}, "val_miou_each_epoch": list(curve)}
    record["device"] = "cpu (1 threads)"
    return record | {"test_miou_each_view": views, "test_cars": ["a", "b"]} | more


def seeds(name: str, values: list[float], **more) -> dict:
    """Results of one experiment, a seed for each value."""
    return {f"{name}-seed{seed}": made_up(value, **more) for seed, value in enumerate(values)}


PROTOCOL = seeds("protocol-small", [0.950, 0.951, 0.953])


def test_without_results_nothing_can_be_told(jsons):
    found, _ = jsons({})
    assert (found == judges.NOT_MEASURED).all()


def test_losses_are_compared_seed_by_seed(jsons):
    bce = seeds("loss-bce-small", [0.950, 0.952, 0.949])
    found, seen = jsons(PROTOCOL | bce | seeds("loss-dice-small", [0.960]))
    assert found["3"] == "cannot be told from one seed" and "+0.0100 (seed 0)" in seen[2]
    found, _ = jsons(seeds("loss-dice-small", [0.960, 0.963, 0.958]))
    assert found["3"] == "holds: Dice scores higher than BCE"
    found, _ = jsons(seeds("loss-dice-small", [0.940, 0.942, 0.938]))
    assert found["3"].startswith("does not hold here: BCE")
    for unsure in ([0.955, 0.947, 0.951], [0.970, 0.982, 0.948]):
        found, seen = jsons(seeds("loss-dice-small", unsure))
        assert found["3"].startswith("cannot be told: these seeds") and "bce 0.9503" in seen[2]


def test_epochs_are_counted_to_the_first_above(jsons):
    found, seen = jsons(PROTOCOL)
    assert found["2"].startswith("holds at these sizes") and "first above 0.93 after epoch 2, 2, 2" in seen[1]
    found, seen = jsons(seeds("protocol-32", [0.95], curve=(0.90, 0.91, 0.92)))
    assert found["2"].startswith("does not hold at every size") and "after epoch none" in seen[1]
    assert jsons(seeds("protocol-full", [0.98]))[0]["2"] == "holds", "the document's own size decides"
    assert jsons(seeds("protocol-full", [0.98], curve=(0.90, 0.91, 0.92)))[0]["2"] == "does not hold"


def test_the_documents_size_has_a_column_a_seed(jsons):
    spread = dict.fromkeys(["test_iou_std", "test_iou_min", "test_iou_max"], 0.5)
    given = seeds("protocol-full", [0.98, 0.97]) | seeds("protocol-32", [0.9])
    for record in given.values():
        record["metrics"] |= spread
    jsons(given)
    table = claims.recipe_at_full_size().set_index("quantity")
    assert table.loc["test_miou"].to_dict() == {"document": "0.9800", "seed 0": "0.9800", "seed 1": "0.9700"}
    assert table.loc["val_miou", "document"] == "0.9521" and len(table) == 5


def test_the_gap_of_a_further_split(jsons):
    found, seen = jsons(seeds("protocol-small", [0.950, 0.951]))
    assert found["4"] == "cannot be told from two seeds"
    found, seen = jsons(PROTOCOL)
    assert found["4"].startswith("holds; the largest is 0.0030; the document's own +0.0279 is outside")
    assert "-0.0063 to +0.0089" in seen[3] and "differ by 0.0100" in seen[3] and "0.25 below" in seen[3]
    found, _ = jsons(seeds("protocol-small", [0.944, 0.950, 0.957]))
    assert found["4"].startswith("cannot be told: a further split may lie beyond; the largest is 0.0070")
    assert "is within what splits give" in found["4"]
    found, seen = jsons(seeds("protocol-full", [0.99]))
    assert found["4"].startswith("does not hold; the largest is 0.0400")
    assert "differ by 0.0100, 0.0100; soft" in seen[3] and "(base_channels 16, 128 px; base_channels 64" in seen[3]


def test_a_leak_is_judged_by_its_interval(jsons):
    found, _ = jsons(PROTOCOL | seeds("split-by-image-small", [0.9501]))
    assert found["5"] == "cannot be told from one seed"
    found, seen = jsons(seeds("split-by-image-small", [0.950, 0.951, 0.953], even=0.01))
    assert found["5"].startswith("holds: by image") and "+0.0100, +0.0100, +0.0100 (seeds 0, 1, 2)" in seen[4]
    found, _ = jsons(seeds("split-by-image-small", [0.948, 0.952, 0.953]))
    assert found["5"] == "cannot be told: these seeds do not settle it"
    found, _ = jsons(seeds("split-by-image-small", [0.940, 0.941, 0.944]))
    assert found["5"] == "cannot be told: by image, the score was lower"


def test_step_schedule_needs_the_same_seed(jsons):
    found, _ = jsons(PROTOCOL | {"steplr-small-seed7": made_up(0.95)})
    assert found["6"] == judges.NOT_MEASURED
    found, _ = jsons(seeds("steplr-small", [0.95]))
    assert found["6"].startswith("does not hold: there is nothing to choose")
    found, _ = jsons(seeds("steplr-small", [0.95], curve=(0.9, 0.94, 0.96)))
    assert found["6"] == "holds: the two differ"
    elsewhere = made_up(0.95, curve=(0.9, 0.94, 0.96), device="cpu (2 threads)")
    assert jsons({"steplr-small-seed0": elsewhere})[0]["6"] == judges.NOT_MEASURED, "other threads round otherwise"


def test_pictures_and_configurations_are_counted(jsons):
    trials = [{"learning_rate": rate, "loss": loss, "val_miou": rate * 1000 + len(loss) / 100}
              for rate in (1e-4, 3e-4, 5e-4) for loss in ("bce", "bce_dice")]  # fmt: skip
    found, seen = jsons(PROTOCOL | seeds("grid-small", [0.95], grid=trials))
    assert seen[6] == "32 test pictures here, of 2 cars among 10" and "5088" in found["7"]
    assert found["8"].startswith("does not hold: 3 rates x 2 losses are 6") and "did not win" in found["8"]
    assert seen[7].startswith("val mIoU after one epoch: 0.0005 bce_dice 0.580, 0.0005 bce 0.530")


def test_an_encoder_from_imagenet_needs_three_seeds(jsons):
    base = seeds("protocol-full", [0.980, 0.981, 0.982])
    assert jsons(base | seeds("encoder-full", [0.985]))[0]["1"] == "cannot be told from one seed"
    assert jsons(seeds("encoder-full", [0.9846, 0.9857, 0.9868]))[0]["1"] == "holds"
    assert jsons(seeds("encoder-full", [0.9846, 0.9859, 0.9870]))[0]["1"] == "holds"
    assert jsons(seeds("encoder-full", [0.999, 0.9998, 0.9996]))[0]["1"] == "does not hold"
    assert jsons(seeds("encoder-full", [0.983, 0.986, 0.990]))[0]["1"].startswith("cannot be told")


def test_the_notebook_shows_the_verdicts_of_these_jsons():
    cells = nbformat.read(ROOT / "notebooks" / "05_evaluation.ipynb", 4).cells
    (cell,) = (cell for cell in cells if cell.get("id") == "05-real-table")
    shown = html.unescape(cell.outputs[0].data["text/html"])
    for text in claims.on_real_photos().to_numpy().ravel():
        assert text in shown


def test_the_notebook_says_in_sentences_what_the_verdicts_say():
    cells = nbformat.read(ROOT / "notebooks" / "05_evaluation.ipynb", 4).cells
    (cell,) = (cell for cell in cells if cell.get("id") == "05-real-seen")
    said = re.findall(r"^(\d)\. \*\*(Holds|Does not hold|Cannot be told)", cell.source, re.M)
    table = claims.on_real_photos()
    assert [number for number, _ in said] == list(table["claim"].str[0])
    for (number, words), verdict in zip(said, table["verdict"], strict=True):
        assert verdict.startswith(words.lower()), f"claim {number}: {verdict}"
    seen = dict(zip(table["claim"].str[0], table["on real photographs"], strict=True))
    assert seen["2"].endswith(", first above 0.93 after epoch 1") and "0.93 after the first [epoch]" in cell.source
    small = re.search(r"of 5 seeds\), first above 0.93 after epoch ([\d, ]+);", seen["2"])[1].split(", ")
    assert set(small) == {"1", "2"} and "took one epoch or two" in cell.source
    dice = results.scores_by_seed("loss-dice-small") - results.scores_by_seed("loss-bce-small")
    assert len(dice) == 5 and (dice < 0).all() and "which ignores the imbalance, with each of five" in cell.source
    assert 0 < results.mean_interval(dice)[1] < 0.001 and "just holds 0" in cell.source
    largest = re.search(r"the largest is (\d[.]\d{4});", table["verdict"][3])[1]
    assert f"differ by {largest} at most" in cell.source and 10 * float(largest) < DOCUMENT_GAP
    assert set(re.findall(r"([-+])0[.]", seen["5"].partition(" (seeds")[0])) == {"-", "+"}
    assert "rose with some seeds and fell with others" in cell.source
    assert re.search(r", 0.0001 bce_dice \S+$", seen["8"]) and "document's choice came last" in cell.source
