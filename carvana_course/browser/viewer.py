"""What a person sees of the mask browser: one or two pictures that zoom in step, thumbnails, and keys (`viewer.js`).

ipywidgets can neither hear keys nor zoom, so this part is a script of our own, which anywidget brings into JupyterLab,
notebooks and Voila without a build and without network. All that changes with a step travels in one message.
"""

from pathlib import Path

import anywidget
import traitlets


class Viewer(anywidget.AnyWidget):
    """Pictures side by side; `on_key(key)`, `on_show(position)` and `on_zoom(scale)` hear what a person does there.

    thumbnail: a function that gives the JPEG of a position in the table, small.
    """

    _esm = Path(__file__).with_name("viewer.js").read_text(encoding="utf8")
    _css = Path(__file__).with_name("viewer.css").read_text(encoding="utf8")
    shown = traitlets.Dict().tag(sync=True)  # title, pictures, captions, and the thumbnails' positions and names
    width = traitlets.Int(480).tag(sync=True)  # of a picture, pixels, where the page has room
    layers = traitlets.List().tag(sync=True)

    def __init__(self, width: int, layers, thumbnail, on_key, on_show, on_zoom):
        super().__init__(width=width, layers=list(layers), shown={"title": "", "pictures": [], "captions": []})
        self.thumbnail = thumbnail
        self.handlers = {"key": on_key, "show": on_show, "zoom": on_zoom, "thumbnail": self.send_thumbnail}
        self.on_msg(self.receive)

    def receive(self, _, message: dict, __) -> None:
        """Hand on what the page says."""
        handler = self.handlers.get(message.get("kind"))
        if handler:
            handler(message["value"])

    def send_thumbnail(self, position: int) -> None:
        """Answer the page, which asks for one after another while nothing else is to do."""
        self.send({"kind": "thumbnail", "position": position}, [self.thumbnail(position)])
