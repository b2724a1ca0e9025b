"""The numbered notebooks without a reader: one run through them, and the committed copies made anew."""

import logging
import os
from pathlib import Path

import nbformat
import pandas as pd
import papermill
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from tqdm import tqdm

from carvana_course.headless.report import summarise_runs, time_table, write_report
from carvana_course.scaling.earlier import told
from carvana_lib import ParameterError, RunError
from carvana_lib.config import Params
from carvana_lib.data import open_data
from carvana_lib.device import describe_device
from carvana_lib.runs import ROOT, Run, atomic, write_csv

NOTEBOOKS = ROOT / "notebooks"
QUIET = ["--log-level=ERROR"]  # ipykernel 7 warns at every start that it speaks TCP on this machine


class BarEngine(NBClientEngine):
    """Papermill's own engine, reporting each finished cell to one bar over all notebooks.

    What it executes says which `pictures` it saw, by their fingerprint.
    """

    bar = None
    pictures = ""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
        complete = nb_man.cell_complete

        def cell_complete(cell, **details):
            complete(cell, **details)
            cls.bar.update()

        nb_man.cell_complete = cell_complete
        nb_man.nb.metadata["pictures"] = cls.pictures
        return super().execute_managed_notebook(nb_man, kernel_name, extra_arguments=QUIET, **kwargs)


papermill_engines.register("one-bar", BarEngine)
logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of parameters that a chapter's cell does not list


def find_notebooks(start: str | None = None, only: list[str] | None = None) -> list[Path]:
    """The numbered notebooks in order; from `start` on, or just those in `only` ('03' or '03_tuning').

    Raises ParameterError for a number that no notebook has, RunError where there are none at all.
    """
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise RunError(f"{NOTEBOOKS} holds no notebooks; clone the repository and run 'pip install -e .' in it")
    numbers = [path.stem[:2] for path in paths]
    names = [path.stem for path in paths]
    wanted = list(only or [])
    for name in [start, *wanted] if start else wanted:
        if name not in numbers and name not in names:
            raise ParameterError(f"there is no notebook '{name}'; there are {', '.join(numbers)}")
    if wanted:
        chosen = {name[:2] for name in wanted}
        return [path for path in paths if path.stem[:2] in chosen]
    if start:
        return [path for path in paths if path.stem[:2] >= start[:2]]
    return paths


def run_notebooks(params: Params, start: str | None = None, only: list[str] | None = None) -> pd.DataFrame:
    """Execute the notebooks with these parameters and write `runs/<run_name>/`, report included; the run's scores.

    Raises DataError for pictures that cannot be used, and RunError that names notebook, cell and reason where one
    fails; its executed copy shows the traceback.
    """
    paths = find_notebooks(start, only)
    data = open_data(params)  # which says what it leaves out, before anything takes its time
    target = Run.start(params, describe_device(params))
    earlier = set(target.earlier.glob("*"))
    target.notebooks.mkdir(parents=True, exist_ok=True)
    cells = sum(len(nbformat.read(path, 4).cells) + 1 for path in paths)  # papermill adds one cell to each
    with tqdm(total=cells, unit="cell", dynamic_ncols=True) as bar:
        BarEngine.bar = bar
        BarEngine.pictures = data.fingerprint
        for path in paths:
            bar.set_description(path.stem)
            execute_notebook(path, target.notebooks / path.name, params)
    for place in set(target.earlier.glob("*")) - earlier:
        print(told(target, place))
    write_csv(target.timing, time_table(target))
    write_report(params, data.fingerprint, data)
    return summarise_runs([params], data.fingerprint)


def execute_notebook(path: Path, copy: Path, params: Params) -> None:
    """Execute one notebook with these parameters and leave what it became at `copy`, whether it failed or not.

    Raises RunError that names notebook, cell and reason.
    """
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
        raise RunError(f"{path.name}, cell {error.cell_index}: {error.ename}: {error.evalue} (see {copy})") from None
    except OSError as error:
        growing.unlink(missing_ok=True)
        raise RunError(f"cannot write {copy}: {error.strerror}; free that place and run again") from None
    finally:
        if growing.exists():
            growing.replace(copy)


def refresh_notebooks() -> None:
    """Execute the committed notebooks in place with their own defaults: for authors, after a change."""
    for path in [*find_notebooks(), *sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))]:
        print(path.relative_to(NOTEBOOKS), flush=True)
        notebook = nbformat.read(path, 4)
        place = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, resources=place, extra_arguments=QUIET).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day, which differ at every execution
        with atomic(path) as temporary:
            nbformat.write(notebook, temporary)
