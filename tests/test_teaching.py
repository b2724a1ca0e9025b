"""What teachers rely on: glossaries that agree, plans that name what exists, and grades that say what happened."""

import re
import subprocess
import sys
import time

import nbformat
import pandas as pd
import psutil
import pytest
from conftest import ROOT

from carvana_course.exercises import CHAPTERS, EXERCISES, QUESTIONS
from carvana_course.upkeep import grading
from carvana_lib import DataError

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
ENTRY = re.compile(r'^<a id="([\w-]+)"></a>\*\*(.+?)\.\*\* (.+)$', re.M)
GLOSSARY, GLOSSARY_RU = (
    ENTRY.findall((ROOT / "docs" / name).read_text("utf8")) for name in ("glossary.md", "glossary.ru.md")
)
TEACHING = (ROOT / "TEACHING.md").read_text("utf8")
PLANS = {name: TEACHING.split(f"## {name}\n")[1].split("\n## ")[0] for name in ("Ninety minutes", "A day", "A week")}


def test_both_glossaries_have_the_same_entries_in_the_same_order():
    anchors = [anchor for anchor, _, _ in GLOSSARY]
    assert len(anchors) > 50 and len(set(anchors)) == len(anchors)
    assert anchors == [anchor for anchor, _, _ in GLOSSARY_RU]
    names = [name.strip("`").lower() for _, name, _ in GLOSSARY]
    assert names == sorted(names)


@pytest.mark.parametrize("entries", [GLOSSARY, GLOSSARY_RU], ids=["en", "ru"])
def test_an_entry_has_one_to_three_sentences(entries):
    for anchor, _, text in entries:
        text = re.sub(r" \(\[\d\]\(.*?\)\)$", "", text)
        assert 1 <= len(re.findall(r"[.?!](?= |$)", text)) <= 3 and 8 <= len(text.split()) <= 60, anchor


def test_entries_point_to_the_same_notebooks_in_both_languages():
    assert [re.findall(r"\d\d_\w+", text) for *_, text in GLOSSARY] == [
        re.findall(r"\d\d_\w+", text) for *_, text in GLOSSARY_RU
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_term_is_linked_where_a_notebook_first_uses_it(path):
    text = "\n\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    text = re.split(r"^## Exercises", text, flags=re.M)[0]
    text = re.sub(r"`[^`\n]*`|^#[^\n]*$|<details>.*?</details>|```.*?```", "", text, flags=re.S | re.M)
    linked = {
        anchor: place.start()
        for place in re.finditer(r"\]\(\.\./docs/glossary\.md#([\w-]+)\)", text)
        for anchor in [place[1]]
    }
    assert set(linked) <= {anchor for anchor, _, _ in GLOSSARY}
    bare = re.sub(r"\[[^\]]*\]\([^)\s]*\)", lambda match: " " * len(match[0]), text)
    late = []
    for anchor, name, _ in GLOSSARY:
        name = re.escape(re.sub(r" \(.*|[`]", "", name))
        name = re.sub(r"^[A-Z](?=[a-z])", lambda match: f"[{match[0]}{match[0].lower()}]", name)
        used = re.search(rf"(?<![\w-])(?<!oundary ){name}s?(?![\w-]| browser| Runtime)", bare)
        if used and linked.get(anchor, len(text)) > used.start():
            late.append((anchor, bare[max(0, used.start() - 30) : used.end() + 10]))
    assert not late


def test_plans_name_exercises_and_quizzes_that_exist():
    names = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*\|$", TEACHING, re.M))))
    columns = {*grading.GRADE_COLUMNS, "right"}
    assert names - columns <= set(EXERCISES)
    quizzes = set(re.findall(r'quiz "([\w ]+)"', TEACHING))
    assert quizzes and quizzes <= set(QUESTIONS)


def test_the_week_has_every_exercise_in_the_notebooks_order():
    planned = [
        name for row in re.findall(r"^\| \d .*\|$", PLANS["A week"], re.M) for name in re.findall(r"`(\w+)`", row)
    ]
    assert [name for name in planned if name in EXERCISES] == [
        one.name for chapter in CHAPTERS.values() for one in chapter
    ]


@pytest.mark.parametrize("plan, minutes", [("Ninety minutes", 90), ("A day", 390)])
def test_a_plan_fills_its_time(plan, minutes):
    assert sum(map(int, re.findall(r"^\| (\d+) \|", PLANS[plan], re.M))) == minutes


LABELS = {"one line": 2, "five minutes": 5, "ten minutes": 10, "fifteen minutes": 15, "twenty minutes": 20,
          "half an hour": 30}  # fmt: skip
STATED = {
    "half an hour": 30,
    "three quarters of an hour": 45,
    "an hour": 60,
    "an hour and a quarter": 75,
    "an hour and a half": 90,
}
HOURS = {  # as the tables in both READMEs say it
    "¾ h": 45,
    "1 h": 60,
    "1¼ h": 75,
    "1½ h": 90,
    "45 мин": 45,
    "1 ч": 60,
    "1 ч 15 мин": 75,
    "1 ч 30 мин": 90,
}
TEXTS = {path.stem: "\n\n".join(cell.source for cell in nbformat.read(path, 4).cells) for path in NOTEBOOKS}
MINUTES = {
    name: LABELS[label] for text in TEXTS.values() for name, label in re.findall(r"^### (\w+) · ([\w ]+)$", text, re.M)
}
READING = {stem: int(re.search(r"\*\*Time\*\* (\d+) minutes to read", text)[1]) for stem, text in TEXTS.items()}


def test_every_exercise_says_how_long_it_takes():
    assert set(MINUTES) == set(EXERCISES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_takes_as_long_as_it_says(path):
    stated = re.search(r"about ((?:half |three quarters of )?an hour[\w ]*?) with the exercises", TEXTS[path.stem])
    needed = READING[path.stem] + sum(MINUTES[exercise.name] for exercise in CHAPTERS[path.stem])
    assert stated and abs(STATED[stated[1]] - needed) <= 10, f"{needed} minutes"


def test_the_readmes_say_how_long_a_chapter_takes():
    stated = [STATED[re.search(r"about ([\w ]*hour[\w ]*?) with the exercises", text)[1]] for text in TEXTS.values()]
    assert (min(stated), max(stated)) == (45, 90)
    for name, words in (
        ("README.md", "three quarters of an hour to an hour and a half"),
        ("README.ru.md", "от сорока пяти минут до полутора часов"),
    ):
        text = (ROOT / name).read_text("utf8")
        assert words in text
        rows = re.findall(r"^\| \[\d · [^|]*notebooks/(\w+)\.ipynb\) \| (\d+) \| ([^|]+) \|", text, re.M)
        assert [(stem, int(minutes)) for stem, minutes, _ in rows] == list(READING.items())
        assert [HOURS[hours] for _, _, hours in rows] == stated


@pytest.mark.parametrize("plan", PLANS)
def test_a_row_has_time_for_its_exercises_and_for_the_notebook_it_reads(plan):
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PLANS[plan], re.M)
    assert rows
    for minutes, row in rows:
        needed = sum(MINUTES[name] for name in re.findall(r"`(\w+)`", row) if name in MINUTES)
        needed += sum(READING[stem] for stem in re.findall(r"notebooks/(\w+)\.ipynb\)", row))
        if plan == "A week":  # its numbers are days of three hours
            minutes = 180
        elif not re.search(r"\.ipynb\)", row):  # a part of a notebook: as much time to talk as to write
            needed *= 2
        assert needed <= int(minutes), row


def test_the_day_and_the_week_have_every_notebook():
    for plan in ("A day", "A week"):
        assert set(re.findall(r"notebooks/(\w+)\.ipynb\)", PLANS[plan])) == set(CHAPTERS), plan


def submit(path, *sources):
    """A notebook with these cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]), path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """(folder, CSV, table) of three students: mixed answers, a file that is no notebook, a dead kernel."""
    folder = tmp_path_factory.mktemp("submissions")
    submit(
        folder / "anna" / "01_data.ipynb",
        "import numpy as np\nfrom carvana_course.exercises import check",
        "check(undefined)\n1 / 0",
        "hoard = np.ones(2_000_000_000)",
        "def my_mirror(photo, mask):\n    return photo[:, ::-1], mask[:, ::-1]",
        'check("mirror", my_mirror)',
        "def my_largest_car(table):\n    return table.groupby('car_id')['area'].mean().idxmax()",
        "def my_shrink(mask, factor):\n    return 1 / 0",
        'print("normalise: right")',
        "open('note.txt', 'w').write('mine')",
    )
    (folder / "ben").mkdir()
    (folder / "ben" / "02_model.ipynb").write_text("{this is no notebook")
    submit(folder / "03_tuning-cleo.ipynb", "import os\nos._exit(3)")
    submit(folder / "anna" / ".ipynb_checkpoints" / "01_data.ipynb", "1 / 0")
    out = folder / "grades.csv"
    return folder, out, grading.grade(folder, out, minutes=5, gigabytes=5)


def verdicts(table, student: str) -> dict:
    return table[table["student"] == student].set_index("exercise")["verdict"].to_dict()


def test_answers_are_judged_one_by_one(graded):
    folder, out, table = graded
    assert list(table.columns) == grading.GRADE_COLUMNS and set(table["student"]) == {"anna", "ben", "cleo"}
    assert verdicts(table, "anna") == {
        "largest_car": "not yet",
        "find_leaks": "not tried",
        "mirror": "right",
        "normalise": "not tried",  # though the notebook prints that it is right
        "shrink": "not yet",
        "split": "not tried",
    }
    hints = table.set_index(["student", "exercise"])["hint"]
    assert "largest mean" in hints["anna", "largest_car"] and "ZeroDivisionError" in hints["anna", "shrink"]
    assert pd.read_csv(out)["verdict"].tolist() == table["verdict"].tolist()


def test_a_crash_is_told_and_stops_nobody_else(graded):
    _, _, table = graded
    errors = table.drop_duplicates("student").set_index("student")["error"]
    assert errors["anna"] == "code cell 2: NameError: name 'undefined' is not defined"
    assert errors["ben"].startswith("not a notebook") and "kernel died" in errors["cleo"]
    assert set(verdicts(table, "ben").values()) == set(verdicts(table, "cleo").values()) == {"not run"}
    assert list(verdicts(table, "cleo")) == [exercise.name for exercise in CHAPTERS["03_tuning"]]


def test_a_submission_leaves_nothing_behind(graded):
    folder, _, _ = graded
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "01_data.ipynb", "01_data.ipynb", "02_model.ipynb", "03_tuning-cleo.ipynb", "grades.csv",
    ]  # fmt: skip


def test_only_what_is_new_or_was_not_run_is_run_again(graded, monkeypatch):
    folder, out, table = graded
    run = []
    monkeypatch.setattr(grading, "grade_one", lambda path, *limits: run.append(path.name) or [
        {"notebook": path.stem, "exercise": "x", "verdict": "right", "hint": "", "seconds": 1, "error": ""}
    ])  # fmt: skip
    again = grading.grade(folder, out.with_name("copy.csv"))
    assert len(run) == 3
    run.clear()
    again = grading.grade(folder, out)
    assert run == ["03_tuning-cleo.ipynb", "02_model.ipynb"] and verdicts(again, "anna") == verdicts(table, "anna")


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_DATA"), reason="memory is limited on Linux only")
def test_memory_is_limited(tmp_path):
    submit(tmp_path / "a.ipynb", "hoard = bytearray(3_000_000_000)")
    assert grading.run_limited([tmp_path / "a.ipynb", tmp_path / "b.ipynb"], tmp_path, 2, 2, 1) == ""
    (error,) = [output.ename for output in nbformat.read(tmp_path / "b.ipynb", 4).cells[-1].outputs]
    assert error == "MemoryError"


def test_a_notebook_that_takes_too_long_is_stopped(tmp_path):
    submit(tmp_path / "01_data.ipynb", "while True: pass")
    start = time.monotonic()
    rows = grading.grade_one(tmp_path / "01_data.ipynb", minutes=0.1, gigabytes=5)
    assert time.monotonic() - start < 60 and {row["error"] for row in rows} == {"stopped after 0.1 minutes"}
    assert {row["verdict"] for row in rows} == {"not run"}


def test_what_a_notebook_started_ends_with_it():
    child = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], start_new_session=True); print(p.pid, flush=True); p.wait()"  # noqa: E501
    process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
    with process.stdout:
        straggler = psutil.Process(int(process.stdout.readline()))
    grading.kill(process)
    assert process.poll() is not None
    straggler.wait(10)
    assert not straggler.is_running()


def test_an_answer_without_end_is_told_from_one_that_raises():
    def judged(name, outputs, duration):
        return nbformat.v4.new_code_cell(
            "", metadata={"exercise": name, "papermill": {"duration": duration}}, outputs=outputs
        )

    interrupt, system = (
        nbformat.v4.new_output("error", ename=name, evalue="", traceback=[])
        for name in ("KeyboardInterrupt", "SystemExit")
    )
    cells = [
        judged("mirror", [interrupt], 60.1),
        judged("shrink", [], 60.1),
        judged("split", [system], 0.1),
        judged("normalise", [], None),
    ]
    found, first = grading.read_verdicts(nbformat.v4.new_notebook(cells=cells))
    assert found["mirror"] == found["shrink"] == ("not yet", "no end within 60 seconds")
    assert found["split"] == ("not yet", "SystemExit: ") and "normalise" not in found and first == ""


def test_students_are_found_in_folders_and_in_names(tmp_path):
    for name in (
        "anna/01_data.ipynb",
        "2024/ben/01_data.ipynb",
        "01_data-cleo.ipynb",
        "02_model dora (1).ipynb",
        "03_tuning.ipynb",
    ):
        submit(tmp_path / name, "")
    found = {path.relative_to(tmp_path).as_posix(): student for student, path in grading.find_submissions(tmp_path)}
    assert list(found.values()) == ["cleo", "dora (1)", tmp_path.name, "2024/ben", "anna"]


def test_a_folder_without_submissions_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no submission"):
        grading.grade(tmp_path, tmp_path / "grades.csv")
    assert not (tmp_path / "grades.csv").exists()


def test_what_is_no_table_of_grades_is_refused_and_left(tmp_path):
    submit(tmp_path / "01_data-cleo.ipynb", "")
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    for out in (tmp_path, tmp_path / "empty.csv", tmp_path / "notes.csv"):
        with pytest.raises(DataError, match="is no table of grades and is left as it is; name another file"):
            grading.grade(tmp_path, out)
    assert (tmp_path / "notes.csv").read_text() == "a,b\n1,2\n"
