"""Measure the course beside the textbook way: `make bench`, or python -m benchmarks [--full] [--only NAME]."""

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Plan, fresh, part_of
from benchmarks.pictures import make_native
from benchmarks.results import draw, record, show
from carvana_lib.data import data_folder

PARTS = ("training", "data", "memory", "prediction", "startup", "growth", "gpu")
LONG = ("processes", "browser", "variants", "encoder")  # only with --full, or when asked for
FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Measure what is asked for, each part in its own process; write after each, print at the end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="everything, for 45 minutes in place of five")
    parser.add_argument("--only", choices=PARTS + LONG, action="append", help="just this part; may be repeated")
    parser.add_argument(
        "--data", help="folder of native pictures in Carvana's layout; else enlarged ones of the sample"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for results.json and growth.png")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)  # for the tests
    asked = parser.parse_args()
    mode = "tiny" if asked.tiny else "full" if asked.full else "quick"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the Makefile has it, for both sides
    with tempfile.TemporaryDirectory() as name:
        os.environ["CARVANA_RUNS"] = f"{name}/runs"
        count = Plan(None, asked.full, asked.tiny).pick(64, 128, 4)
        data = data_folder(asked.data) if asked.data else make_native(Path(name) / "native", count)
        pictures = "photographs" if asked.data else f"{count} of the sample, enlarged to 1918x1280"
        plan = Plan(data, asked.full, asked.tiny)
        parts = PARTS if mode == "quick" else PARTS + LONG
        names = {part: part + (" on --data" if asked.data else "") for part in asked.only or parts}
        for part, title in names.items():
            print(f"{title} ...", flush=True)
            started = time.perf_counter()
            found, peak = fresh(part_of, part, plan)
            found |= {"seconds": time.perf_counter() - started, "peak_mb": peak}
            results = record(asked.out / "results.json", title, found, mode, pictures)
            print(f"{title}: {found['seconds']:.0f} s, peak memory {peak:,.0f} MB", flush=True)
            if found["curves"]:
                draw(found["curves"], asked.out / "growth.png")
    print("\n" + show(results, names.values()))


if __name__ == "__main__":
    main()
