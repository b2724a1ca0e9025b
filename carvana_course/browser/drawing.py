"""What the mask browser's viewer shows of a row: its pictures, made ahead of time where they are likely wanted."""

from carvana_course.browser import layers
from carvana_course.browser.album import NONE
from carvana_course.browser.controls import caption

NEAR = 13  # thumbnails in the strip
MOST_ZOOM = 4  # times the pictures' width: larger ones would take the page too long


class Drawing:
    """The part of `MaskBrowser` that draws; its `position`, `order`, `zoom` and controls decide what."""

    def chosen_layers(self) -> list[str]:
        """The layer, and the one beside it where there is one."""
        return [name for name in (self.controls.layer.value, self.controls.beside.value) if name != NONE]

    def draw(self):
        """Compose and show the picture, its title, the meaning of its colours and its neighbours, in one message."""
        c = self.controls
        chosen = self.chosen_layers()
        title = "no picture passes these filters"
        pictures = []
        if self.position is not None:
            try:
                title, pictures = self.prepare(self.position, chosen, c.opacity.value, c.threshold.value, self.zoom)
            except Exception as error:  # the caller's functions may raise anything; one bad file must not end it all
                title = f"{self.table.loc[self.position, 'image_id']} cannot be shown: {error}"
        captions = [caption(layer, self.has_mask, self.has_probability) for layer in chosen[: len(pictures)]]
        shown = {"title": title, "pictures": pictures, "captions": captions, "position": self.position}
        c.viewer.shown = shown | {"near": self.near()}
        for control in c.need_a_picture:
            control.disabled = self.position is None
        c.opacity.disabled = not {layers.TRUE, layers.PREDICTED, layers.HEAT} & set(chosen)
        c.opacity_field.disabled = c.opacity.disabled

    def near(self) -> list[list]:
        """(position, name) of the pictures about this one in the order, as many as the strip has room for."""
        if self.position is None:
            return []
        first = max(0, min(self.place() - NEAR // 2, len(self.order) - NEAR))
        names = self.table["image_id"]
        return [[int(position), str(names[position])] for position in self.order[first : first + NEAR]]

    def draw_for_zoom(self, scale: float):
        """Draw anew where a person has zoomed so far that larger pictures show more, or out again."""
        zoom = min(MOST_ZOOM, round(scale))
        if self.position is not None and zoom != self.zoom:
            self.zoom = zoom
            self.draw()

    def prefetch(self):
        """Prepare the pictures before and after this one, and the next view, in a thread of their own."""
        for future in self.prefetched:
            future.cancel()
        if self.position is None:
            return
        c = self.controls
        after = int(self.order[(self.place() + 1) % len(self.order)])
        before = int(self.order[self.place() - 1])
        views = c.view_slider.options
        next_view = views[(c.play.value + 1) % len(views)][1]
        settings = (self.chosen_layers(), c.opacity.value, c.threshold.value, self.zoom)
        near = [position for position in (after, before, next_view) if position != self.position]
        self.prefetched = [self.executor.submit(self.prepare, position, *settings) for position in near]

    def prepare(self, position: int, names, opacity: float, threshold: float, zoom: int = 1) -> tuple[str, list[bytes]]:
        """(title, a JPEG for each layer), one thread at a time: the caller's functions may not be safe for two."""
        with self.lock:
            pictures = [self.cached_jpeg(position, name, opacity, threshold, zoom) for name in names]
            return self.cached_title(position, threshold), pictures
