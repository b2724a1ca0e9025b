"""What the mask browser shows: pictures side by side with zoom, flicker, thumbnails and keys (`viewer.js`).

One message a step goes to the page. What a person does there comes back as {kind, value}, see `MaskBrowser.hear`.
"""

from pathlib import Path

import anywidget
import traitlets

SCRIPTS = ("dom.js", "frame.js", "keys.js", "viewer.js")


class Viewer(anywidget.AnyWidget):
    """The pictures of `shown`; show it like any widget. hear(kind, value) is called with what a person does there.

    shown: title; hint, its tooltip; key, a number that tells it from others; larger: can there be larger pictures?
        pictures: for each layer its name, legend, scale, jpeg, size and outlines; at: the picture's position in the
        table; strip: position, number and name of each thumbnail; near: the positions to which a step or a turn leads;
        version: changes with anything but the position.
    width: of a picture, CSS pixels, at most; aspect: of the frames, width by height; layers: how many have a key.
    """

    _esm = "".join(Path(__file__).with_name(name).read_text(encoding="utf8") for name in SCRIPTS)
    _css = Path(__file__).with_name("viewer.css").read_text(encoding="utf8")
    shown = traitlets.Dict({"title": "", "pictures": [], "strip": []}).tag(sync=True)
    width = traitlets.Int(480).tag(sync=True)
    aspect = traitlets.Float(1.5).tag(sync=True)
    layers = traitlets.Int(1).tag(sync=True)

    def __init__(self, hear, **traits):
        super().__init__(**traits)
        self.on_msg(lambda _, message, buffers: hear(message.get("kind"), message.get("value")))
