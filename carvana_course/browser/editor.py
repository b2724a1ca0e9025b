"""The drawing surface of the mask browser: brush and eraser in the page (`editor.js`), the finished mask in Python.

anywidget brings the script to JupyterLab, notebooks and Voila without a build and without network. The photo goes to
the page once, as JPEG; strokes stay there; the mask comes back once, one bit a pixel.
"""

from pathlib import Path

import anywidget
import numpy as np

from carvana_course.browser.layers import COLORS, encode_jpeg
from carvana_lib import RunError

HERE = Path(__file__).parent


class MaskEditor(anywidget.AnyWidget):
    """A photo (H, W, 3) uint8 to draw a mask (H, W) uint8 {0, 1} on; show it like any widget.

    opacity: of the mask, at the start. on_open() is called once the page shows it; on_save(mask) with the mask that was
    drawn: it returns a sentence, or raises RunError where the mask could not be kept, which the page then says above
    the strokes; on_cancel() where the person wants no new mask.
    """

    _esm = "".join((HERE / name).read_text(encoding="utf8") for name in ("dom.js", "editor.js"))
    _css = (HERE / "editor.css").read_text(encoding="utf8")

    def __init__(self, photo: np.ndarray, mask: np.ndarray, name: str, opacity: float, on_open, on_save, on_cancel):
        super().__init__()
        self.photo = photo
        self.mask = mask
        self.facts = {"name": name, "opacity": opacity, "color": COLORS["true"]}
        self.on_open = on_open
        self.on_save = on_save
        self.on_cancel = on_cancel
        self.on_msg(self.receive)

    def receive(self, _, message: dict, buffers: list) -> None:
        """Answer the page: it opens, saves or gives up."""
        kind = message.get("kind")
        if kind == "open":
            height, width = self.mask.shape
            picture = {"kind": "picture", "width": width, "height": height, **self.facts}
            self.send(picture, [encode_jpeg(self.photo), np.packbits(self.mask).tobytes()])
            self.on_open()
        elif kind == "save":
            self.save(bytes(buffers[0]))
        elif kind == "cancel":
            self.on_cancel()

    def save(self, bits: bytes) -> None:
        """Hand on the mask that the page drew, one bit a pixel, row after row, the highest bit of a byte first."""
        pixels = np.unpackbits(np.frombuffer(bits, np.uint8), count=self.mask.size)
        try:
            said = self.on_save(pixels.reshape(self.mask.shape))
        except RunError as error:
            self.send({"kind": "failed", "text": f"{error}; the strokes are still here"})
        else:
            self.send({"kind": "saved", "text": said})
