"""A slider for an idea: a person moves it in JupyterLab; elsewhere a still shows some of its values side by side."""

import base64
import html

import ipywidgets as W

from carvana_course.show.live import Live


class Slider(Live):
    """Values to choose from, and the picture of the chosen one. Show it as the last line of a cell.

    name: what the values are, such as 'threshold'; values: all of them, in order.
    draw: draw(*values) -> an IPython image in JPEG with its `alt`, of one value or of several side by side.
    first: the value that is shown at first; still: the values of the still.
    Raises ValueError for a `first` that is not one of the values.
    """

    def __init__(self, name: str, values, draw, first, still):
        if first not in values:
            raise ValueError(f"{first} is not one of the values {list(values)}")
        self.name = name
        self.values = list(values)
        self.draw = draw
        self.first = first
        self.still = still
        self.drawn = {}  # value -> its picture as HTML, so that going back costs nothing
        self.controls = None

    def __repr__(self):
        return f"Slider: {self.name} from {self.values[0]:g} to {self.values[-1]:g}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        picture = self.draw(*self.still)
        data = {"text/plain": repr(self), "image/jpeg": base64.b64encode(picture.data).decode()}
        return data, {"image/jpeg": {"alt": picture.alt}}

    @property
    def widget(self):
        """The widget itself, made when it is first asked for."""
        if self.controls is None:
            options = [(f"{value:g}", value) for value in self.values]
            style = {"description_width": "initial"}
            layout = {"width": "480px"}
            self.slider = W.SelectionSlider(
                options=options, value=self.first, description=self.name, style=style, layout=layout
            )
            self.picture = W.HTML()
            self.slider.observe(lambda change: self.show(change.new), "value")
            self.show(self.first)
            self.controls = W.VBox([self.slider, self.picture])
        return self.controls

    def show(self, value):
        """Show the picture of a value."""
        if value not in self.drawn:
            picture = self.draw(value)
            content = base64.b64encode(picture.data).decode()
            alt = html.escape(picture.alt, quote=True)
            self.drawn[value] = f"<div role='status'><img alt='{alt}' src='data:image/jpeg;base64,{content}'></div>"
        self.picture.value = self.drawn[value]
