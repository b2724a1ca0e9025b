"""The benchmarks run and write what they promise. The sizes are tiny here, so no figure means anything."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT


def bench(*arguments):
    """Run `python -m benchmarks` with some arguments."""
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a tiny run of every part leaves."""
    out = tmp_path_factory.mktemp("bench")
    result = bench("--tiny", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "share_of_limit" in result.stdout and "met" in result.stdout
    return out


@pytest.fixture(scope="module")
def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_every_part_writes_its_findings_with_machine_and_versions(results):
    assert {"training", "data", "memory", "prediction", "startup", "growth", "browser"} <= set(results["parts"])
    assert results["machine"]["cores"] >= 1 and results["machine"]["cpu"] and results["machine"]["memory_gb"] > 0
    assert {"torch", "albumentations", "onnxruntime"} <= set(results["versions"])
    for part in results["parts"].values():
        assert part["mode"] == "tiny" and part["peak_mb"] > 10 and {"commit", "date", "pictures"} <= set(part)
        for row in part["rows"]:
            assert row["what"] and row["ours"] > 0 and row["unit"] in ("images/s", "ms", "s", "MB")


def test_ratios_say_how_many_times_as_good_as_the_textbook(results):
    compared = [row for part in results["parts"].values() for row in part["rows"] if "textbook" in row]
    assert {row["unit"] for row in compared} == {"images/s", "ms", "MB"}
    for row in compared:
        rate = row["unit"] == "images/s"
        expected = row["ours"] / row["textbook"] if rate else row["textbook"] / row["ours"]
        assert row["ratio"] == pytest.approx(expected)


def test_targets_are_data(results):
    assert len(results["targets"]) >= 12
    for target in results["targets"]:
        sign, bound = target["target"].split()
        above = target["measured"] >= float(bound)
        assert target["met"] == (above if sign == ">=" else target["measured"] <= float(bound))
    (masks,) = (target for target in results["targets"] if "mask" in target["name"])
    assert masks["met"], "the cached masks are not the thresholded areas"


def test_growth_is_fitted_and_drawn(folder, results):
    curves = results["parts"]["growth"]["curves"]
    assert {curve["axis"] for curve in curves} == {"pictures", "size", "channels"}
    for curve in curves:
        assert len(curve["x"]) == len(curve["y"]) >= 2 and min(curve["y"]) > 0
        assert isinstance(curve["slope"], float) and curve["expected"] in (0, 1, 2)
    assert (folder / "growth.png").read_bytes()[:4] == b"\x89PNG"


def test_an_unknown_part_is_refused():
    result = bench("--only", "nonsense")
    assert result.returncode == 2 and "invalid choice: 'nonsense'" in result.stderr
