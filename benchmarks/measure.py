"""How things are measured: sides in turn, medians, a process of its own for what is said about memory."""

import importlib
import multiprocessing
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

PRELOAD = ["benchmarks.growth", "carvana_course.deployment.folders"]  # what every measured process has imported already


@dataclass(frozen=True)
class Plan:
    """What is measured: on which pictures, and how thoroughly."""

    data: Path  # native pictures in Carvana's layout
    full: bool = False
    tiny: bool = False  # for the tests: so small that the figures mean nothing

    def pick(self, quick, full, tiny):
        """The value for this run's thoroughness."""
        return tiny if self.tiny else full if self.full else quick


@dataclass
class Findings:
    """What a part has measured. Plain data, so that it can be written as JSON."""

    rows: list[dict] = field(default_factory=list)
    targets: list[dict] = field(default_factory=list)
    curves: list[dict] = field(default_factory=list)

    def row(self, what: str, unit: str, ours: float, textbook=None, limit=None, limit_is: str = "", **more) -> float:
        """Add a line of the table and return its ratio: how many times as good as the textbook.

        `limit` is in the same unit, `limit_is` what it is; the share says how near ours is to it.
        """
        higher_is_better = unit.endswith("/s")

        def times(mine, other):
            return None if other is None else mine / other if higher_is_better else other / mine

        ratio = times(ours, textbook)
        values = {"ours": ours, "textbook": textbook, "unit": unit, "ratio": ratio}
        values |= {"limit": limit, "share_of_limit": times(ours, limit), "limit_is": limit_is}
        self.rows.append({"what": what} | {k: v for k, v in values.items() if v not in (None, "")} | more)
        return ratio

    def target(self, name: str, measured: float, at_least: float | None = None, at_most: float | None = None) -> None:
        """Add a target with what was measured, and whether it is met."""
        met = measured >= at_least if at_most is None else measured <= at_most
        text = f">= {at_least:g}" if at_most is None else f"<= {at_most:g}"
        self.targets.append({"name": name, "target": text, "measured": measured, "met": bool(met)})


def alternate(sides: dict, rounds: int, warmups: int = 1) -> dict[str, float]:
    """Median seconds of each function. They take turns, so that a busy moment of the machine meets all of them."""
    seconds = {name: [] for name in sides}
    for number in range(warmups + rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            if number >= warmups:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def matrix_product(side: int, device: str = "cpu"):
    """(a function that multiplies two bf16 matrices side x side, its floating-point operations).

    The largest rate at which a machine computes in practice, so the limit of a net's.
    """
    import torch

    a, b = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    return lambda: a @ b, 2 * side**3


def peak_mb() -> float:
    """Most memory that this process has held so far, MB, and the largest of those that it started."""
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # macOS counts bytes, Linux KiB
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit


def part_of(name: str, plan: Plan) -> dict:
    """What the module `name` finds, as plain data."""
    return asdict(importlib.import_module(f"benchmarks.{name}").measure(plan))


def with_peak(function, *arguments):
    """(function(*arguments), peak memory of this process, MB)."""
    multiprocessing.set_start_method(None, force=True)  # loaders' workers start as they do in any program
    result = function(*arguments)
    return result, peak_mb()


def fresh(function, *arguments):
    """`with_peak` in a new process, which holds nothing but the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(with_peak, function, *arguments).result()


def alternate_fresh(sides: dict, rounds: int) -> tuple[dict, dict]:
    """`alternate` for sides that would change each other's memory: every turn is a new process.

    Sides are tuples of a function, which returns the seconds that count, and its arguments. Returns the medians of
    seconds and of peak memory.
    """
    turns = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            turns[name].append(fresh(*call))
    return tuple(
        {name: statistics.median(values[i] for values in pairs) for name, pairs in turns.items()} for i in (0, 1)
    )
