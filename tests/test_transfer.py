"""What an encoder that has seen ImageNet is worth: the statistics on made-up scores, and what the pages say of it."""

import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from carvana_course.evidence import results, transfer
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
    gains = transfer.gains_by_car("one", "other")
    assert list(gains) == [0, 1] and np.allclose(gains[0], 0.01) and np.allclose(gains[1], 0.02)
    assert transfer.gains_by_car("one", "absent") == {}


def test_the_interval_allows_for_seeds_and_for_cars():
    even = {seed: np.full(8, 0.01) for seed in range(3)}
    assert transfer.paired_interval(even) == pytest.approx((0.01, 0.01))
    seeds_differ = {seed: np.full(8, gain) for seed, gain in enumerate((0.0, 0.01, 0.02))}
    low, high = transfer.paired_interval(seeds_differ)
    assert low == pytest.approx(0, abs=0.004) and high == pytest.approx(0.02, abs=0.004)
    cars_differ = {seed: np.tile([0.0, 0.02], 4) for seed in range(3)}
    low, high = transfer.paired_interval(cars_differ)
    assert 0.005 < low < 0.009 and 0.011 < high < 0.015
    assert transfer.paired_interval(cars_differ) == (low, high), "one seed governs the draws"


def test_tables_hold_what_was_trained(scored):
    base = np.linspace(0.8, 0.9, 8)
    for name, more in (("lite0-013-small", 0.03), ("lite0-random-013-small", 0.0), ("cars-013-small", 0.02)):
        scored(name, base + more, base + more)
    (row,) = transfer.pretraining_gains().itertuples()
    assert (row.cars, row.seeds, row.gain) == (13, 2, pytest.approx(0.03))
    assert transfer.pretraining_table()["95 % interval"].tolist() == ["+0.0300 to +0.0300"]
    (lead,) = transfer.leads().itertuples()
    assert (lead.cars, lead.seeds, lead.lead) == (13, 2, pytest.approx(0.01))
    table = transfer.starts_table().set_index("net")
    assert table.columns.tolist() == [13] and table.loc["encoder, after ImageNet", 13] == "0.8800 (2)"
    assert table.loc["U-Net, after the sample", 13] == ""


def test_the_readmes_quote_the_gain_with_all_cars():
    gain = transfer.pretraining_gains().set_index("cars").loc[190]
    lead = transfer.leads().set_index("cars").loc[190]
    quoted = [f"{gain[name]:.3f}" for name in ("gain", "low", "high")] + [f"{lead['lead']:.3f}"]
    assert gain["seeds"] == 3 and lead["seeds"] == 1 and round(gain["gain"] / 0.005) == 3
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
    assert gains["low"][3] < 0 < gains["low"][[13, 63, 190]].min()
    means = transfer.starts().set_index(["net", "cars"])["test_miou"]
    unet = means["U-Net, random weights"]
    lite = means["encoder, random weights"]
    assert abs(unet[3] - lite[3]) < 0.005 and (unet[[13, 63, 190]] > lite[[13, 63, 190]]).all()
    leads = transfer.leads().set_index("cars")["lead"]
    assert leads[3] > 0.01 > leads[[13, 63, 190]].max() and leads.min() > 0.001
    columns = {
        (net, cars): results.scores_by_seed(name.format(transfer.CAR_COUNTS[cars]))
        for net, name in transfer.NETS.items()
        for cars in (3, 13)
    }
    scored = pd.DataFrame(columns).dropna().mean().unstack().loc[list(transfer.NETS)]
    start, renders, _, imagenet, both = scored[3]
    _, renders_some, _, _, both_some = scored[13]
    assert start < imagenet < renders < both and abs(renders_some - both_some) < 0.002
    assert round(gains["gain"][190] / 0.005) == 3 and round(leads[190] / 0.005) == 1
    (printed,) = cells["07-claim-numbers"].outputs
    shares = [f"{100 * value:.1f}" for value in (gains["gain"][190], leads[190])]
    assert re.findall(r"(\d[.]\d)%", printed.text) == shares
