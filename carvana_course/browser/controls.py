"""The controls of the mask browser: what each is, how wide it is and in which row. What they do is in `widget.py`."""

import ipywidgets as W

from carvana_course.browser import layers
from carvana_course.browser.album import ALL, LARGE_IS_BAD, NONE, TABLE_ORDER
from carvana_course.browser.ordering import car_names
from carvana_course.browser.viewer import Viewer

SPIN_MS = 100  # between two views
ROW = {"display": "flex", "flex_flow": "row wrap", "align_items": "center", "grid_gap": "2px 16px", "width": "100%"}


class Controls:
    """Every control of one album's browser, with the values it starts from; `page` holds them all, row by row.

    hear: what the viewer calls with what a person does there.
    """

    def __init__(self, album, hear):
        table = album.table
        start = album.start
        makes = sorted(set(table["make"].dropna().astype(str))) if "make" in table else []

        self.viewer = Viewer(hear, width=album.width, aspect=album.aspect(), layers=len(album.layers))

        self.previous = W.Button(description="previous", icon="arrow-left", layout={"width": "100px"})
        self.next = W.Button(description="next", icon="arrow-right", layout={"width": "100px"})
        self.previous.add_class("carvana-previous")  # viewer.js shows the next picture before Python hears of it
        self.next.add_class("carvana-next")
        self.number = W.IntSlider(min=1, max=1, continuous_update=False)
        self.number_field = W.BoundedIntText(min=1, max=1)
        number = labelled(self.number, self.number_field, "picture", "place in the order that is set below")
        self.count = W.HTML(layout={"width": "70px"})
        side = {"options": [("", 0)], "tooltip": "the side from which the car is seen"}
        self.view = sized(100, W.Dropdown(description="view", **side))
        self.view_slider = W.SelectionSlider(readout=False, layout={"width": "150px"}, **side)
        self.spin = W.ToggleButton(description="spin", icon="refresh", layout={"width": "90px"})
        self.play = W.Play(interval=SPIN_MS, repeat=True, layout={"display": "none"})
        W.link((self.spin, "value"), (self.play, "playing"))

        self.layer = sized(190, W.Dropdown(description="layer", options=album.layers, value=start.layer))
        others = [NONE, *album.layers]
        self.beside = sized(210, W.Dropdown(description="beside it", options=others, value=start.beside))
        self.opacity = W.FloatSlider(value=start.opacity, max=1, step=0.05)
        self.opacity_field = W.BoundedFloatText(max=1, step=0.05)
        opacity = labelled(self.opacity, self.opacity_field, "opacity", "of masks and heat map")
        self.threshold = W.FloatSlider(value=start.threshold, max=1, step=0.01)
        threshold_field = W.BoundedFloatText(max=1, step=0.01)
        threshold = labelled(self.threshold, threshold_field, "threshold", "car from this probability on")
        hide_unless(layers.PREDICTED in album.layers, threshold)

        self.car = sized(
            250, W.Combobox(description="find car", options=list(car_names(table)), continuous_update=False)
        )
        self.car.placeholder = "id, make or model"
        self.car.tooltip = "type a part of a car's id, make or model, then Enter; Enter again goes to the next car"
        self.car.add_class("carvana-find")  # viewer.js hears the second Enter
        self.next_hit = sized(90, W.Button(description="next hit", disabled=True))
        self.found = W.HTML(layout={"width": "290px", "max_width": "100%"})
        self.found.add_class("carvana-found")
        orders = [TABLE_ORDER, *table]
        self.sort = sized(200, W.Dropdown(description="sort by", options=orders, value=start.sort or TABLE_ORDER))
        largest_first = start.sort in LARGE_IS_BAD
        self.largest = sized(110, W.Checkbox(description="largest first", value=largest_first, indent=False))
        views = [ALL, *sorted(set(table["view"]))]
        self.only_view = sized(130, W.Dropdown(description="only view", options=views))
        self.only_make = sized(190, W.Dropdown(description="only make", options=[ALL, *makes]))
        hide_unless(makes, self.only_make)
        self.below = W.FloatSlider(value=1, max=1, step=0.005)
        below = labelled(self.below, W.BoundedFloatText(max=1, step=0.005), "IoU below", "1 shows all")
        hide_unless("iou" in table, below)

        self.only_marked = sized(110, W.Checkbox(description="only marked", indent=False))

        self.mark = sized(130, W.Checkbox(description="mark for review", indent=False))
        self.note = sized(360, W.Text(description="note", placeholder="what is wrong?", continuous_update=False))
        self.save = sized(120, W.Button(description="save marks", icon="save"))
        self.save.tooltip = f"write the marked pictures to {album.review}"
        self.status = W.HTML()

        self.accept = sized(160, W.Button(description="accept prediction", icon="check"))
        self.accept.tooltip = "save the prediction at this threshold as a mask"
        hide_unless(album.has_probability, self.accept)
        self.correct = sized(120, W.Button(description="correct", icon="pencil"))
        self.correct.tooltip = "draw on the mask with brush and eraser"
        self.start = sized(230, W.Dropdown(description="start from"))
        self.to_do = sized(180, W.Checkbox(description="only without a new mask", indent=False))

        rows = [
            [self.previous, self.next, number, self.count, self.view, self.view_slider, self.spin, self.play],
            [self.layer, self.beside, opacity, threshold],
            [self.car, self.next_hit, self.found, self.only_marked],
            [self.sort, self.largest, self.only_view, self.only_make, below],
            [self.mark, self.note, self.save, self.status],
        ]
        if album.corrected:
            rows.insert(-1, [self.accept, self.correct, self.start, self.to_do])
        self.rows = [W.Box(row, layout=ROW) for row in rows]
        self.surface = W.VBox([], layout={"display": "none", "width": "100%"})
        self.page = W.VBox([self.viewer, self.surface, *self.rows])
        self.page.add_class("carvana-browser")
        steps = [self.previous, self.next, self.number, self.number_field, self.view, self.view_slider, self.spin]
        self.updating = False
        self.of_a_picture = [*steps, self.mark, self.note, self.accept, self.correct]

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
                    setattr(getattr(self, name), trait, value)
        finally:
            self.updating = False

    def close(self) -> None:
        """Take all of it off the page."""
        close_widget(self.page)

    def draw_on(self, widgets: list) -> tuple:
        """Show these widgets in place of all but the title, or the rows again; what was shown in their place."""
        before = self.surface.children
        change_class = self.page.add_class if widgets else self.page.remove_class
        change_class("carvana-editing")
        self.surface.children = widgets
        self.surface.layout.display = "" if widgets else "none"
        for row in self.rows:
            row.layout.display = "none" if widgets else ROW["display"]
        return before


def sized(pixels: int, control):
    """The control, so many pixels wide where the page is not narrower, with room for all of its label."""
    control.layout.width = f"{pixels}px"
    control.layout.max_width = "100%"
    if hasattr(control.style, "description_width"):
        control.style.description_width = "initial"
    return control


def labelled(slider, field, description: str, tooltip: str) -> W.HBox:
    """A slider behind a number field that says the same; the field carries the label that screen readers read."""
    field.description = description
    field.style.description_width = "initial"
    field.layout.width = "130px"
    slider.layout.width = "140px"
    slider.readout = False
    for control in (field, slider):
        control.tooltip = tooltip
    W.link((slider, "value"), (field, "value"))
    return W.HBox([field, slider], layout={"grid_gap": "8px"})


def hide_unless(is_of_use, control) -> None:
    """Take a control off the page where there is nothing for it to choose or to change."""
    if not is_of_use:
        control.layout.display = "none"


def close_widget(widget) -> None:
    """Close an ipywidget and all that is inside it; ipywidgets keeps every part that nobody closes."""
    for child in getattr(widget, "children", ()):
        close_widget(child)
    for part in ("layout", "style"):
        if hasattr(widget, part):
            getattr(widget, part).close()
    widget.close()
