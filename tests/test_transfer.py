"""What an encoder that has seen ImageNet is worth: the statistics on made-up scores, and what the pages say of it."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from carvana_course.evidence import paired, results, transfer
from carvana_lib.runs import write_json

CARS = list("abcdefgh")


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A function that writes made-up results of an experiment, one array of test cars' scores for each seed."""
    monkeypatch.setattr(results, "RESULTS", tmp_path)

    def write(name: str, *seeds) -> None:
        for seed, scores in enumerate(seeds):
            each = dict(zip(CARS, map(float, scores), strict=True))
            record = {"test_miou_each_car": each, "metrics": {"test_miou": float(np.mean(scores))}}
            write_json(tmp_path / f"{name}-seed{seed}.json", record)

    return write


def test_gains_are_those_of_the_same_cars_and_seeds(scored):
    base = np.linspace(0.8, 0.9, 8)
    scored("one", base + 0.01, base[::-1] + 0.02, base)
    scored("other", base, base[::-1])
    gains = paired.gains_by_car("one", "other")
    assert list(gains) == [0, 1] and np.allclose(gains[0], 0.01) and np.allclose(gains[1], 0.02)
    assert paired.gains_by_car("one", "absent") == {}


def test_the_interval_over_seeds_is_students_and_over_one_seeds_cars_a_bootstrap(scored):
    scored("one", *(np.full(8, 0.8 + more) for more in (0.01, 0.02, 0.03)))
    scored("other", *[np.full(8, 0.8)] * 3)
    gain = paired.compare("one", "other")
    reach = 4.3027 * 0.01 / 3**0.5  # Student's t for two degrees of freedom
    assert gain.seeds == 3 and gain.mean == pytest.approx(0.02)
    assert (gain.low, gain.high) == pytest.approx((0.02 - reach, 0.02 + reach), abs=1e-5)
    assert gain.p == pytest.approx(0.0742, abs=1e-4)
    scored("single", np.tile([0.8, 0.82], 4))
    gain = paired.compare("single", "other")
    assert gain.seeds == 1 and np.isnan(gain.p) and 0.002 < gain.low < 0.007 and 0.013 < gain.high < 0.018
    assert paired.compare("single", "absent") is None


def test_holms_correction_is_that_of_its_definition():
    assert paired.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.5, 0.6]).tolist() == [1, 1]
    assert paired.holm([0.02]).tolist() == [0.02]


def test_tables_hold_what_was_trained(scored):
    base = np.linspace(0.8, 0.9, 8)
    for name, more in (("lite0-013-small", 0.03), ("lite0-random-013-small", 0.0), ("cars-013-small", 0.02)):
        scored(name, base + more, base + 1.01 * more)
    (row,) = transfer.pretraining_gains().itertuples()
    assert (row.cars, row.seeds, row.gain) == (13, 2, pytest.approx(0.03, abs=0.001))
    assert transfer.pretraining_table()["gain"][0].startswith("+0.030")
    (lead,) = transfer.leads().itertuples()
    assert (lead.cars, lead.seeds, lead.lead) == (13, 2, pytest.approx(0.01, abs=0.001))
    table = transfer.starts_table().set_index("net")
    assert table.columns.tolist() == [13] and table.loc["encoder, after ImageNet", 13] == "0.8801 (2)"
    assert table.loc["U-Net, after the sample", 13] == ""


def test_the_readmes_quote_the_gain_with_all_cars():
    gain = transfer.pretraining_gains().set_index("cars").loc[190]
    lead = transfer.leads().set_index("cars").loc[190]
    quoted = [f"{gain[name]:.3f}" for name in ("gain", "low", "high")] + [f"{lead['lead']:.3f}"]
    assert gain["seeds"] == 3 and lead["seeds"] == 3 and round(gain["gain"] / 0.005) == 3
    for name, start in (("README.md", "An encoder that has seen ImageNet"), ("README.ru.md", "Энкодер, предобученный")):
        (said,) = re.findall(rf"^{start}.*$", (ROOT / name).read_text("utf8"), re.M)
        assert re.findall(r"0[.]\d{3}", said) == quoted, name


def test_what_chapter_07_says_of_real_photographs():
    """Its sentences leave the digits to the cells beside them; what they say of them must hold."""
    cells = {cell["id"]: cell for cell in nbformat.read(ROOT / "notebooks" / "07_transfer.ipynb", 4).cells}
    for name in ("07-order-seen", "07-real-seen", "07-leads-seen", "07-starts-seen", "07-claim-seen"):
        assert not re.search(r"\d[.]\d", cells[name].source.replace('"about 0.5 %"', "")), name
    ways = results.fine_tuning()
    assert (ways.max() - ways.min()).max() < results.scores_by_seed("lite0-003-small").std()
    gains = transfer.pretraining_gains().set_index("cars")
    assert (gains["gain"] > 0).all() and gains["gain"].idxmax() == 3
    assert -0.001 < gains["low"][63] < 0 < gains["low"].drop(63).min() and gains["low"].max() < gains["high"].min()
    means = transfer.starts().set_index(["net", "cars"])["test_miou"]
    unet = means["U-Net, random weights"]
    lite = means["encoder, random weights"]
    assert (unet > lite).all()
    leads = transfer.leads().set_index("cars")["lead"]
    assert leads[3] > 0.01 > leads.drop(3).max() and leads.min() == leads[190] > 0.001
    columns = {
        (net, cars): results.scores_by_seed(name.format(transfer.CAR_COUNTS[cars]))
        for net, name in transfer.NETS.items()
        for cars in (3, 13)
    }
    scored = pd.DataFrame(columns).dropna().mean().unstack().loc[list(transfer.NETS)]
    start, renders, _, imagenet, both = scored[3]
    _, renders_some, _, _, both_some = scored[13]
    assert start < imagenet < renders < both and abs(renders_some - both_some) < 0.002
    assert round(gains["gain"][190] / 0.005) == 3 and leads[190] < 0.005
    (printed,) = cells["07-claim-numbers"].outputs
    shares = [f"{100 * value:.1f}" for value in (gains["gain"][190], leads[190])]
    assert re.findall(r"(\d[.]\d)%", printed.text) == shares
