"""Hours of work.

One process trains and browses over and over in the background, while all the rest is done. What it holds of memory,
open files and threads must not grow once it has warmed up: the first quarter of the time is not judged.
"""

import statistics

GROWTH = 8  # MB between the middle half and the last quarter


def test_memory_files_and_threads_do_not_grow(soaking, tally):
    (outcome,) = soaking.wait()
    assert outcome.ended == "done", outcome
    seen = outcome.value
    quarter = len(seen) // 4
    warm, middle, end = seen[quarter], seen[quarter : 3 * quarter], seen[3 * quarter :]
    assert seen[-1]["steps"] >= 200
    held = [statistics.median(row["mb"] for row in part) for part in (middle, end)]
    assert held[1] - held[0] < GROWTH, f"{held[1] - held[0]:.1f} MB more: {seen}"
    for what in ("files", "threads"):
        assert max(row[what] for row in seen[quarter:]) <= warm[what] + 1, f"{what}: {seen}"
        assert seen[-1][what] <= warm[what], f"{what}: {seen}"
    last = seen[-1]
    grown = f"{warm['mb']:.0f} MB after a quarter of the time, {last['mb']:.0f} MB at the end"
    held = f"{last['files']} open files and {last['threads']} threads at both"
    work = f"{last['trainings']:,} trainings and {last['steps']:,} steps of the mask browser in {last['seconds']:.0f} s"
    tally(work, last["trainings"], f"{grown}; {held}")
