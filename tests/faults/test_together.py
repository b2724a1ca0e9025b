"""Two at once.

Two processes start the same work at the same moment: a cache, a training, predictions, a search, a batch. Both end
well, or one says in a sentence that the other is at it; what they leave is whole and that of a single one, and no
trial of a search is made twice.
"""

import pytest

from .conftest import FULL, artefacts, folder_of, pick, prepared

TIMES = pick(1, 20)
BOTH = ["prepare", "train", "predict", "unpack", "report"] + (["run"] if FULL else [])  # run: a kernel for each


@pytest.mark.parametrize("operation", BOTH)
def test_both_end_well_and_leave_what_one_would(operation, orders, server, tally, tmp_path):
    alone = orders[operation](tmp_path / "alone")
    prepared(server, operation, alone)
    assert server(operation, **alone).ended == "done"
    expected = artefacts(server, folder_of(alone))
    for number in range(TIMES):
        order = orders[operation](tmp_path / f"{number}")
        prepared(server, operation, order)
        both = server.together(*2 * [{"operation": operation, **order}])
        assert [one.ended for one in both] == ["done", "done"], both
        assert artefacts(server, folder_of(order)) == expected
        left = [path for path in folder_of(order).rglob(".*") if path.name != ".cache"]
        assert not left, f"left over: {left}"
    tally(f"two of {operation}", TIMES, "both ended well; the artefacts of a single one, nothing left over")


def test_a_second_search_is_refused_and_no_trial_is_made_twice(server, tiny, tally, tmp_path):
    refused = 0
    for number in range(TIMES):
        runs = tmp_path / f"{number}"
        both = server.together(*2 * [{"operation": "tune", "params": tiny, "runs": runs}])
        assert sorted(one.ended for one in both) in (["done", "refused"], ["done", "done"]), both
        for one in both:
            if one.ended == "refused":
                refused += 1
            assert one.ended == "done" or "another search is at work" in one.says, one.says
        assert server("trials_made", params=tiny, runs=runs).value == 6
    tally("two searches in one folder", TIMES, f"six trials each time; {refused} times the second was told to wait")
