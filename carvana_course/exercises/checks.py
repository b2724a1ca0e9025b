"""How an exercise is checked: the learner's answer, the right one and typical wrong ones, all run on the same cases.

A wrong answer is recognised by what it computes, not by how it is written: a mistake is a function that makes it, and
the learner who gets what that function gets has made the same one.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch


class Unanswered(Exception):
    """The answer is still `...`."""


class NothingReturned(Exception):
    """The answer is None."""


class Verdict(NamedTuple):
    """kind: 'right', 'not tried', the name of a mistake, or 'raised', 'nothing', 'shape', 'type', 'differs'."""

    kind: str
    message: str


def call(answer, *arguments):
    """What an exercise compares unless it says otherwise: the value that the answer returns."""
    return answer(*arguments)


@dataclass(frozen=True)
class Exercise:
    """A task that can check an answer to itself.

    answer: a function that is right, or the right value.
    cases: name of a case -> arguments of the function; every call gets a copy of its own. A value has no arguments.
    mistakes: name -> (a function that makes this mistake, the hint for whoever makes it), most typical first.
    observe: observe(function, *arguments) -> what is compared, where that is more than the returned value: a
        gradient, the weights after a step.
    tolerance: relative, for numbers that are not integers.
    parts: what each part of the observed tuple is, for a sentence about the first one that is wrong.
    """

    name: str
    answer: object
    mistakes: dict[str, tuple[Callable, str]]
    cases: dict[str, tuple] = field(default_factory=lambda: {"the answer": ()})
    observe: Callable = call
    tolerance: float = 1e-4
    parts: tuple[str, ...] = ()


def judge(exercise: Exercise, answer) -> Verdict:
    """Run an answer on all cases and say what became of it. Never raises what the answer raises."""
    got = outcomes(exercise, answer)
    expected = outcomes(exercise, exercise.answer)
    if any(isinstance(outcome, Unanswered) for outcome in got.values()):
        return Verdict("not tried", "not tried yet")
    wrong = {case for case in got if not agree(got[case], expected[case], exercise.tolerance)}
    if not wrong:
        return Verdict("right", "right" if len(got) == 1 else f"right, on all {len(got)} cases")
    name, explains_all = closest_mistake(exercise, got, expected, wrong)
    if name:
        also = "" if explains_all else " (This explains some of the differences, not all.)"
        return Verdict(name, f"not yet. {exercise.mistakes[name][1]}{also}")
    first = next(case for case in got if case in wrong)
    kind, sentence = describe(got[first], expected[first], exercise.tolerance, exercise.parts)
    return Verdict(kind, f"not yet. In the case '{first}' {sentence}")


def outcomes(exercise: Exercise, answer) -> dict:
    """Name of each case -> what is observed of the answer there, or the exception that it raised."""

    def ask(*arguments):
        value = answer(*arguments) if callable(answer) else answer
        if value is ... or value is NotImplemented:
            raise Unanswered
        if value is None:
            raise NothingReturned
        return value

    found = {}
    with torch.random.fork_rng(devices=[]), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case, arguments in exercise.cases.items():
            torch.manual_seed(0)
            try:
                found[case] = exercise.observe(ask, *copy.deepcopy(arguments))
            except Exception as error:  # whatever a learner's function raises is an answer too
                found[case] = error
    return found


def closest_mistake(exercise: Exercise, got: dict, expected: dict, wrong: set) -> tuple[str, bool]:
    """(the mistake that explains at least half of the wrong cases, or ''; does it explain all that is wrong?).

    Two mistakes at once look like neither. So where none fits as a whole, the first part of what is observed decides,
    the loss or the score; of mistakes that agree there, the one that agrees in most of the other parts.
    """
    tolerance = exercise.tolerance
    first_part_wrong = [case for case in wrong if agreeing_parts(got[case], expected[case], tolerance)[:1] == [False]]
    whole = {"": (0, 0)}  # mistake -> (wrong cases that agree with it, all cases that do)
    partly = {"": (0, 0)}  # mistake -> (wrong cases whose first part agrees with it, all parts of theirs that do)
    for name, (mistake, _) in exercise.mistakes.items():
        made = outcomes(exercise, mistake)
        same = {case for case in got if agree(got[case], made[case], tolerance)}
        whole[name] = (len(same & wrong), len(same))
        parts = {case: agreeing_parts(got[case], made[case], tolerance) for case in wrong}
        first_parts = [case for case in first_part_wrong if parts[case][:1] == [True]]
        partly[name] = (len(first_parts), sum(agreeing.count(True) for agreeing in parts.values()))
    for fits in (whole, partly):
        best = max(fits, key=fits.get)
        explained = fits[best][0]
        if explained and 2 * explained >= len(wrong):
            return best, fits is whole and explained == len(wrong)
    return "", False


def agreeing_parts(got, expected, tolerance: float) -> list[bool]:
    """Which parts of two tuples of one length agree; of anything else, none."""
    if not (isinstance(got, tuple | list) and isinstance(expected, tuple) and len(got) == len(expected)):
        return []
    return [agree(a, b, tolerance) for a, b in zip(got, expected, strict=True)]


def as_array(value) -> np.ndarray:
    """A tensor, Series, list, number or text as an array."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return value.float().numpy() if value.is_floating_point() else value.numpy()
    if isinstance(value, tuple | list) and any(isinstance(item, torch.Tensor) for item in value):
        value = [as_array(item) for item in value]
    try:
        return np.asarray(value)
    except ValueError:  # lists of different lengths: no array
        return np.fromiter([value], object).reshape(())


def is_number(array: np.ndarray) -> bool:
    """True for booleans, integers and floats."""
    return array.dtype.kind in "biuf"


def same_values(got: np.ndarray, expected: np.ndarray, tolerance: float) -> np.ndarray:
    """Element by element, for two arrays of one shape; integers must be exact."""
    if not is_number(expected):
        return np.asarray(got == expected)
    relative = tolerance if expected.dtype.kind == "f" else 0
    return np.isclose(got.astype(float), expected.astype(float), rtol=relative, atol=1e-6, equal_nan=True)


def agree(got, expected, tolerance: float) -> bool:
    """Equal up to rounding, whether NumPy, torch or plain Python; exceptions agree where their types do."""
    if isinstance(got, Exception) or isinstance(expected, Exception):
        return type(got) is type(expected)
    if isinstance(expected, tuple):
        parts = agreeing_parts(got, expected, tolerance)
        return len(parts) == len(expected) and all(parts)
    got = as_array(got)
    expected = as_array(expected)
    if got.shape != expected.shape or is_number(got) != is_number(expected):
        return False
    return bool(same_values(got, expected, tolerance).all())


def describe(got, expected, tolerance: float, names: tuple[str, ...] = ()) -> tuple[str, str]:
    """(kind, a sentence) on how an outcome differs from the right one: what it is first, then its numbers.

    names: those of a tuple's parts; the sentence is about the first part that differs.
    """
    if isinstance(got, NothingReturned):
        return "nothing", "the function gave None; does every path through it end in `return`?"
    if isinstance(got, Exception):
        return "raised", f"it raised {type(got).__name__}: {str(got).strip().rstrip('.')}."
    if isinstance(expected, tuple):
        if not isinstance(got, tuple | list):
            return "type", f"{len(expected)} values were expected, not one {type(got).__name__}."
        if len(got) != len(expected):
            return "type", f"{len(expected)} values were expected, and {len(got)} came."
        first = agreeing_parts(got, expected, tolerance).index(False)
        kind, sentence = describe(got[first], expected[first], tolerance)
        return kind, f"look at {names[first]}: {sentence}" if names else sentence
    got = as_array(got)
    expected = as_array(expected)
    if got.shape != expected.shape:
        return "shape", f"the shape should be {expected.shape} and is {got.shape}."
    if is_number(got) != is_number(expected):
        return "type", f"expected {expected.dtype.name} and got {got.dtype.name}."
    if not got.ndim:
        return "differs", f"expected {expected.item()!r} and got {got.item()!r}."
    places = np.argwhere(~same_values(got, expected, tolerance))
    at = tuple(places[0].tolist())
    where = f"{len(places)} of {got.size} values differ; the first, at {list(at)},"
    return "differs", f"{where} should be {expected[at].item()!r} and is {got[at].item()!r}."
