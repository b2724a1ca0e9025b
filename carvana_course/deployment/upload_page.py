"""The page's side of the upload (`upload.js`): drop zones, sliders and pictures; anywidget brings it there, offline."""

from pathlib import Path

import anywidget
from traitlets import Bytes, Dict, Float, Int, Unicode

FOLDER = Path(__file__).parent
DOM = FOLDER.parent / "browser" / "dom.js"


class UploadPage(anywidget.AnyWidget):
    """What the page shows of an upload, and what its sliders say; show it like any widget.

    Its messages, by kind: "part" of a file, "several" files or one "too large" that it did not send, "studio" for the
    background of the start, and "save", which is answered with a "file".
    """

    _esm = "".join(path.read_text(encoding="utf8") for path in (DOM, FOLDER / "upload.js"))
    _css = (FOLDER / "upload.css").read_text(encoding="utf8")
    types = Unicode().tag(sync=True)  # MIME types of the files to choose from
    limit = Int().tag(sync=True)  # bytes of a file
    hint = Unicode().tag(sync=True)
    captions = Dict().tag(sync=True)  # of the pictures below, by their names here
    files = Dict().tag(sync=True)  # what can be saved: its name in messages -> in words
    name = Unicode().tag(sync=True)  # of the photo that is shown
    mask = Bytes().tag(sync=True)  # JPEG or PNG
    overlay = Bytes().tag(sync=True)
    composite = Bytes().tag(sync=True)
    opacity = Float(0.5).tag(sync=True)  # of the mask over the photo
    threshold = Float(0.5).tag(sync=True)  # of the probability of car
    message = Dict().tag(sync=True)  # text, whether it is an alert, and a number, so that each is news
