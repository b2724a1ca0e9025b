"""What the viewer of one mask browser is told: pictures of the chosen layers, what their colours mean, thumbnails."""

from carvana_course.browser import layers

THUMBNAILS = 9


class Drawing:
    """Composes what is shown for one mask browser.

    version: counts the changes of anything but the position, after which earlier pictures are of no use.
    """

    def __init__(self, browser):
        self.browser = browser
        self.key = 0
        self.version = 0
        self.drawn = None  # what the version stands for

    def draw(self) -> None:
        """Show the pictures, their title and the meaning of their colours, in one message to the page."""
        browser = self.browser
        position = browser.position
        settings = browser.settings()
        is_same = self.drawn is not None and self.drawn[0] == settings and self.drawn[1] is browser.order
        if not is_same:
            self.renew()
        self.drawn = (settings, browser.order)
        self.key += 1
        title = "no picture passes these filters"
        try:
            shown = self.of(position, *settings) if position is not None else self.empty(title, settings[0])
        except Exception as error:  # the caller's functions may raise anything; one bad file must not end it all
            title = f"{browser.table.loc[position, 'image_id']} cannot be shown: {error}"
            shown = self.empty(title, settings[0]) | self.around(position)
        browser.controls.viewer.shown = shown | {"key": self.key}

    def renew(self) -> None:
        """Forget what was sent to the page ahead; a picture, its title or the order has changed."""
        self.version += 1

    def empty(self, title: str, names: list[str]) -> dict:
        """What is shown where there is no picture."""
        pictures = [self.meaning(name) for name in names]
        nobody = {"at": None, "strip": [], "near": {}, "larger": False}
        return {"version": self.version, "title": title, "hint": title, "pictures": pictures, **nobody}

    def of(self, position: int, names: list[str], opacity: float, threshold: float) -> dict:
        """All that is shown at a row of the table, see `Viewer.shown`; the caller's functions may raise anything."""
        browser = self.browser
        version = self.version
        pictures = [self.meaning(name) | self.picture(position, name, opacity, threshold) for name in names]
        title = browser.cached_title(position, threshold)
        hint = title + browser.scored_on(position)
        found = {"version": version, "title": title, "hint": hint, "pictures": pictures}
        return found | self.around(position) | {"larger": browser.original is not None}

    def picture(self, position: int, layer: str, opacity: float, threshold: float) -> dict:
        """A layer's JPEG, the size (W, H) of the photo, and the outlines that the page draws over it."""
        browser = self.browser
        below = layers.PHOTO if layer == layers.CONTOURS else layer
        jpeg = browser.cached_jpeg(position, below, opacity, threshold)
        lines = browser.cached_outlines(position, threshold) if layer == layers.CONTOURS else []
        return {"jpeg": jpeg, "outlines": lines, "size": layers.jpeg_size(jpeg)}

    def meaning(self, layer: str) -> dict:
        """A layer as the page knows it before there is a picture of it: its name and the meaning of its colours."""
        browser = self.browser
        is_heat = layer == layers.HEAT
        legend = {} if is_heat else layers.legend(layer, browser.has_mask, browser.has_probability)
        scale = layers.HEAT_SCALE if is_heat else []
        return {"layer": layer, "legend": list(legend.items()), "scale": scale, "jpeg": None, "outlines": []}

    def around(self, position: int) -> dict:
        """The thumbnails' rows, numbers from 1 and names; and where a step or a turn leads, back and forth."""
        order = self.browser.order
        count = len(order)
        here = self.browser.place(position)
        first = here - THUMBNAILS // 2
        numbers = range(count)
        if count > THUMBNAILS:
            numbers = [number % count for number in range(first, first + THUMBNAILS)]
        ids = self.browser.table["image_id"]
        strip = [{"position": int(order[n]), "number": n + 1, "name": str(ids[order[n]])} for n in numbers]
        views = self.browser.views(position)
        view = views.index(position)
        near = {
            "step": [int(order[here - 1]), int(order[(here + 1) % count])],
            "turn": [views[view - 1], views[(view + 1) % len(views)]],
        }
        return {"at": position, "strip": strip, "near": near}
