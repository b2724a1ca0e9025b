"""The checks behind the notebooks' exercises and quizzes: `check("iou", my_iou)`, `quiz("leak")`.

One module for each notebook, three for 04, holds its exercises; `checks` runs an answer and finds the hint that fits.
"""

import difflib
import textwrap

from carvana_course.exercises import (
    audit,
    data,
    deployment,
    diagnosis,
    evaluation,
    labels,
    model,
    training,
    transfer,
    tuning,
    validation,
)
from carvana_course.exercises.checks import Exercise, judge
from carvana_course.exercises.questions import QUESTIONS
from carvana_course.exercises.quiz import Quiz
from carvana_lib import ParameterError

__all__ = ["CHAPTERS", "EXERCISES", "QUESTIONS", "check", "quiz"]

CHAPTERS: dict[str, list[Exercise]] = {
    "01_data": [data.LARGEST_CAR, data.MIRROR, data.NORMALISE, data.SHRINK, data.SPLIT],
    "02_model": [
        model.PARAMETERS_8,
        model.PADDED_SIDE,
        model.DECODER_STEP,
        model.DOUBLE_CONV_PARAMETERS,
        model.RECEPTIVE_FIELD,
    ],
    "03_tuning": [tuning.TRIALS_SECONDS, tuning.LEARNING_RATES, tuning.STEP_LR, tuning.BCE, tuning.DICE_LOSS],
    "04_training": [
        validation.VALIDATE,
        training.CLIP,
        training.TRAIN_STEP,
        training.BEST_EPOCH,
        diagnosis.DIAGNOSE,
    ],
    "05_evaluation": [evaluation.SHARE_ABOVE, evaluation.MICRO_IOU, evaluation.IOU, evaluation.BOOTSTRAP],
    "06_deployment": [deployment.ALPHA, deployment.PREDICT_PADDED, deployment.RLE],
    "07_transfer": [transfer.MATCH_WEIGHTS, transfer.TWO_RATES, transfer.WHICH_TO_BELIEVE],
    "08_audit": [audit.IMPOSSIBLE_COUNTS, audit.SEEDS_NEEDED, audit.JUDGE_GAIN],
    "09_labels": [labels.ADDED_REMOVED, labels.LEAST_SURE, labels.ENOUGH_LABELS],
}
EXERCISES = {exercise.name: exercise for chapter in CHAPTERS.values() for exercise in chapter}


def find(kind: str, name: str, known: dict):
    """Look up a name. Raises ParameterError with the closest one where there is none."""
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0)
        raise ParameterError(f"there is no {kind} '{name}'; did you mean '{close[0]}'?")
    return known[name]


def check(name: str, answer) -> None:
    """Run the answer to the exercise of this name on cases it has not seen, and print what became of it, with a hint.

    An answer that is still `...` is "not tried yet"; whatever it raises becomes a hint. Raises ParameterError only for
    a name that no exercise has.
    """
    said = f"{name}: {judge(find('exercise', name, EXERCISES), answer).message}"
    print(textwrap.fill(said, 110, break_long_words=False, break_on_hyphens=False))  # JupyterLab breaks within words


def quiz(name: str) -> Quiz:
    """The question of this name, to show as the last line of a cell. Raises ParameterError for a name that has none."""
    return find("quiz", name, QUESTIONS)
