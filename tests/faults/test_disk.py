"""A full disk, and folders that may not be written to.

A disk with room for a part of what an operation writes (a tmpfs, where mounting is allowed) and a limit on the size
of any file (everywhere) stop each operation at several points. It must say so in one sentence, leave what was there
before as it was, and end as if nothing had happened once there is room. The same with folders made read-only.
"""

import re
import shutil
import subprocess
import sys

import pytest

from .conftest import FULL, artefacts, folder_of, pick, prepared

OPERATIONS = ("prepare", "train", "tune", "predict", "unpack", "report", "run")
PAGE = 4096  # bytes; a tmpfs counts in these
HARDER_WHEN_FULL = ("prepare", "train", "tune", "predict")
POINTS = pick(1, 20)  # at which each operation is stopped


@pytest.fixture
def disk(tmp_path):
    """(folder, function to change its size in bytes) of a disk of its own; None where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux":
        yield None
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "faults", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    yield folder, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
    subprocess.run(["umount", "--lazy", folder], check=True)


def undisturbed(server, operation: str, order: dict) -> tuple[dict, int]:
    """(digests of what the operation leaves, bytes of the largest file that it writes)."""
    folder = folder_of(order)
    prepared(server, operation, order)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    outcome = server(operation, **order)
    assert outcome.ended == "done", outcome
    written = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime_ns != before.get(path)]
    return artefacts(server, folder), max(path.stat().st_size for path in written)


def one_sentence(outcome, reason: str) -> str:
    """'' where a victim was stopped by the course's own sentence with the system's reason in it."""
    good = outcome.ended == "refused" and reason in outcome.says and "\n" not in outcome.says
    return "" if good and re.search(r"cannot (write|store)", outcome.says) else f"{outcome.ended}: {outcome.says}"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_room_is_one_sentence_and_nothing_is_lost(operation, orders, server, disk, tally, tmp_path):
    expected, largest = undisturbed(server, operation, orders[operation](tmp_path / "whole"))
    ways = {"a limit on files": "File too large"} | ({"a full disk": "No space left on device"} if disk else {})
    if not FULL:  # one of the two: a full disk where it is the harder, if it can be had
        ways = dict([list(ways.items())[-1 if operation in HARDER_WHEN_FULL else 0]])
    for way, reason in ways.items():
        for point in range(POINTS):
            share, limit = (point + 0.5) / POINTS, {}
            to = tmp_path / f"{way}-{point}" if way == "a limit on files" else disk[0] / f"{point}"
            order = orders[operation](to)
            before = prepared(server, operation, order)
            if way == "a limit on files":
                limit = {"file_limit": max(1, int(share * largest))}
            else:
                disk[1](shutil.disk_usage(disk[0]).used + max(PAGE, int(share * largest)))
            outcome = server(operation, **order, **limit)
            assert not (wrong := one_sentence(outcome, reason)), f"{way}, {share:.0%}: {wrong}"
            after = artefacts(server, folder_of(order))
            assert before.items() <= after.items() or (operation == "train" and before.keys() <= after.keys())
            if way == "a full disk":
                disk[1](64 * 2**20)
            again = server(operation, **order)
            assert again.ended == "done", again
            assert artefacts(server, folder_of(order)) == expected
            shutil.rmtree(to)
        tally(f"{operation}: {way}", POINTS, f"'... {reason}; free or change that place and run again'; then finished")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_folder_that_may_not_be_written_to(operation, orders, server, tally, tmp_path):
    order = orders[operation](tmp_path / "locked")
    folder = folder_of(order)
    folder.mkdir(parents=True)
    before = prepared(server, operation, order)
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    outcome = server(operation, **order, heed_permissions=True)
    for path in folders:
        path.chmod(0o755)
    assert not (wrong := one_sentence(outcome, "Permission denied")), wrong
    assert artefacts(server, folder) == before
    tally(f"{operation}: a read-only folder", 1, "'... Permission denied; free or change that place and run again'")
