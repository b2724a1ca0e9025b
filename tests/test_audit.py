"""The document's claims: the verdicts of the JSONs in results/, and what notebook 08 says of them."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from carvana_course.evidence import claims, judges, results, transfer
from carvana_course.evidence.document import DOCUMENT_GAP, DOCUMENT_RESULTS
from carvana_course.evidence.judgement import NAN, Judgement
from carvana_course.show.verdicts import claim_rows
from carvana_lib.runs import write_json


def test_the_documents_table_is_compared():
    table = claims.claimed_and_measured(dict.fromkeys(DOCUMENT_RESULTS, 1.0))
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
    assert found["4"].startswith("holds; the largest of 3 is 0.0030; the document's own +0.0279 is beyond")
    assert "-0.0063 to +0.0089" in seen[3] and "differ by 0.0100" in seen[3] and "0.25 below" in seen[3]
    found, _ = jsons(seeds("protocol-small", [0.944, 0.950, 0.957]))
    assert found["4"].startswith("cannot be told: a further split may lie beyond; the largest of 3 is 0.0070")
    found, seen = jsons(seeds("protocol-full", [0.99]))
    assert found["4"].startswith("does not hold; the largest of 4 is 0.0400")
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
    assert found["6"] == "cannot be told: rounding alone may do that"
    elsewhere = made_up(0.95, curve=(0.9, 0.94, 0.96), device="cpu (2 threads)")
    assert jsons({"steplr-small-seed0": elsewhere})[0]["6"] == judges.NOT_MEASURED, "other threads round otherwise"


def test_pictures_and_configurations_are_counted(jsons):
    trials = [{"learning_rate": rate, "loss": loss, "val_miou": rate * 1000 + len(loss) / 100}
              for rate in (1e-4, 3e-4, 5e-4) for loss in ("bce", "bce_dice")]  # fmt: skip
    found, seen = jsons(PROTOCOL | seeds("grid-small", [0.95], grid=trials))
    assert seen[6] == "32 test pictures here, of 2 cars among 10" and "5088" in found["7"]
    assert found["8"].startswith("does not hold: 3 rates x 2 losses are 6") and "won 0 of 1 searches" in found["8"]
    assert seen[7].startswith("val mIoU after one epoch, seed 0: 0.0005 bce_dice 0.580, 0.0005 bce 0.530")


def each_car(name: str, values: list[float]) -> dict:
    """Results of one experiment, a seed for each value, which each of its test cars has."""
    return {file: record | {"test_miou_each_car": {"a": value, "b": value}}
            for (file, record), value in zip(seeds(name, values).items(), values, strict=True)}  # fmt: skip


RANDOM = each_car("lite0-random-all-small", [0.950, 0.951, 0.952])


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ([0.955], "cannot be told from one seed"),
        ([0.9546, 0.9559, 0.9570], "holds"),
        ([0.970, 0.971, 0.973], "does not hold: with all 190 cars it gives 2.0 %"),
        ([0.9501, 0.9513, 0.9522], "does not hold: it gives less"),
        ([0.950, 0.955, 0.966], "cannot be told: the seeds differ too much"),
    ],
)
def test_an_encoder_from_imagenet_needs_three_seeds(jsons, after, verdict):
    found, _ = jsons(RANDOM | each_car("lite0-all-small", after))
    assert found["1"].startswith(verdict)


def test_a_row_has_a_dot_a_line_and_a_verdict_that_needs_no_colour():
    shown = {
        "1 It gains.": Judgement("", "holds", (0.01, 0.005, 0.015), (0, 1)),
        "2 It loses.": Judgement("", "cannot be told from one seed", (-0.01, NAN, NAN), (-1, 0)),
        "3 There are five.": Judgement("", "does not hold: there are six", counted="six"),
        "4 It flies.": Judgement("", judges.NOT_MEASURED),
    }
    figure = claim_rows(shown)
    (axes,) = figure.axes
    words = [text.get_text() for text in axes.texts]
    assert [word for word in words if word[:1] in "✓?✗" and word] == [
        "✓ holds", "? cannot be told", "✗ does not hold", "? cannot be told",
    ]  # fmt: skip
    assert "six" in words
    dots = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_markersize() == 9]
    spans = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 3 and len(line.get_xdata())]
    assert dots == [(0.01, 0), (-0.01, 1)] and spans == [(0.005, 0.015)]
    assert "1 It gains. +0.0100 (+0.0050 to +0.0150), holds; 2 It loses. -0.0100, cannot be told" in figure.alt
    assert "3 There are five. six, does not hold; 4 It flies. not measured, cannot be told." in figure.alt


def test_what_is_claimed_and_measured_agree_with_the_verdict():
    for claim, found in claims.judgements().items():
        assert found.counted or found.measured, claim
        if found.claimed and not np.isnan(found.measured[1]):
            low, high = found.measured[1:]
            least, most = found.claimed
            inside = least < low and high < most
            outside = high < least or low > most
            wanted = "holds" if inside else "does not hold" if outside else "cannot be told"
            assert found.verdict.startswith((wanted, "cannot be told from")), claim


CELLS = {cell["id"]: cell for cell in nbformat.read(ROOT / "notebooks" / "08_audit.ipynb", 4).cells}
TEXT = "\n\n".join(cell.source for cell in CELLS.values() if cell.cell_type == "markdown")


def test_the_notebook_shows_the_verdicts_of_these_jsons():
    (shown,) = CELLS["08-claims"].outputs
    assert shown.metadata["image/png"]["alt"] == claim_rows(claims.judgements()).alt


def test_the_notebook_says_in_sentences_what_the_verdicts_say():
    table = claims.on_real_photos()
    headings = re.findall(r"^### Claim (\d): (.*)$", TEXT, re.M)
    assert [f"{number} {claim}." for number, claim in headings] == list(table["claim"])
    said = re.findall(r"^\*\*(Holds|Does not hold|Cannot be told)", TEXT, re.M)
    for words, claim, verdict in zip(said, table["claim"], table["verdict"], strict=True):
        assert verdict.startswith(words.lower()), f"{claim} {verdict}"


def test_the_notebook_leaves_digits_to_its_cells():
    document = {"0.9521", "0.97996"}
    assert set(re.findall(r"\d[.]\d{3,}", TEXT)) - document == {"0.005", "0.002"}, "the gains that are simulated"


def test_what_the_notebook_says_in_sentences_is_so_in_the_jsons():
    gains = transfer.pretraining_gains().set_index("cars").loc[190]
    assert gains["low"] > 0.0075 and round(gains["gain"] / 0.005) == 3 and "about three times the claim" in TEXT
    every = transfer.pretraining_gains()
    assert every["low"].max() < every["high"].min() and "the intervals overlap" in TEXT
    (lead,) = transfer.leads().set_index("cars")["lead"].loc[[190]]
    assert 0 < lead < 0.005 and "less than the half per cent" in TEXT
    curves = [results.results_by_seed(f"protocol-{size}")[0]["val_miou_each_epoch"] for size in results.SIZES]
    first, *others = (curve[0] for curve in curves)
    assert first > 0.93 and min(others) > 0.95 and "two of them by far" in TEXT
    dice = results.scores_by_seed("loss-dice-small") - results.scores_by_seed("loss-bce-small")
    assert (dice < 0).all() and "lower than [BCE]" in TEXT and "with each of the seeds" in TEXT
    assert 0 < results.mean_interval(dice)[1] < 0.001 and "just holds 0" in TEXT
    largest = float(re.search(r"the largest of 11 is (\d[.]\d{4});", claims.on_real_photos()["verdict"][3])[1])
    gaps = [
        results.scores_by_seed(f"protocol-{size}") - results.scores_by_seed(f"protocol-{size}", "val_miou")
        for size in results.SIZES
    ]
    worst, *others = sorted(pd.concat(gaps), key=abs, reverse=True)
    assert round(-worst, 2) == 0.01 and max(map(abs, others)) < 0.005 and "but for one split" in TEXT
    assert 2 * largest < DOCUMENT_GAP and -worst == pytest.approx(largest, abs=1e-4) and "more than twice" in TEXT
    averaged = dict(results.results_by_seed("protocol-full")[0]["metrics"]["test_averagings"])
    assert averaged.pop("soft") < min(averaged.values()) - 0.03 and "far below the one [per image]" in TEXT
    rise = judges.even_view_scores("split-by-image-small") - judges.even_view_scores("protocol-small")
    assert rise.min() < -0.001 and rise.max() > 0.001 and "With some seeds it rises a little" in TEXT
    winner, higher = (results.scores_by_seed(name)[0] for name in ("grid-small", "rate-small"))
    assert winner < higher and "1e-3 scores higher than the grid's winner" in TEXT
    trials = pd.DataFrame(results.results_by_seed("grid-small")[0]["grid"]).sort_values("val_miou")
    assert tuple(trials.iloc[0][["learning_rate", "loss"]]) == (1e-4, "bce_dice") and "came last" in TEXT
    assert trials.iloc[-1]["learning_rate"] == 5e-4 == trials["learning_rate"].max()


def test_what_the_notebook_says_of_its_simulation():
    (output,) = CELLS["08-open"].outputs
    rows = re.findall(r"^\d+ +(\d+)% +(\d+)% +(\d+)%", output.data["text/plain"], re.M)
    nothing, little, more = np.array(rows, int).T
    assert set(nothing) <= {2, 3} and "in 2 or 3 studies of 100" in TEXT
    assert little[1] < 20 and "five seeds mostly miss it" in TEXT
    assert more[0] < 30 and "Seldom." in TEXT
    assert more[2] > 70 and "With ten seeds it finds it mostly" in TEXT
