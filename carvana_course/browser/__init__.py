"""The mask browser: turn the car, lay the mask over it, find what is wrong. ipywidgets only, works offline.

`MaskBrowser` as the last line of a cell is a widget where a person watches, and a strip of pictures elsewhere
(papermill, nbconvert, a saved notebook on the web). What a picture looks like is decided in `layers.py`.
"""

import base64
import html
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ipywidgets as W
import numpy as np

from carvana_course.browser import layers
from carvana_course.browser.album import LARGE_IS_BAD, NONE, Album, arrange
from carvana_lib import RunError
from carvana_lib.progress import close, is_live

ALL, TABLE_ORDER = "all", "table order"
ROW = {"display": "flex", "flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 16px", "width": "100%"}


def numbered(slider, field, description: str, tooltip: str):
    """A slider behind a number field that says the same; the field carries the label that screen readers read."""
    field.description, field.tooltip, slider.tooltip, slider.readout = description, tooltip, tooltip, False
    field.style.description_width, field.layout.width, slider.layout.width = "initial", "130px", "140px"
    W.link((slider, "value"), (field, "value"))
    return W.HBox([field, slider], layout={"grid_gap": "8px"})


class MaskBrowser(Album):
    """An album to look through; takes what `Album` takes. Show it as the last line of a cell."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.here = int(self.order[0])  # position in the table of the picture that is shown; None where there is none
        self.controls, self.syncing = None, False
        self.one_at_a_time, self.thread, self.ahead = threading.RLock(), None, []

    def __repr__(self):
        return f"MaskBrowser of {len(self.table)} pictures"

    def _repr_mimebundle_(self, include=None, exclude=None):
        strip = self.strip()
        still = {"text/plain": repr(self), "image/jpeg": base64.b64encode(strip.data).decode()}
        data = still | self.widget._repr_mimebundle_() | {"text/plain": repr(self)} if is_live() else still
        return data, {"image/jpeg": {"alt": strip.alt}}

    @property
    def widget(self):
        """The widget itself, made when it is first asked for; to put into a layout of your own."""
        if self.controls is None:
            self.build()
        return self.controls.all

    def build(self):
        """Make every control, connect it, show the first picture."""
        table, start = self.table, self.start
        makes = sorted(set(table["make"].dropna().astype(str))) if "make" in table else []
        find = {"placeholder": "id, make or model", "tooltip": "type a part of a car's id, make or model, then Enter"}
        turns = {"options": [("", 0)], "tooltip": "the side from which the car is seen"}
        c = self.controls = SimpleNamespace(
            title=W.HTML(),
            images=[W.Image(format="jpeg", layout={"width": f"{self.width}px", "max_width": "100%"}) for _ in range(2)],
            captions=[W.HTML() for _ in range(2)],
            previous=W.Button(description="previous", icon="arrow-left", layout={"width": "100px"}),
            next=W.Button(description="next", icon="arrow-right", layout={"width": "100px"}),
            number=W.IntSlider(min=1, max=1, continuous_update=False),
            count=W.HTML(),
            car=W.Combobox(description="find car", options=list(self.cars()), continuous_update=False, **find),
            view=W.Dropdown(description="view", **turns),
            turn=W.SelectionSlider(readout=False, layout={"width": "150px"}, **turns),
            spin=W.ToggleButton(description="spin", icon="refresh", layout={"width": "90px"}),
            play=W.Play(interval=200, repeat=True, layout={"display": "none"}),
            layer=W.Dropdown(description="layer", options=self.layers, value=start["layer"]),
            beside=W.Dropdown(description="beside it", options=[NONE, *self.layers], value=start["beside"]),
            opacity=W.FloatSlider(value=start["opacity"], max=1, step=0.05),
            threshold=W.FloatSlider(value=start["threshold"], max=1, step=0.01),
            sort=W.Dropdown(description="sort by", options=[TABLE_ORDER, *table], value=start["sort"] or TABLE_ORDER),
            largest=W.Checkbox(description="largest first", value=start["sort"] in LARGE_IS_BAD, indent=False),
            only_view=W.Dropdown(description="only view", options=[ALL, *sorted(set(table["view"]))]),
            only_make=W.Dropdown(description="only make", options=[ALL, *makes]),
            below=W.FloatSlider(value=1, max=1, step=0.005),
            mark=W.Checkbox(description="mark for review", indent=False),
            note=W.Text(description="note", placeholder="what is wrong?", continuous_update=False),
            save=W.Button(description="save marks", icon="save", tooltip=f"write the marked pictures to {self.review}"),
            status=W.HTML(),
        )
        number = numbered(c.number, W.BoundedIntText(min=1, max=1), "picture", "place in the order that is set below")
        opacity = numbered(c.opacity, W.BoundedFloatText(max=1, step=0.05), "opacity", "of masks and heat map")
        threshold = numbered(
            c.threshold, W.BoundedFloatText(max=1, step=0.01), "threshold", "car from this probability on"
        )
        below = numbered(c.below, W.BoundedFloatText(max=1, step=0.005), "IoU below", "1 shows all")
        c.number_field, c.opacity_field = number.children[0], opacity.children[0]
        W.link((c.spin, "value"), (c.play, "playing"))
        self.on(lambda _: self.step(-1), c.previous, name=None)
        self.on(lambda _: self.step(1), c.next, name=None)
        self.on(lambda change: self.go(change.new), c.number)
        self.on(lambda change: self.show(change.new), c.view, c.turn)
        self.on(lambda change: self.show(c.turn.options[change.new % len(c.turn.options)][1]), c.play)
        self.on(lambda change: self.find(change.new), c.car)
        self.on(lambda _: self.draw(), c.layer, c.beside, c.opacity, c.threshold)
        self.on(lambda change: self.sync(largest={"value": change.new in LARGE_IS_BAD}), c.sort)
        self.on(lambda _: self.reorder(), c.sort, c.largest, c.only_view, c.only_make, c.below)
        self.on(lambda _: self.mark(), c.mark, c.note)
        self.on(lambda _: self.export(), c.save, name=None)
        missing = {c.only_make: not makes, below: "iou" not in table, threshold: layers.PREDICTED not in self.layers}
        for control in (control for control, absent in missing.items() if absent):
            control.layout.display = "none"
        self.frames = [W.VBox(pair, layout={"max_width": "100%"}) for pair in zip(c.images, c.captions, strict=True)]
        rows = [
            self.frames,
            [c.previous, c.next, number, c.count, c.view, c.turn, c.spin, c.play],
            [c.layer, c.beside, opacity, threshold],
            [c.car, c.sort, c.largest, c.only_view, c.only_make, below],
            [c.mark, c.note, c.save, c.status],
        ]
        widths = {"layer": 190, "beside": 210, "car": 250, "sort": 200, "largest": 110, "only_view": 130,
                  "only_make": 190, "view": 100, "mark": 130, "note": 360, "save": 120}  # fmt: skip
        for name, width in widths.items():
            getattr(c, name).layout.width = f"{width}px"
            getattr(c, name).layout.max_width = "100%"
            if hasattr(getattr(c, name).style, "description_width"):
                getattr(c, name).style.description_width = "initial"
        c.all = W.VBox([c.title, *(W.Box(row, layout=ROW) for row in rows)])
        self.thread = ThreadPoolExecutor(1)
        self.tell()
        self.show(self.here)

    def close(self):
        """Take it off the page; give back its thread and its widgets, which ipywidgets would keep."""
        if self.controls is not None:
            self.thread.shutdown(cancel_futures=True)
            close(self.controls.all)
            self.controls = None

    def on(self, handler, *widgets, name="value"):
        """Call `handler` when a person changes one of the widgets (`name=None`: presses a button), not when we do."""

        def heard(change):
            if not self.syncing:
                handler(change)

        for widget in widgets:
            widget.observe(heard, name) if name else widget.on_click(heard)

    def find(self, text: str):
        """Show the first car whose id, make or model holds the text, from the same side if it is in the order."""
        if not text.strip():
            return
        found = [car for label, car in self.cars().items() if text.strip().lower() in label.lower()]
        shown = self.table.loc[self.order]
        shown = shown[shown["car_id"].isin(found)]
        views = shown[shown["car_id"] == shown["car_id"].iloc[0]] if len(shown) else shown
        self.tell("" if len(views) else f"no car with '{text}' among the pictures shown")
        if len(views):
            same = views[views["view"] == self.table.loc[self.here, "view"]]
            self.show(int((same if len(same) else views).index[0]))
        self.sync(car={"value": ""})

    def step(self, by: int):
        """Go forward or back in the order, around its end."""
        if self.here is not None:
            self.go(int(np.flatnonzero(self.order == self.here)[0]) + 1 + by)

    def go(self, number: int):
        """Show the picture of this number in the order, counted from 1."""
        if len(self.order):
            self.show(int(self.order[(number - 1) % len(self.order)]))

    def reorder(self):
        """Sort and filter anew; go to the first picture."""
        c = self.controls
        choice = [None if w.value in (ALL, TABLE_ORDER) else w.value for w in (c.sort, c.only_view, c.only_make)]
        self.order = arrange(self.table, choice[0], c.largest.value, choice[1], choice[2], c.below.value)
        self.show(int(self.order[0]) if len(self.order) else None)

    def sync(self, **traits):
        """Set traits of controls, {control: {trait: value}}, without hearing ourselves."""
        self.syncing = True
        try:
            for name, values in traits.items():
                for trait, value in values.items():
                    setattr(getattr(self.controls, name), trait, value)
        finally:
            self.syncing = False

    def show(self, position: int | None):
        """Turn to a row of the table, or to nothing where no picture passes the filters; all controls follow."""
        self.here, count = position, len(self.order)
        self.draw()  # first, since each control that follows costs the page some milliseconds
        if position is not None:
            row, shown = self.table.loc[position], self.table.loc[self.order]
            car = shown[shown["car_id"] == row["car_id"]].sort_values("view", kind="stable")
            views, image_id = [(str(view), index) for index, view in car["view"].items()], str(row["image_id"])
            number, place = int(np.flatnonzero(self.order == position)[0]) + 1, car.index.get_loc(position)
            self.sync(view={"options": views, "value": position}, turn={"options": views, "value": position})
            self.sync(number_field={"max": count}, number={"max": count, "value": number})
            self.sync(play={"max": len(views) - 1, "value": place})
            self.sync(mark={"value": image_id in self.marks}, note={"value": self.marks.get(image_id, "")})
        self.sync(count={"value": f"of {count}"})
        self.look_ahead()

    def draw(self):
        """Compose and show the picture, its title and the meaning of its colours."""
        c = self.controls
        chosen = [name for name in (c.layer.value, c.beside.value) if name != NONE]
        wanted, title = [], "no picture passes these filters"
        if self.here is not None:
            try:
                title, wanted = self.prepare(self.here, chosen, c.opacity.value, c.threshold.value)
            except Exception as error:  # the caller's functions may raise anything; one bad file must not end it all
                wanted, title = [], f"{self.table.loc[self.here, 'image_id']} cannot be shown: {error}"
        for i, frame in enumerate(self.frames):
            frame.layout.display = "" if i < len(wanted) else "none"
            if i < len(wanted):
                c.images[i].value = wanted[i]
                c.captions[i].value = caption(
                    chosen[i], *(self.sources[n] is not None for n in ("mask", "probability"))
                )
        c.title.value = f"<b role='status'>{html.escape(title)}</b>"
        faded = {layers.TRUE, layers.PREDICTED, layers.HEAT}
        c.opacity.disabled = c.opacity_field.disabled = not faded & set(chosen)

    def look_ahead(self):
        """Prepare the pictures before and after this one, and the next view, in a thread of their own."""
        for future in self.ahead:
            future.cancel()
        if self.here is None:
            return
        c, place = self.controls, int(np.flatnonzero(self.order == self.here)[0])
        near = [int(self.order[(place + by) % len(self.order)]) for by in (1, -1)]
        near.append(c.turn.options[(c.play.value + 1) % len(c.turn.options)][1])
        names = [name for name in (c.layer.value, c.beside.value) if name != NONE]
        look = (names, c.opacity.value, c.threshold.value)
        self.ahead = [self.thread.submit(self.prepare, at, *look) for at in near if at != self.here]

    def prepare(self, position: int, names, opacity: float, threshold: float) -> tuple[str, list[bytes]]:
        """(title, a JPEG for each layer), one thread at a time: the caller's functions may not be safe for two."""
        with self.one_at_a_time:
            shown = [self.encoded(position, name, opacity, threshold) for name in names]
            return self.title(position, threshold), shown

    def mark(self):
        """Keep the mark and the note of the picture; a note alone marks it too."""
        if self.here is None:
            return
        c, image_id = self.controls, str(self.table.loc[self.here, "image_id"])
        if c.mark.value or (c.note.value and image_id not in self.marks):
            self.marks[image_id] = c.note.value
        else:
            self.marks.pop(image_id, None)
        self.sync(mark={"value": image_id in self.marks}, note={"value": self.marks.get(image_id, "")})
        self.tell("not saved yet")

    def export(self):
        """Write the marks, and say where they are or why they could not be written."""
        try:
            self.write_marks()
            self.tell(f"saved to {self.review}")
        except RunError as error:
            self.tell(str(error))

    def tell(self, message: str = ""):
        """One line beside the save button: how many are marked, and what just happened."""
        text = f"{len(self.marks)} marked" + (f", {message}" if message else "")
        self.controls.status.value = f"<span role='status'>{html.escape(text)}</span>"


def caption(layer: str, has_mask: bool, has_probability: bool) -> str:
    """The layer's name and its colours as HTML."""
    chip = "<span style='display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .9em;background:{}'></span>{}"
    colors = layers.legend(layer, has_mask, has_probability)
    return html.escape(layer) + "".join(chip.format(color, html.escape(name)) for name, color in colors.items())
