"""Exercises whose answer is letters: which rows of a table somebody has chosen."""

from functools import partial

from carvana_course.exercises.checks import Exercise


def chosen_letters(answer, letters: str) -> tuple:
    """Of each letter whether an answer has it; the answer is a text or a list, in small or capital letters."""
    given = {str(one).strip().upper() for one in answer}
    return tuple(letter in given for letter in letters)


def all_but(right: str, letters: str, wrong: str) -> str:
    """The answer that is right but for these letters."""
    return "".join(letter for letter in letters if (letter in right) != (letter in wrong))


def choose_letters(name: str, right: str, letters: str, what: str, hints: dict) -> Exercise:
    """The exercise to choose the letters in `right` out of `letters`, each of which stands for a `what`.

    hints: 'A' or 'not A' -> the hint for whoever errs in that letter alone, or another name -> (an answer that makes
    the mistake, its hint); most typical first.
    """
    mistakes = {}
    for mistake, hint in hints.items():
        answer, said = (all_but(right, letters, mistake[-1]), hint) if isinstance(hint, str) else hint
        mistakes[mistake] = (partial(str, answer), said)
    return Exercise(
        name,
        right,
        mistakes,
        observe=lambda answer: chosen_letters(answer(), letters),
        parts=tuple(f"{what} {letter}" for letter in letters),
    )
