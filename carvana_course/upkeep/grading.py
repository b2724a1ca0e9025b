"""Grade a folder of submissions: every notebook runs by itself, within limits, and its exercises are judged anew.

A submission is code by somebody else and runs with the rights of whoever grades it: use a container for strangers.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pandas as pd
import psutil

from carvana_lib import DataError
from carvana_lib.cache import digest
from carvana_lib.device import cores
from carvana_lib.runs import write_csv

GRADE_COLUMNS = ["student", "notebook", "exercise", "verdict", "hint", "seconds", "error", "digest"]
ONLY_A_CHECK = re.compile(r"\s*check\(\s*[\"']\w+[\"']\s*,.*\)\s*", re.S)  # a cell that would judge a second time
# Parameters of every submission: the cells before the exercises run, but no answer needs a net that was trained well.
SHORT = {"epochs": 1, "subset": 64, "tuning_subset": 32, "learning_rate": 5e-4, "loss": "bce_dice"}
JUDGE = "from carvana_course.upkeep import grading\n\ngrading.show_verdict('{0}', globals().get('my_{0}', ...))"
JUDGE_SECONDS = 60  # after which an answer that does not end is interrupted, so that the others are still judged


def grade(folder: Path, out: Path, minutes: float = 10, gigabytes: float = 6, jobs: int = 1) -> pd.DataFrame:
    """Run every submission in a folder, at most `jobs` at a time, and write one row an exercise to the CSV `out`.

    minutes, gigabytes: the limits of one notebook; the second is of each of its processes, and of Linux only.
    Columns: student, notebook, exercise, verdict ('right', 'not yet', 'not tried', 'not run'), hint, seconds (of the
    whole notebook), error (the notebook's first), digest (of the file). The table is written after every notebook,
    and files that it holds already, unchanged, are not run again unless they were not run to their end.
    Raises DataError where the folder holds no notebook NN_*.ipynb, and where `out` is a file of another kind.
    """
    submissions = find_submissions(folder)
    finished = read_finished(out)

    def grade_submission(submission) -> list[dict]:
        student, path = submission
        content = digest(path)[:12]
        rows = [row for row in finished if row["student"] == student and row["digest"] == content]
        if not rows:
            rows = grade_one(path, minutes, gigabytes, jobs)
        return [{**row, "student": student, "digest": content} for row in rows]

    grades = pd.DataFrame(columns=GRADE_COLUMNS)
    all_rows = []
    with ThreadPoolExecutor(jobs) as pool:
        for number, rows in enumerate(pool.map(grade_submission, submissions), 1):
            right = sum(row["verdict"] == "right" for row in rows)
            name = f"{rows[0]['student']}, {rows[0]['notebook']}"
            print(f"[{number}/{len(submissions)}] {name}: {right} of {len(rows)} right", rows[0]["error"], flush=True)
            all_rows.extend(rows)
            grades = pd.DataFrame(all_rows, columns=GRADE_COLUMNS)
            write_csv(out, grades)
    return grades


def read_finished(out: Path) -> list[dict]:
    """The rows that an earlier grading wrote about notebooks that ran to their end; none where there is no table.

    Raises DataError where `out` is a file of another kind.
    """
    try:
        done = pd.read_csv(out, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return []
    except (OSError, ValueError):  # a folder; pandas' own errors are ValueErrors
        done = pd.DataFrame()
    if list(done) != GRADE_COLUMNS:
        raise DataError(f"{out} is no table of grades and is left as it is; name another file with --out")
    return done.groupby("digest").filter(lambda rows: (rows["verdict"] != "not run").all()).to_dict("records")


def find_submissions(folder: Path) -> list[tuple[str, Path]]:
    """(student, path) of each NN_*.ipynb: a student is a folder, or what follows the notebook's name in the file's."""
    folder = Path(folder)
    paths = sorted(folder.rglob("[0-9][0-9]_*.ipynb"))
    paths = [p for p in paths if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    if not paths:
        raise DataError(f"{folder} holds no submission: put notebooks such as anna/01_data.ipynb into it")
    return [(student_of(path, folder), path) for path in paths]


def student_of(path: Path, folder: Path) -> str:
    """anna/01_data.ipynb and 01_data-anna.ipynb are anna's."""
    after_name = re.sub(r"^\d\d_[a-z]+", "", path.stem).strip(" _-")
    return path.parent.relative_to(folder).as_posix().strip(".") or after_name or folder.resolve().name


def grade_one(path: Path, minutes: float, gigabytes: float, jobs: int = 1) -> list[dict]:
    """The rows of one notebook, without student and digest. Never raises what the notebook does."""
    from carvana_course.exercises import CHAPTERS

    chapter = next((name for name in CHAPTERS if name[:2] == path.stem[:2]), None)
    names = [exercise.name for exercise in CHAPTERS.get(chapter, [])]
    start = time.perf_counter()
    verdicts = {}
    error = f"the course has no notebook {path.stem[:2]}"
    if names:
        verdicts, error = run_exercises(path, names, minutes, gigabytes, jobs)
    seconds = round(time.perf_counter() - start, 1)
    rows = []
    for name in names or [""]:
        verdict, hint = verdicts.get(name, ("not run", ""))
        row = {"notebook": chapter or path.stem, "exercise": name, "verdict": verdict, "hint": hint}
        rows.append({**row, "seconds": seconds, "error": error})
    return rows


def run_exercises(path: Path, names: list[str], minutes: float, gigabytes: float, jobs: int) -> tuple[dict, str]:
    """({exercise: (verdict, hint)}, what went wrong or '') of a notebook that is run in a folder of its own."""
    verdicts = {}
    with tempfile.TemporaryDirectory(prefix="carvana-grade-", ignore_cleanup_errors=True) as place:
        copy = Path(place) / path.name
        executed = Path(place) / "executed.ipynb"
        try:
            nbformat.write(add_judging_cells(nbformat.read(path, 4), names), copy)
            error = run_limited([copy, executed], Path(place), minutes, gigabytes, jobs)
            if executed.exists():
                verdicts, first_error = read_verdicts(nbformat.read(executed, 4))
                error = error or first_error
        except Exception as broken:  # whatever a file that is no notebook makes of its reader
            error = f"not a notebook: {str(broken).splitlines()[0]}"
    return verdicts, error


def add_judging_cells(notebook, names: list[str]):
    """The notebook with a cell appended for each exercise that judges the answer `my_<name>`, and made to run on.

    An error in one cell must not keep the others from running, so each gets papermill's tag for that. Cells that only
    check are left out: what they say is said again at the end, where the learner's own code cannot print it.
    """
    cells = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        if ONLY_A_CHECK.fullmatch(cell.source):
            continue
        tags = ["raises-exception"]
        if "parameters" in cell.metadata.get("tags", []):
            tags.append("parameters")
        cells.append(nbformat.v4.new_code_cell(cell.source, metadata={"tags": tags, "number": number}))
    for name in names:
        metadata = {"tags": ["raises-exception"], "exercise": name}
        cells.append(nbformat.v4.new_code_cell(JUDGE.format(name), metadata=metadata))
    return nbformat.v4.new_notebook(cells=cells)


def show_verdict(name: str, answer) -> None:
    """Judge an answer and show the verdict as JSON: for the cells that `add_judging_cells` appends."""
    from IPython.display import display

    from carvana_course.exercises import EXERCISES
    from carvana_course.exercises.checks import judge

    verdict = judge(EXERCISES[name], answer)
    display({"application/json": verdict._asdict(), "text/plain": verdict.message}, raw=True)


def read_verdicts(notebook) -> tuple[dict[str, tuple[str, str]], str]:
    """({exercise: (verdict, hint)}, the first error of the learner's own cells) of an executed notebook."""
    verdicts = {}
    first_error = ""
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        errors = [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]
        shown = [output.data["application/json"] for output in outputs if "application/json" in output.get("data", {})]
        name = cell.metadata.get("exercise")
        if not name:
            if errors and not first_error:
                first_error = f"code cell {cell.metadata.get('number')}: {errors[0].splitlines()[0]}"
        elif shown:
            kind = shown[0]["kind"]
            if kind in ("right", "not tried"):
                verdicts[name] = (kind, "")
            else:
                verdicts[name] = ("not yet", shown[0]["message"].removeprefix("not yet. "))
        elif cell.metadata.get("papermill", {}).get("duration"):
            was_interrupted = not errors or errors[0].startswith("KeyboardInterrupt")
            verdicts[name] = ("not yet", f"no end within {JUDGE_SECONDS} seconds" if was_interrupted else errors[0])
    return verdicts, first_error


def run_limited(arguments: list, place: Path, minutes: float, gigabytes: float, jobs: int) -> str:
    """Execute in a process of its own, which is killed with all that it started. Returns what went wrong, or ''."""
    environment = os.environ.copy()
    environment["CARVANA_RUNS"] = str(place / "runs")
    environment["CUDA_VISIBLE_DEVICES"] = ""
    environment["OMP_NUM_THREADS"] = str(max(1, cores() // jobs))
    with open(place / "stderr.txt", "w+") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "carvana_course.upkeep.grading", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=place,
            env=environment,
        )
        if hasattr(psutil, "RLIMIT_DATA"):  # Linux; what the process starts later inherits it
            limit = int(gigabytes * 1e9)
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_DATA, (limit, limit))
        try:
            process.wait(60 * minutes)
        except subprocess.TimeoutExpired:
            kill(process)
            return f"stopped after {minutes:g} minutes"
        if not process.returncode:
            return ""
        stderr.seek(0)
        lines = stderr.read().strip().splitlines()
        return lines[-1] if lines else "the notebook could not be executed"


def kill(process: subprocess.Popen) -> None:
    """End a process and all that it started; a kernel is in a session of its own and would outlive a killed group."""
    parent = psutil.Process(process.pid)
    for running in [*parent.children(recursive=True), parent]:
        try:
            running.kill()
        except psutil.NoSuchProcess:
            pass
    process.wait()


def execute(source: str, target: str) -> None:
    """Run a prepared notebook with papermill; exits with one line where its kernel dies."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    kernel = {"kernel_name": "python3", "language": "python", "extra_arguments": ["--log-level=ERROR"]}

    def seconds_for(cell) -> float | None:
        return JUDGE_SECONDS if "exercise" in cell.metadata else None

    limits = {"timeout_func": seconds_for, "interrupt_on_timeout": True}
    try:
        papermill.execute_notebook(source, target, SHORT, progress_bar=False, **kernel, **limits)
    except papermill.PapermillExecutionError:
        pass  # a cell's error; the executed notebook holds it
    except DeadKernelError:
        sys.exit("the kernel died, most likely for want of memory")


if __name__ == "__main__":
    execute(*sys.argv[1:])
