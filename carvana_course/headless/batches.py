"""Many parameter sets: each runs through the notebooks in a folder of its own, and those that finished are compared."""

import itertools
import os
import queue
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import torch

from carvana_course.headless.folds import MEANING, compare_folds, each_fold
from carvana_course.headless.notebooks import run_notebooks
from carvana_course.headless.pages import figure_picture, fill_page, in_words, table_rows
from carvana_course.headless.report import summarise
from carvana_course.headless.scores import evaluated, has_metrics
from carvana_course.parameters import read_yaml
from carvana_course.show.intervals import intervals
from carvana_lib import CarvanaError, CheckpointError, DataError, ParameterError, RunError
from carvana_lib.checkpoints import is_trained, load_trained
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.device import cores
from carvana_lib.runs import Run, atomic, runs_folder, write_csv


def read_sets(files: list[Path]) -> list[Params]:
    """The parameter sets of a batch: one a file, or for a file with a `grid:` one for each combination in it.

    With `folds:` and no `fold:` there is one for each fold. A set without run_name is called after its file, and after
    its fold and the values that its grid varies. Raises ParameterError for anything wrong in any file, before anything
    runs.
    """
    sets = []
    for file in map(Path, files):
        values = read_yaml(file)
        grid = values.pop("grid", {})
        well_formed = isinstance(grid, dict) and all(isinstance(name, str) for name in grid)
        if not (well_formed and all(isinstance(options, list) and options for options in grid.values())):
            raise ParameterError(f"parameter file '{file}': grid must hold lines of the form 'name: [value, value]'")
        if "run_name" in grid:
            raise ParameterError(f"parameter file '{file}': run_name cannot be in the grid, whose values name the runs")
        base = str(values.pop("run_name", file.stem))
        for combination in itertools.product(*grid.values()):
            chosen = dict(zip(grid, combination, strict=True))
            for varied in each_fold(values, chosen):
                parts = [base, *(f"{key}-{value}" for key, value in varied.items())]
                name = re.sub(r"[^\w.-]+", "_", "-".join(parts))
                sets.append(Params(**{**values, **varied, "run_name": name}))
    names = [params.run_name for params in sets]
    if len(set(names)) < len(names):
        twice = max(names, key=names.count)
        raise ParameterError(f"two parameter sets are called '{twice}'; give them different run_name")
    return sets


def run_batch(files: list[Path], shard: tuple[int, int] = (0, 1), jobs: int = 1) -> tuple[pd.DataFrame, list[str]]:
    """Run every parameter set that is not finished yet, `jobs` at a time; one that fails does not stop the rest.

    A training that has finished is not repeated: the run goes on with notebook 05. `shard` (i, n) takes every nth
    set, beginning with the ith (from 0). Jobs share this machine's GPUs out among themselves. Returns the comparison
    of all sets of the files that have finished, wherever they ran, and the failures.
    """
    sets = read_sets(files)
    free_gpus = queue.SimpleQueue()
    for names in deal_gpus(gpus_here(), jobs):
        free_gpus.put(names)

    def run_set(number: int) -> str | None:
        """Run one of the sets; what went wrong, if anything did."""
        params = sets[number]
        label = f"[{number + 1}/{len(sets)}] {params.run_name}"
        if is_finished(params):
            print(f"{label}: finished before", flush=True)
            return None
        print(f"{label}: running", flush=True)
        gpus = free_gpus.get()
        try:
            if jobs == 1:
                run_notebooks(params, "05" if has_net(params) else None)
            else:
                open_data(params)  # says what it leaves out, since what the process says is kept from the screen
                run_in_process(files, number, len(sets), jobs, gpus)
        except CarvanaError as error:
            return f"{params.run_name}: {error}"
        finally:
            free_gpus.put(gpus)
        return None

    numbers = range(len(sets))[shard[0] :: shard[1]]
    if jobs == 1:
        outcomes = [run_set(number) for number in numbers]
    else:
        with ThreadPoolExecutor(jobs) as threads:
            outcomes = list(threads.map(run_set, numbers))
    failures = [outcome for outcome in outcomes if outcome]
    return compare_runs(files), failures


def is_finished(params: Params) -> bool:
    """True for a run that has been evaluated with exactly these parameters and pictures, and reported."""
    if not (has_metrics(params) and Run(params.run_name).report.exists()):
        return False
    try:
        return has_metrics(params, open_data(params).fingerprint)
    except DataError:  # the notebooks say it better
        return False


def has_net(params: Params) -> bool:
    """True for a run whose training has finished with exactly these parameters and pictures."""
    try:
        if not params.resume or not is_trained(params):
            return False
        load_trained(open_data(params), params)
    except (CheckpointError, DataError):  # the notebooks say it better
        return False
    return True


def gpus_here() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none where there is no CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.replace(" ", "").split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())]


def deal_gpus(names: list[str], jobs: int) -> list[list[str]]:
    """Deal GPUs out to so many jobs: several each where there are more GPUs than jobs, else one that some share."""
    if not names:
        return [[] for _ in range(jobs)]
    if len(names) < jobs:
        return [[names[job % len(names)]] for job in range(jobs)]
    return [names[job::jobs] for job in range(jobs)]


def run_in_process(files: list[Path], number: int, sets: int, jobs: int, gpus: list[str]) -> None:
    """Run one of the sets of a batch in a process of its own, on its share of cores and GPUs. Raises RunError."""
    words = [sys.executable, "-m", "carvana_course", "batch", *map(str, files), "--shard", f"{number + 1}/{sets}"]
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores() // jobs)))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    child = subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment)
    if child.returncode == 0:
        return
    if child.returncode < 0:
        raise RunError(f"killed by signal {-child.returncode}")
    lines = child.stderr.strip().splitlines() or ["no reason was given"]
    raise RunError(re.sub(r"^(failed|error): (\S+: )?", "", lines[-1]))


def compare_runs(files: list[Path]) -> pd.DataFrame:
    """Write `runs/comparison.csv` and `.html` over those sets of the files that have finished, and return the table.

    Nets that were set aside in their runs are listed too. Where sets are folds, `comparison_folds.csv` and a second
    table in the page put them together.
    """
    sets = read_sets(files)
    found = evaluated(sets)
    table = summarise(found)
    used = [metrics["params"] for metrics in found.values()]
    for position, name in enumerate(varied_parameters([*used, *(params.model_dump() for params in sets)]), 1):
        table.insert(position, name, [params.get(name) for params in used])
    write_csv(runs_folder() / "comparison.csv", table)
    folds = compare_folds(sets)
    if len(folds):
        write_csv(runs_folder() / "comparison_folds.csv", folds)
    with atomic(runs_folder() / "comparison.html") as temporary:
        temporary.write_text(comparison_page(table, found, folds), encoding="utf8")
    return table


def comparison_page(table: pd.DataFrame, found: dict[str, dict], folds: pd.DataFrame) -> str:
    """The comparison as HTML: the table that sorts, each run with its interval, and what the folds say together."""
    unknown = [float("nan")] * 2
    low_high = [metrics.get("test_miou_ci95", unknown) for metrics in found.values()]
    plot = None
    said = "No run of these files has finished."
    if found:
        lows, highs = zip(*low_high, strict=True)
        caption = "Dots are test mIoU, lines 95 % intervals over cars. They leave the seed out."
        plot = figure_picture(intervals(table["run"], table["test_miou"], lows, highs, "test mIoU"), caption)
        best = table.loc[table["test_miou"].idxmax()]
        score = f"{best['test_miou']:.4f}"
        if len(table) == 1:
            said = f"One run has finished: {best['run']}, test mIoU {score}."
        else:
            said = f"Of {len(table)} finished runs, {best['run']} scores highest on its test photos, {score}."
    links = {name: f"{name}/report.html" for name in found if (runs_folder() / name / "report.html").exists()}
    tables = []
    for title, text, each in (("Runs", "", table), ("Folds", MEANING, folds)):
        if len(each):
            columns = [in_words(name) for name in each.columns]
            tables.append({"title": title, "text": text, "columns": columns, "rows": table_rows(each, links)})
    return fill_page("comparison.html.j2", title="Comparison of runs", verdict=said, plot=plot, tables=tables)


def comparison_as_text(table: pd.DataFrame, files: list[Path]) -> str:
    """The table of `compare_runs` for a terminal, and below it what the folds say together."""
    folds = compare_folds(read_sets(files))
    tables = [each.to_string(index=False, float_format="{:.4f}".format) for each in (table, folds) if len(each)]
    return "\n\n".join(tables) or "no run has finished"


def varied_parameters(sets: list[dict]) -> list[str]:
    """Names of the parameters, other than the run's name, that are not the same in all sets."""
    names = [name for name in Params.model_fields if name != "run_name"]
    return [name for name in names if len({str(params.get(name)) for params in sets}) > 1]
