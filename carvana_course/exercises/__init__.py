"""The checks behind the notebooks' exercises and quizzes: `check("iou", my_iou)`, `quiz("leak")`.

One module for each notebook, two for 01 and 05, three for 04, holds its exercises; `checks` runs an answer and finds
the hint that fits.
"""

import difflib
import html
import textwrap

from IPython.display import display

from carvana_course.exercises import (
    audit,
    data,
    deployment,
    diagnosis,
    evaluation,
    failures,
    labels,
    leaks,
    model,
    training,
    transfer,
    tuning,
    validation,
)
from carvana_course.exercises.checks import Exercise, Verdict, judge
from carvana_course.exercises.progress import Progress, remember
from carvana_course.exercises.questions import QUESTIONS
from carvana_course.exercises.quiz import Quiz
from carvana_course.show.figures import BLUE, RED
from carvana_lib import ParameterError

__all__ = ["CHAPTERS", "EXERCISES", "QUESTIONS", "check", "exercises_done", "quiz"]

LOOKS = {"right": ("✓", BLUE), "not tried": ("○", "#808080"), "wrong": ("✗", RED)}  # sign and colour of a verdict

CHAPTERS: dict[str, list[Exercise]] = {
    "01_data": [data.LARGEST_CAR, leaks.FIND_LEAKS, data.SPLIT, data.SHRINK, data.MIRROR, data.NORMALISE],
    "02_model": [
        model.DECODER_STEP,
        model.PADDED_SIDE,
        model.PARAMETERS_8,
        model.DOUBLE_CONV_PARAMETERS,
        model.RECEPTIVE_FIELD,
        model.WHAT_FOLLOWS,
    ],
    "03_tuning": [
        tuning.BCE,
        tuning.DICE_LOSS,
        tuning.LEARNING_RATES,
        tuning.READ_RANGE_TESTS,
        tuning.STEP_LR,
    ],
    "04_training": [
        validation.VALIDATE,
        training.CLIP,
        training.TRAIN_STEP,
        training.BEST_EPOCH,
        diagnosis.DIAGNOSE,
    ],
    "05_evaluation": [
        evaluation.IOU,
        evaluation.SHARE_ABOVE,
        failures.MAIN_CAUSE,
        evaluation.MICRO_IOU,
        evaluation.BOOTSTRAP,
    ],
    "06_deployment": [deployment.PREDICT_PADDED, deployment.ALPHA, deployment.RLE, deployment.WHICH_TO_SHIP],
    "07_transfer": [transfer.MATCH_WEIGHTS, transfer.TWO_RATES, transfer.WHICH_TO_BELIEVE],
    "08_audit": [audit.IMPOSSIBLE_COUNTS, audit.SEEDS_NEEDED, audit.JUDGE_GAIN],
    "09_labels": [labels.LEAST_SURE, labels.ADDED_REMOVED, labels.WHICH_TO_TRUST, labels.ENOUGH_LABELS],
}
EXERCISES = {exercise.name: exercise for chapter in CHAPTERS.values() for exercise in chapter}


def find(kind: str, name: str, known: dict):
    """Look up a name. Raises ParameterError with the closest one where there is none."""
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise ParameterError(f"there is no {kind} '{name}'; did you mean '{close[0]}'?")
    return known[name]


class Feedback:
    """What became of an answer: a sentence that begins with a sign, beside a line in a colour."""

    def __init__(self, name: str, verdict: Verdict):
        self.sign, self.colour = LOOKS.get(verdict.kind, LOOKS["wrong"])
        self.said = f"{name}: {verdict.message}"

    def __repr__(self):
        text = f"{self.sign} {self.said}"  # filled here, since JupyterLab breaks within words
        return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)

    def _repr_html_(self):
        return (
            f"<div role='status' style='border-left:4px solid {self.colour};padding:2px 8px;max-width:60em'>"
            f"<b>{self.sign}</b> {html.escape(self.said)}</div>"
        )


def check(name: str, answer) -> None:
    """Run the answer to the exercise of this name on cases it has not seen, and show what became of it, with a hint.
    One that is right is kept, and counts in `exercises_done()`.

    An answer that is still `...` is "not tried yet"; whatever it raises becomes a hint. Raises ParameterError only for
    a name that no exercise has.
    """
    verdict = judge(find("exercise", name, EXERCISES), answer)
    if verdict.kind == "right":
        remember(name)
    display(Feedback(name, verdict))


def exercises_done() -> Progress:
    """How many exercises of each chapter, and of the course, have been right once."""
    return Progress({chapter: [exercise.name for exercise in exercises] for chapter, exercises in CHAPTERS.items()})


def quiz(name: str) -> Quiz:
    """The question of this name, to show as the last line of a cell. Raises ParameterError for a name that has none."""
    return find("quiz", name, QUESTIONS)
