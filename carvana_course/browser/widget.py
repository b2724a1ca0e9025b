"""The mask browser's widget: what happens when a person presses, chooses or types.

`MaskBrowser` as the last line of a cell is a widget where a person watches, and a strip of pictures elsewhere
(papermill, nbconvert, a saved notebook on the web). What a picture looks like is decided in `layers.py`.
"""

import base64
import html
import importlib.util

import numpy as np

from carvana_course.browser import layers
from carvana_course.browser.ahead import Ahead
from carvana_course.browser.album import ALL, LARGE_IS_BAD, NONE, TABLE_ORDER, Album
from carvana_course.browser.drawing import Drawing
from carvana_course.browser.ordering import arrange, find_cars
from carvana_course.show.live import Live
from carvana_lib import RunError
from carvana_lib.device import is_live

MISSING = "the mask browser needs the package anywidget: 'pip install anywidget', then reload the page"


class MaskBrowser(Album, Live):
    """An album to look through; takes what `Album` takes. Show it as the last line of a cell."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.position = int(self.order[0])  # of the shown picture in the table; None where none passes the filters
        self.controls = None
        self.correcting = None
        self.drawing = Drawing(self)
        self.ahead = Ahead(self)

    def __repr__(self):
        return f"MaskBrowser of {len(self.table)} pictures"

    def _repr_mimebundle_(self, include=None, exclude=None):
        strip = self.strip()
        data = {"text/plain": repr(self), "image/jpeg": base64.b64encode(strip.data).decode()}
        return data, {"image/jpeg": {"alt": strip.alt}}

    def _ipython_display_(self):
        if is_live() and importlib.util.find_spec("anywidget") is None:
            print(MISSING)
            raise NotImplementedError  # which leaves the strip
        super()._ipython_display_()

    @property
    def widget(self):
        """The widget itself, made when it is first asked for; to put into a layout of your own.

        Raises RunError without the package anywidget, which the strip of pictures does not need.
        """
        if self.controls is None:
            try:
                from carvana_course.browser.controls import Controls
                from carvana_course.browser.correcting import Correcting
            except ImportError as error:
                raise RunError(MISSING) from error
            self.correcting = Correcting(self)
            self.controls = Controls(self, self.hear)
            self.ahead.open()
            self.connect()
            self.show_status()
            self.show(self.position)
        return self.controls.page

    def connect(self):
        """Say what each control does."""
        c = self.controls
        on_change = c.on_change
        c.previous.on_click(lambda _: self.step(-1))
        c.next.on_click(lambda _: self.step(1))
        c.next_hit.on_click(lambda _: self.find_car(again=True))
        c.save.on_click(lambda _: self.save_marks())
        c.accept.on_click(self.correcting.accept)
        c.correct.on_click(self.correcting.open)
        on_change(self.show_number, c.number)
        on_change(self.show, c.view, c.view_slider)
        on_change(self.show_view, c.play)
        on_change(lambda _: self.find_car(), c.car)
        on_change(lambda _: self.draw(), c.layer, c.beside, c.opacity, c.threshold)
        on_change(lambda column: c.update(largest={"value": column in LARGE_IS_BAD}), c.sort)
        filters = (c.sort, c.largest, c.only_view, c.only_make, c.below, c.only_marked, c.to_do)
        on_change(lambda _: self.reorder(), *filters)
        on_change(lambda _: self.mark(), c.mark, c.note)

    def close(self):
        """Take it off the page; give back its thread and its widgets, which ipywidgets would keep."""
        if self.controls is not None:
            self.ahead.close()
            self.controls.close()
            self.controls = None

    def hear(self, kind: str, value) -> None:
        """Do what a person asks for in the viewer, by a key or with the mouse."""
        c = self.controls
        if kind == "again":
            self.find_car(again=True)
        elif kind == "layer" and value <= len(self.layers):
            c.layer.value = self.layers[value - 1]
        elif self.position is None:
            return
        elif kind == "step":
            self.step(value)
        elif kind == "turn":
            self.show_view(c.play.value + value)
        elif kind == "go" and value in self.order:
            self.show(value)
        elif kind == "mark":
            c.mark.value = not c.mark.value
        elif kind == "spin":
            c.spin.value = not c.spin.value
        elif kind == "beside":
            c.beside.value = next(name for name in self.layers if name != c.layer.value)
        elif kind == "larger":
            self.ahead.send_larger(value)
        elif kind == "thumbnails":
            self.ahead.send_thumbnails(value)

    def find_car(self, again: bool = False):
        """Show the first car that is found, or the one after that, from the same side where there is such a view."""
        c = self.controls
        hits = find_cars(self.table, self.order, c.car.value)
        c.next_hit.disabled = len(hits) < 2
        message = ""
        if hits:
            current = self.table.loc[self.position]
            number = 0
            if again and current["car_id"] in hits:
                number = (hits.index(current["car_id"]) + 1) % len(hits)
            message = f"{number + 1} of {len(hits)}"
            shown = self.table.loc[self.order]
            views = shown[shown["car_id"] == hits[number]]
            same_side = views[views["view"] == current["view"]]
            self.show(int(views.index[0] if same_side.empty else same_side.index[0]))
        elif c.car.value.strip():
            message = f"no car with '{c.car.value}' among the pictures shown"
        text = html.escape(message)
        c.found.value = f"<span role='status' title='{text}'>{text}</span>"

    def place(self, position: int | None = None) -> int:
        """Where in the order a row of the table is, or the shown one, counted from 0."""
        return int(np.flatnonzero(self.order == (self.position if position is None else position))[0])

    def step(self, by: int):
        """Go forward or back in the order, around its end."""
        if self.position is not None:
            self.show_number(self.place() + 1 + by)

    def show_number(self, number: int):
        """Show the picture of this number in the order, counted from 1."""
        if len(self.order):
            self.show(int(self.order[(number - 1) % len(self.order)]))

    def show_view(self, number: int):
        """Show the view of this number, counted from 0, of the car that is shown."""
        views = self.controls.view_slider.options
        self.show(views[number % len(views)][1])

    def reorder(self):
        """Sort and filter anew; go to the first picture."""
        c = self.controls
        sort = None if c.sort.value == TABLE_ORDER else c.sort.value
        view = None if c.only_view.value == ALL else c.only_view.value
        make = None if c.only_make.value == ALL else c.only_make.value
        self.order = arrange(self.table, sort, c.largest.value, view, make, c.below.value)
        names = self.table.loc[self.order, "image_id"].astype(str)
        keep = np.ones(len(self.order), bool)
        if c.to_do.value:
            keep &= ~names.isin(self.new_masks).to_numpy()
        if c.only_marked.value:
            keep &= names.isin(self.marks).to_numpy()
        self.order = self.order[keep]
        self.show(int(self.order[0]) if len(self.order) else None)

    def show(self, position: int | None):
        """Turn to a row of the table, or to nothing where no picture passes the filters; all controls follow."""
        c = self.controls
        self.position = position
        self.draw()  # first, since each control that follows costs the page some milliseconds
        for control in c.of_a_picture:
            control.disabled = position is None
        if position is None:
            c.spin.value = False
        else:
            self.follow()
        c.update(count={"value": f"of {len(self.order)}"})
        self.ahead.prefetch()

    def follow(self):
        """Let every control say which picture is shown."""
        c = self.controls
        image_id = str(self.table.loc[self.position, "image_id"])
        rows = self.views(self.position)
        names = self.table["view"]
        views = {"options": [(str(names[row]), row) for row in rows], "value": self.position}
        count = len(self.order)
        c.update(view=views, view_slider=views)
        c.update(number_field={"max": count}, number={"max": count, "value": self.place() + 1})
        c.update(play={"max": len(rows) - 1, "value": rows.index(self.position)})
        c.update(mark={"value": image_id in self.marks}, note={"value": self.marks.get(image_id, "")})
        if self.corrected:
            starts = self.correcting.starts(image_id)
            c.update(start={"options": starts, "value": starts[0]})

    def settings(self) -> tuple[list[str], float, float]:
        """The layers that are shown, one or two, the opacity and the threshold."""
        c = self.controls
        chosen = [name for name in (c.layer.value, c.beside.value) if name != NONE]
        return chosen, c.opacity.value, c.threshold.value

    def draw(self):
        """Show the picture anew; the opacity can be set where it acts on something."""
        self.drawing.draw()
        c = self.controls
        chosen = self.settings()[0]
        c.opacity.disabled = not {layers.TRUE, layers.PREDICTED, layers.HEAT} & set(chosen)
        c.opacity_field.disabled = c.opacity.disabled

    def mark(self):
        """Keep the mark and the note of the picture; a note alone marks it too."""
        if self.position is None:
            return
        c = self.controls
        image_id = str(self.table.loc[self.position, "image_id"])
        note = c.note.value
        if c.mark.value or (note and image_id not in self.marks):
            self.marks[image_id] = note
        else:
            self.marks.pop(image_id, None)
        c.update(mark={"value": image_id in self.marks}, note={"value": self.marks.get(image_id, "")})
        self.show_status("not saved yet")

    def save_marks(self):
        """Write the marks, and say where they are or why they could not be written."""
        try:
            self.write_marks()
            self.show_status(f"saved to {self.review}")
        except RunError as error:
            self.show_status(str(error))

    def show_status(self, message: str = ""):
        """One line beside the save button: how many are marked, and what just happened."""
        text = f"{len(self.marks)} marked"
        if message:
            text += f", {message}"
        self.controls.status.value = f"<span role='status'>{html.escape(text)}</span>"
