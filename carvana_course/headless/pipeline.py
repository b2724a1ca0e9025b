"""All notebooks headless: one run, a batch of runs, and their comparison."""

import itertools
import os
import queue
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import torch
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from tqdm import tqdm

from carvana_course.headless.report import summary, time_table, write_report
from carvana_course.headless.scores import has_metrics
from carvana_course.parameters import read_yaml
from carvana_lib import CarvanaError, CheckpointError, DataError, ParameterError, RunError
from carvana_lib.checkpoints import finished_epochs, load_trained
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.device import cores, describe_device
from carvana_lib.runs import ROOT, Run, atomic, runs_folder, write_csv

NOTEBOOKS = ROOT / "notebooks"


class BarEngine(NBClientEngine):
    """Papermill's own engine, reporting each finished cell to one bar over all notebooks."""

    bar = None

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
        complete = nb_man.cell_complete

        def cell_complete(cell, **details):
            complete(cell, **details)
            cls.bar.update()

        nb_man.cell_complete = cell_complete
        quiet = ["--log-level=ERROR"]  # ipykernel 7 warns at every start that it speaks TCP on this machine
        return super().execute_managed_notebook(nb_man, kernel_name, extra_arguments=quiet, **kwargs)


papermill_engines.register("one-bar", BarEngine)


def find_notebooks(start: str | None = None, only: list[str] | None = None) -> list[Path]:
    """The numbered notebooks in order; from `start` on, or just those in `only` ('03' or '03_tuning').

    Raises ParameterError for a number that no notebook has.
    """
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    numbers = [path.stem[:2] for path in found]
    for wanted in [*([start] if start else []), *(only or [])]:
        if wanted not in [*numbers, *(path.stem for path in found)]:
            raise ParameterError(f"there is no notebook '{wanted}'; there are {', '.join(numbers)}")
    keep = {name[:2] for name in only} if only else {n for n in numbers if not start or n >= start[:2]}
    return [path for path in found if path.stem[:2] in keep]


def run(params: Params, start: str | None = None, only: list[str] | None = None) -> Run:
    """Execute the notebooks with these parameters and write `runs/<run_name>/`, report included.

    Raises RunError that names notebook, cell and reason where one fails; its executed copy shows the traceback.
    """
    paths = find_notebooks(start, only)
    target = Run.start(params, describe_device(params))
    target.notebooks.mkdir(parents=True, exist_ok=True)
    cells = sum(len(nbformat.read(path, 4).cells) + 1 for path in paths)  # papermill adds one cell to each
    with tqdm(total=cells, unit="cell", dynamic_ncols=True) as BarEngine.bar:
        for path in paths:
            BarEngine.bar.set_description(path.stem)
            copy = target.notebooks / path.name
            growing = copy.with_name(f".{path.name}.{os.getpid():08}.ipynb")  # papermill writes it anew after each cell
            try:
                papermill.execute_notebook(
                    path,
                    growing,
                    params.model_dump(),
                    cwd=str(NOTEBOOKS),
                    engine_name="one-bar",
                    progress_bar=False,
                )
            except DeadKernelError:
                raise RunError(
                    f"{path.name}: the kernel died, most likely for want of memory; lower batch_size or image_size"
                ) from None
            except papermill.PapermillExecutionError as error:
                raise RunError(
                    f"{path.name}, cell {error.cell_index}: {error.ename}: {error.evalue} (see {copy})"
                ) from None
            except OSError as error:
                growing.unlink(missing_ok=True)
                raise RunError(f"cannot write {copy}: {error.strerror}; free that place and run again") from None
            finally:
                if growing.exists():
                    growing.replace(copy)
    write_csv(target.timing, time_table(target))
    write_report(params)
    return target


def read_sets(files: list[Path]) -> list[Params]:
    """The parameter sets of a batch: one a file, or for a file with a `grid:` one for each combination in it.

    A set without run_name is called after its file, and after the values that its grid varies. Raises ParameterError
    for anything wrong in any file, before anything runs.
    """
    sets = []
    for file in map(Path, files):
        values = read_yaml(file)
        grid = values.pop("grid", {})
        if not isinstance(grid, dict) or not all(isinstance(options, list) for options in grid.values()):
            raise ParameterError(f"parameter file '{file}': grid must hold lines of the form 'name: [value, value]'")
        base = str(values.pop("run_name", file.stem))
        for combination in itertools.product(*grid.values()):
            chosen = dict(zip(grid, combination, strict=True))
            parts = [base, *(f"{key}-{value}" for key, value in chosen.items())]
            name = re.sub(r"[^\w.-]+", "_", "-".join(parts))
            sets.append(Params(**{**values, **chosen, "run_name": name}))
    names = [params.run_name for params in sets]
    if len(set(names)) < len(names):
        raise ParameterError(
            f"two parameter sets are called '{max(names, key=names.count)}'; give them different run_name"
        )
    return sets


def batch(files: list[Path], shard: tuple[int, int] = (0, 1), jobs: int = 1) -> tuple[pd.DataFrame, list[str]]:
    """Run every parameter set that is not finished yet, `jobs` at a time; one that fails does not stop the rest.

    A training that has finished is not repeated: the run goes on with notebook 05. `shard` (i, n) takes every nth
    set, beginning with the ith (from 0). Jobs share this machine's GPUs out among themselves. Returns the comparison
    of all sets of the files that have finished, wherever they ran, and the failures.
    """
    sets, free = read_sets(files), queue.SimpleQueue()
    for share in shares(cards(), jobs):
        free.put(share)

    def run_one(number: int) -> str:
        name, label = sets[number].run_name, f"[{number + 1}/{len(sets)}] {sets[number].run_name}"
        if is_finished(sets[number]):
            print(f"{label}: finished before", flush=True)
            return ""
        print(f"{label}: running", flush=True)
        share = free.get()
        try:
            if jobs == 1:
                run(sets[number], "05" if is_trained(sets[number]) else None)
            else:
                run_apart(files, number, len(sets), jobs, share)
        except CarvanaError as error:
            return f"{name}: {error}"
        finally:
            free.put(share)
        return ""

    numbers = range(len(sets))[shard[0] :: shard[1]]
    with ThreadPoolExecutor(jobs) as threads:
        failures = list(filter(None, map(run_one, numbers) if jobs == 1 else threads.map(run_one, numbers)))
    return compare(files), failures


def is_finished(params: Params) -> bool:
    """True for a run that has been evaluated with exactly these parameters and reported."""
    return has_metrics(params) and Run(params.run_name).report.exists()


def is_trained(params: Params) -> bool:
    """True for a run whose training has finished with exactly these parameters and pictures."""
    try:
        if not params.resume or finished_epochs(params) < params.epochs:
            return False
        load_trained(open_data(params), params)
    except (CheckpointError, DataError):  # the notebooks say it better
        return False
    return True


def cards() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none where there is no CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.replace(" ", "").split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())]


def shares(names: list[str], jobs: int) -> list[list[str]]:
    """Deal GPUs out to so many jobs: several each where there are more GPUs than jobs, else one that some share."""
    return [names[job::jobs] or names[job % len(names) :][:1] if names else [] for job in range(jobs)]


def run_apart(files: list[Path], number: int, sets: int, jobs: int, share: list[str]) -> None:
    """Run one of the sets of a batch in a process of its own, on its share of cores and GPUs. Raises RunError."""
    words = [sys.executable, "-m", "carvana_course", "batch", *map(str, files), "--shard", f"{number + 1}/{sets}"]
    environment = {"OMP_NUM_THREADS": str(max(1, cores() // jobs))} | os.environ
    environment |= {"CUDA_VISIBLE_DEVICES": ",".join(share)} if share else {}
    child = subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment)
    if child.returncode:
        said = child.stderr.strip().splitlines() or ["no reason was given"]
        ended = f"killed by signal {-child.returncode}" if child.returncode < 0 else said[-1]
        raise RunError(re.sub(r"^(failed|error): (\S+: )?", "", ended))


def compare(files: list[Path]) -> pd.DataFrame:
    """Write `runs/comparison.csv` and `.html` over those sets of the files that have finished, and return the table."""
    sets = read_sets(files)
    done = [params for params in sets if has_metrics(params)]
    varied = [
        name for name in Params.model_fields if len({str(getattr(p, name)) for p in sets}) > 1 and name != "run_name"
    ]
    table = summary(done)
    for position, name in enumerate(varied, 1):
        table.insert(position, name, [getattr(params, name) for params in done])
    write_csv(runs_folder() / "comparison.csv", table)
    with atomic(runs_folder() / "comparison.html") as temporary:
        temporary.write_text(
            "<!doctype html><meta charset='utf-8'><title>Comparison of runs</title>"
            + table.to_html(index=False, float_format="{:.4f}".format),
            encoding="utf8",
        )
    return table


def refresh() -> None:
    """Execute the committed notebooks in place with their own defaults: for authors, after a change."""
    for path in [*find_notebooks(), *sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))]:
        print(path.relative_to(NOTEBOOKS), flush=True)
        notebook = nbformat.read(path, 4)
        NotebookClient(
            notebook, resources={"metadata": {"path": str(path.parent)}}, extra_arguments=["--log-level=ERROR"]
        ).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day, which differ at every execution
        with atomic(path) as temporary:
            nbformat.write(notebook, temporary)
