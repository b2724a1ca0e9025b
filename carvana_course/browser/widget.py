"""The mask browser's widget: what happens when a person presses, chooses or types.

`MaskBrowser` as the last line of a cell is a widget where a person watches, and a strip of pictures elsewhere
(papermill, nbconvert, a saved notebook on the web). What a picture looks like is decided in `layers.py`.
"""

import base64
import html
import importlib.util
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from carvana_course.browser.album import LARGE_IS_BAD, Album, arrange
from carvana_course.browser.controls import ALL, TABLE_ORDER, Controls, close_widget
from carvana_course.browser.correcting import Correcting
from carvana_course.browser.drawing import Drawing
from carvana_course.show.live import Live
from carvana_lib import RunError
from carvana_lib.device import is_live

MISSING = "to browse the pictures, run 'pip install anywidget' and reload the page; here are the first of them"
KEY_STEPS = {"ArrowDown": 1, "n": 1, "ArrowUp": -1, "p": -1}  # keys -> pictures in the order
KEY_TURNS = {"ArrowRight": 1, "ArrowLeft": -1}  # keys -> views of the car


class MaskBrowser(Drawing, Album, Live):
    """An album to look through; takes what `Album` takes. Show it as the last line of a cell."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.position = int(self.order[0])  # of the shown picture in the table; None where none passes the filters
        self.controls = None
        self.correcting = Correcting(self)
        self.zoom = 1  # times the pictures' width, in whole numbers
        self.updating = False
        self.executor = None
        self.lock = threading.RLock()  # of `prepare`
        self.prefetched = []  # futures

    def __repr__(self):
        return f"MaskBrowser of {len(self.table)} pictures"

    def _ipython_display_(self):
        if is_live() and importlib.util.find_spec("anywidget") is None:
            print(MISSING)
            raise NotImplementedError  # which tells IPython to go on to the still
        super()._ipython_display_()

    def _repr_mimebundle_(self, include=None, exclude=None):
        strip = self.strip()
        data = {"text/plain": repr(self), "image/jpeg": base64.b64encode(strip.data).decode()}
        return data, {"image/jpeg": {"alt": strip.alt}}

    @property
    def widget(self):
        """The widget itself, made when it is first asked for; to put into a layout of your own."""
        if self.controls is None:
            self.controls = Controls(self)
            self.connect()
            self.executor = ThreadPoolExecutor(1)
            self.show_status()
            self.show(self.position)
        return self.controls.page

    def connect(self):
        """Say what each control does."""
        c = self.controls
        c.previous.on_click(lambda _: self.step(-1))
        c.next.on_click(lambda _: self.step(1))
        c.next_hit.on_click(lambda _: self.find_car(c.car.value))
        c.save.on_click(lambda _: self.save_marks())
        c.accept.on_click(self.correcting.accept)
        c.correct.on_click(self.correcting.open)
        self.on_change(self.show_number, c.number)
        self.on_change(self.show, c.view, c.view_slider)
        self.on_change(self.show_view, c.play)
        self.on_change(self.find_car, c.car)
        self.on_change(lambda _: self.draw(), c.layer, c.beside, c.opacity, c.threshold)
        self.on_change(lambda column: self.update(largest={"value": column in LARGE_IS_BAD}), c.sort)
        self.on_change(
            lambda _: self.reorder(), c.sort, c.largest, c.only_view, c.only_make, c.below, c.to_do, c.only_marked
        )
        self.on_change(lambda _: self.mark(), c.mark, c.note)

    def close(self):
        """Take it off the page; give back its thread and its widgets, which ipywidgets would keep."""
        if self.controls is not None:
            self.executor.shutdown(cancel_futures=True)
            close_widget(self.controls.page)
            self.controls = None

    def on_change(self, handler, *controls):
        """Call `handler` with the new value when a person changes one of the controls, not when `update` does."""

        def heard(change):
            if not self.updating:
                handler(change.new)

        for control in controls:
            control.observe(heard, "value")

    def update(self, **traits):
        """Set traits of controls, {control: {trait: value}}, without the handlers of `on_change`."""
        self.updating = True
        try:
            for name, values in traits.items():
                for trait, value in values.items():
                    setattr(getattr(self.controls, name), trait, value)
        finally:
            self.updating = False

    def find_car(self, text: str):
        """Show the next car whose id, make or model holds the text, from the same side if it is in the order."""
        wanted = text.strip().lower()
        found = [car for label, car in self.cars().items() if wanted in label.lower()] if wanted else []
        shown = self.table.loc[self.order]
        shown = shown[shown["car_id"].isin(found)]
        cars = list(dict.fromkeys(shown["car_id"]))
        said = f"no car with '{text}' here" if wanted else ""
        if cars:
            here = self.table.loc[self.position, "car_id"]
            number = (cars.index(here) + 1) % len(cars) if here in cars else 0
            said = f"{number + 1} of {len(cars)}"
            views = shown[shown["car_id"] == cars[number]]
            same_side = views[views["view"] == self.table.loc[self.position, "view"]]
            self.show(int(views.index[0] if same_side.empty else same_side.index[0]))
        self.controls.hits.value = f"<span role='status'>{html.escape(said)}</span>"

    def place(self) -> int:
        """Where in the order the shown picture is, counted from 0."""
        return int(np.flatnonzero(self.order == self.position)[0])

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
        if c.to_do.value:
            is_done = self.table.loc[self.order, "image_id"].astype(str).isin(self.new_masks)
            self.order = self.order[~is_done.to_numpy()]
        if c.only_marked.value:
            is_marked = self.table.loc[self.order, "image_id"].astype(str).isin(self.marks)
            self.order = self.order[is_marked.to_numpy()]
        self.show(int(self.order[0]) if len(self.order) else None)

    def show(self, position: int | None):
        """Turn to a row of the table, or to nothing where no picture passes the filters; all controls follow."""
        self.position = position
        self.draw()  # first, since each control that follows costs the page some milliseconds
        if position is not None:
            self.follow()
        self.update(count={"value": f"of {len(self.order)}"})
        self.prefetch()

    def follow(self):
        """Let every control say which picture is shown."""
        image_id = str(self.table.loc[self.position, "image_id"])
        shown = self.table.loc[self.order]
        car = shown[shown["car_id"] == self.table.loc[self.position, "car_id"]].sort_values("view", kind="stable")
        views = {"options": [(str(view), index) for index, view in car["view"].items()], "value": self.position}
        self.update(view=views, view_slider=views)
        self.update(number_field={"max": len(shown)}, number={"max": len(shown), "value": self.place() + 1})
        self.update(play={"max": len(car) - 1, "value": car.index.get_loc(self.position)})
        self.update(mark={"value": image_id in self.marks}, note={"value": self.marks.get(image_id, "")})
        if self.corrected:
            starts = self.correcting.starts(image_id)
            self.update(start={"options": starts, "value": starts[0]})

    def press(self, key: str):
        """Do what a key in the viewer means; each control follows."""
        c = self.controls
        if self.position is None:
            return
        views = [position for _, position in c.view_slider.options]
        if key in KEY_STEPS:
            self.step(KEY_STEPS[key])
        elif key in KEY_TURNS:
            self.show(views[(views.index(self.position) + KEY_TURNS[key]) % len(views)])
        elif key == "m":
            c.mark.value = not c.mark.value
        elif key == " ":
            c.spin.value = not c.spin.value
        elif key.isdigit():
            c.layer.value = self.layers[int(key) - 1]

    def mark(self):
        """Keep the mark and the note of the picture; a note alone marks it too."""
        if self.position is None:
            return
        image_id = str(self.table.loc[self.position, "image_id"])
        note = self.controls.note.value
        if self.controls.mark.value or (note and image_id not in self.marks):
            self.marks[image_id] = note
        else:
            self.marks.pop(image_id, None)
        self.update(mark={"value": image_id in self.marks}, note={"value": self.marks.get(image_id, "")})
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
