"""Any parameters, tables and interruptions.

Hypothesis draws them: whatever a parameter is given, the answer is a set of parameters or one sentence; a split never
shares a car and never loses one; however a training is interrupted, it ends as if it had not been.
"""

import functools
import math

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from carvana_course.parameters import load_params
from carvana_lib import ParameterError, metrics, training
from carvana_lib import data as pictures
from carvana_lib.checkpoints import make_model
from carvana_lib.config import Params
from carvana_lib.runs import LAST
from carvana_lib.split import split_by_car

from .conftest import TINY, pick

WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(list(Params.model_fields))


def many(small: int, full: int):
    """So many examples, drawn alike in every run; no deadline, since other programs run beside the tests."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=pick(small, full), deadline=None, derandomize=True, suppress_health_check=checks)


def counted(tally, what: str, seen: str, property, drawn, examples):
    """Check a property for many examples, and put down for how many."""
    times = []

    @examples
    @given(st.tuples(*drawn))
    def check(values):
        times.append(1)
        property(*values)

    check()
    tally(what, len(times), seen)


def one_sentence(error: ParameterError) -> str:
    message = str(error)
    assert message.isprintable() and len(message) < 2000, message
    return message


def test_parameters_are_taken_or_refused_in_one_sentence(tally):
    def taken_or_refused(values):
        try:
            params = Params(**values)
        except ParameterError as error:
            assert any(repr(name)[1:-1] in one_sentence(error) for name in values)
        else:
            assert Params(**yaml.safe_load(yaml.safe_dump(params.model_dump()))) == params

    wild = st.dictionaries(NAMES | st.text(), WILD, min_size=1, max_size=4)
    counted(tally, "parameters of any kind", "parameters, or one sentence that names one of them", taken_or_refused,
            [wild], many(150, 5000))  # fmt: skip


def test_parameter_files_are_read_or_refused_in_one_sentence(tally, tmp_path):
    file = tmp_path / "set.yaml"

    def read_or_refused(content):
        file.write_bytes(content)
        try:
            assert isinstance(load_params(file), Params)
        except ParameterError as error:
            one_sentence(error)

    lines = st.lists(st.tuples(NAMES | st.text(max_size=5), WILD), max_size=3).map(dict)
    contents = st.binary(max_size=50) | (st.text(max_size=50) | lines.map(yaml.dump)).map(str.encode)
    counted(tally, "parameter files of any bytes", "parameters, or one sentence", read_or_refused, [contents],
            many(150, 5000))  # fmt: skip


@st.composite
def two_masks(draw):
    """Two masks (2, H, W) of one size, in which nothing and everything are as likely as anything else."""
    size, share = (draw(st.integers(1, 24)), draw(st.integers(1, 24))), st.sampled_from([0, 0.1, 0.5, 1])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return np.stack([rng.random(size) < draw(share) for _ in range(2)])


def test_scores_keep_their_promises(tally):
    def bounded_and_symmetric(masks):
        one, other = (torch.from_numpy(mask)[None] for mask in masks)
        there, back = (metrics.confusion_counts(*pair).numpy().T for pair in ((one, other), (other, one)))
        tp, fp, fn, tn = there
        iou, dice, boundary = metrics.iou(tp, fp, fn), metrics.dice(tp, fp, fn), metrics.boundary_iou(*masks)
        assert 0 <= iou <= dice <= 1 and 0 <= boundary <= 1 and sum(there) == masks[0].size
        assert (iou, dice) == (metrics.iou(*back[:3]), metrics.dice(*back[:3]))
        assert boundary == metrics.boundary_iou(*masks[::-1])
        assert (iou == 1) == (masks[0] == masks[1]).all()
        assert (iou == 0) == (masks.any() and not masks.all(0).any())

    counted(tally, "pairs of masks", "0 <= IoU <= Dice <= 1, the same both ways round, 1 for equal and for empty ones",
            bounded_and_symmetric, [two_masks()], many(150, 5000))  # fmt: skip


@st.composite
def tables(draw):
    """Pictures of 2 to 40 cars with 1 to 16 views each, in any order."""
    views = draw(st.lists(st.integers(1, 16), min_size=2, max_size=40))
    names = [f"{draw(st.integers(0, 10**6))}x{car}" for car in range(len(views))]  # in no order
    rows = [(name, view) for name, count in zip(names, views, strict=True) for view in range(1, count + 1)]
    return pd.DataFrame(rows, columns=["car_id", "view"])


def test_splits_are_disjoint_complete_and_in_proportion(tally):
    share = st.floats(0.01, 0.49)

    def fair(table, seed, val, test, order):
        assume(val + test <= 0.8)
        split = pd.Series(split_by_car(table, seed, val, test), index=table.index)
        shuffled = table.sample(frac=1, random_state=order)
        again = pd.Series(split_by_car(shuffled, seed, val, test), index=shuffled.index)
        assert (split == again.sort_index()).all(), "the order of the rows matters"
        assert set(split) <= {"train", "val", "test"} and "train" in set(split)
        cars = table.groupby(split)["car_id"].agg(set)
        n = len(set(table["car_id"]))
        if n == 2:
            assert cars["train"].isdisjoint(set().union(*cars.drop("train")))
            return
        assert sum(map(len, cars)) == n == len(set().union(*cars))
        for name, fraction in (("val", val), ("test", test)):
            assert abs(len(cars[name]) - fraction * n) <= 1

    drawn = [tables(), st.integers(0, 2**31 - 1), share, share, st.integers(0, 99)]
    seen = "no car on two sides, none lost, each part within one car of its share, whatever the order of the rows"
    counted(tally, "splits by car", seen, fair, drawn, many(60, 3000))


class Interrupted(Exception):
    """What a test raises inside a training."""


def test_any_interruptions_end_as_none(folder, tally, tmp_path_factory):
    params = Params(**TINY | {"data_dir": str(folder)})
    data = pictures.open_data(params)
    good = training.LOSSES[params.loss]

    def fit(params, folder=None, stop=None):
        """Train; `stop` counts steps, after which the training is interrupted wherever it then is."""
        left = [math.inf if stop is None else stop]

        def loss(logits, masks):
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted
            return good(logits, masks)

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(training.LOSSES, params.loss, loss)
            model = make_model(params)
            history = training.fit(model, data, data.rows("train"), data.rows("val"), params, folder)
        return history.drop(columns="seconds"), [value.clone() for value in model.state_dict().values()]

    whole = functools.cache(fit)

    def as_if_never(scheduler, sittings):
        """Each sitting asks for at least as many epochs as the one before, and is interrupted after some steps."""
        folder = tmp_path_factory.mktemp("sittings")
        asked = params.replace(scheduler=scheduler)
        for epochs, stop in sittings:
            epochs = 3 if scheduler == "onecycle" else max(epochs, asked.epochs if (folder / LAST).exists() else 1)
            asked = asked.replace(epochs=epochs)
            try:
                fit(asked, folder, stop)
            except Interrupted:
                pass
        history, weights = fit(asked.replace(epochs=3), folder)
        expected, trained = whole(asked.replace(epochs=3))
        pd.testing.assert_frame_equal(history, expected)
        assert all(map(torch.equal, weights, trained))

    sittings = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 40)), max_size=4)
    schedulers = st.sampled_from(["none", "step", "onecycle"])
    seen = "up to four sittings, stopped at any step: history and weights of the uninterrupted training, bit for bit"
    counted(tally, "schedules of interruptions", seen, as_if_never, [schedulers, sittings], many(3, 100))
