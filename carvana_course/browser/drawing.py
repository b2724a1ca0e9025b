"""What the viewer of one mask browser is told: pictures of the chosen layers, what their colours mean, thumbnails."""

import threading

from carvana_course.browser import layers

THUMBNAILS = 9


class Drawing:
    """Composes what is shown for one mask browser; `lock` is held whenever the caller's functions are called."""

    def __init__(self, browser):
        self.browser = browser
        self.lock = threading.RLock()  # those functions may not be safe for two threads
        self.key = 0

    def draw(self) -> None:
        """Compose and show the pictures, their title and the meaning of their colours, in one message to the page."""
        browser = self.browser
        position = browser.position
        names, opacity, threshold = browser.settings()
        title = "no picture passes these filters"
        made = [{}] * len(names)
        if position is not None:
            try:
                title, made = self.prepare(position, names, opacity, threshold)
            except Exception as error:  # the caller's functions may raise anything; one bad file must not end it all
                title = f"{browser.table.loc[position, 'image_id']} cannot be shown: {error}"
        self.key += 1
        browser.controls.viewer.shown = {
            "key": self.key,
            "title": title,
            "hint": title + browser.scored_on(position),
            "pictures": [self.meaning(name) | picture for name, picture in zip(names, made, strict=True)],
            "at": position,
            "strip": self.strip(),
            "larger": browser.original is not None,
        }

    def prepare(self, position: int, names: list[str], opacity: float, threshold: float) -> tuple[str, list[dict]]:
        """(title, for each layer its jpeg, the photo's size (W, H) and outlines to draw over it)."""
        browser = self.browser
        with self.lock:
            made = []
            for name in names:
                below = layers.PHOTO if name == layers.CONTOURS else name
                jpeg = browser.cached_jpeg(position, below, opacity, threshold)
                lines = browser.cached_outlines(position, threshold) if name == layers.CONTOURS else []
                made.append({"jpeg": jpeg, "outlines": lines, "size": layers.jpeg_size(jpeg)})
            return browser.cached_title(position, threshold), made

    def meaning(self, layer: str) -> dict:
        """A layer as the page knows it before there is a picture of it: its name and the meaning of its colours."""
        browser = self.browser
        is_heat = layer == layers.HEAT
        legend = {} if is_heat else layers.legend(layer, browser.has_mask, browser.has_probability)
        scale = layers.HEAT_SCALE if is_heat else []
        return {"layer": layer, "legend": list(legend.items()), "scale": scale, "jpeg": None, "outlines": []}

    def strip(self) -> list[dict]:
        """The pictures around the shown one in the order, which has no end: position, number from 1, name."""
        browser = self.browser
        count = len(browser.order)
        if count <= THUMBNAILS:
            numbers = range(count)
        else:
            first = browser.place() - THUMBNAILS // 2
            numbers = [number % count for number in range(first, first + THUMBNAILS)]
        ids = browser.table["image_id"]
        positions = [int(browser.order[number]) for number in numbers]
        pairs = zip(positions, numbers, strict=True)
        return [{"position": at, "number": number + 1, "name": str(ids[at])} for at, number in pairs]
