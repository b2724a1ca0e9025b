"""A question with instant feedback: buttons where a person reads, a folded answer on a static page."""

import html

import ipywidgets as W

from carvana_course.show.live import Live

TEXT = "<div style='line-height:1.4'{}>{}</div>"  # ipywidgets' own lines stand far apart


class Quiz(Live):
    """One question, some answers, and what to say to each. Show it as the last line of a cell.

    options: answer -> what to say to whoever chooses it; right: the option that is right.
    Raises ValueError for a `right` that is no option.
    """

    def __init__(self, question: str, options: dict[str, str], right: str):
        if right not in options:
            raise ValueError(f"'{right}' is none of the options {list(options)}")
        self.question = question
        self.options = options
        self.right = right
        self.controls = None

    def __repr__(self):
        return "\n".join([f"Quiz: {self.question}", *(f"  ( ) {option}" for option in self.options)])

    def _repr_html_(self):
        """The options, and folded below them, in the same order, what to say to each; site.js makes buttons of it."""
        options = "".join(f"<li>{html.escape(option)}</li>" for option in self.options)
        answers = "".join(f"<li>{self.explain(option)}</li>" for option in self.options)
        return (
            f"<div class='carvana-quiz'><p><b>Quiz.</b> {html.escape(self.question)}</p><ul>{options}</ul>"
            f"<details><summary>Answer</summary><ul>{answers}</ul></details></div>"
        )

    def explain(self, option: str) -> str:
        """An option and what to say to it, as HTML; the right one in bold."""
        name = html.escape(option)
        if option == self.right:
            name = f"<b>{name}</b>"
        return f"{name}: <span>{html.escape(self.verdict(option))}</span>"

    def verdict(self, option: str) -> str:
        """'✓ Right.' or '✗ No.', and why."""
        word = "✓ Right." if option == self.right else "✗ No."
        return f"{word} {self.options[option]}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, {}

    @property
    def widget(self):
        """The widget itself, made when it is first asked for."""
        if self.controls is None:
            question = W.HTML(TEXT.format("", f"<b>Quiz.</b> {html.escape(self.question)}"))
            self.choice = W.RadioButtons(options=list(self.options), value=None, layout={"width": "max-content"})
            self.feedback = W.HTML(TEXT.format(" role='status'", ""))
            self.choice.observe(lambda change: self.answer(change.new), "value")
            self.controls = W.VBox([question, self.choice, self.feedback])
        return self.controls

    def answer(self, option: str | None):
        """Say whether the option is right, and why."""
        if option is not None:
            self.feedback.value = TEXT.format(" role='status'", html.escape(self.verdict(option)))
