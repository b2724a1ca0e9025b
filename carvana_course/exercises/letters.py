"""Answers that are letters: which rows of a table somebody has chosen."""


def chosen_letters(answer, letters: str) -> tuple:
    """Of each letter whether an answer has it; the answer is a text or a list, in small or capital letters."""
    given = {str(one).strip().upper() for one in answer}
    return tuple(letter in given for letter in letters)


def all_but(right: str, letters: str, wrong: str):
    """An answer that is right but for these letters."""
    return lambda: "".join(letter for letter in letters if (letter in right) != (letter in wrong))
