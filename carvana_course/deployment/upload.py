"""Your own photo, before a background of your own, and what the net makes of it. Works offline.

`PhotoUpload` as the last line of a cell is a widget where a person watches, and three pictures of an example elsewhere
(papermill, nbconvert, a saved notebook on the web, an installation without anywidget).
"""

import base64
import importlib.util
import io
from pathlib import Path, PurePath

import cv2
import ipywidgets as W
import numpy as np
from PIL import Image

from carvana_course.browser import layers
from carvana_course.deployment import cutout, predictions
from carvana_course.show import pictures
from carvana_course.show.live import Live
from carvana_lib import DataError, prediction
from carvana_lib.frame import Frame
from carvana_lib.reading import read_photo

FORMATS = ("JPEG", "PNG", "WEBP")  # Pillow's names of what is taken
FORMATS_IN_WORDS = "JPEG, PNG or WebP"
TYPES = "image/jpeg,image/png,image/webp"
MAX_MEGABYTES = 30
MAX_MEGAPIXELS = 50
LIMITS = f"{FORMATS_IN_WORDS}; at most {MAX_MEGABYTES} MB and {MAX_MEGAPIXELS} million pixels"
SHOWN = 960  # pixels: longer side of the pictures in the page; downloads have the photo's own size
CAPTIONS = {
    "mask": "the mask",
    "overlay": "the mask over the photo",
    "composite": "cut out, its shadow kept",
}
SAVED = {"mask": "mask", "cutout": "cut-out", "composite": "new picture"}  # what can be saved, in words


def read_upload(name: str, content: bytes) -> np.ndarray:
    """The bytes of a chosen file -> (H, W, 3) uint8 RGB. Its kind is told by its content, never by its name.

    Raises DataError for another kind, too many bytes or pixels, and a damaged file.
    """
    if len(content) > 1e6 * MAX_MEGABYTES:
        raise DataError(size_fault(name, len(content)))
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as header:
            too_large = header.width * header.height > 1e6 * MAX_MEGAPIXELS
    except Image.DecompressionBombError:  # Pillow's own, larger limit
        too_large = True
    except OSError:
        raise DataError(
            f"{name} is no {FORMATS_IN_WORDS} picture, whatever its name says; save it as one of these"
        ) from None
    if too_large:
        raise DataError(f"{name} has more than {MAX_MEGAPIXELS} million pixels; make it smaller")
    file = io.BytesIO(content)
    file.name = name  # for the message, should it be damaged
    return read_photo(file)


def size_fault(name: str, size: int) -> str:
    """What to say of a file of too many bytes."""
    return f"{name} has {size / 1e6:.1f} MB, at most {MAX_MEGABYTES} are taken; make it smaller"


def overlay_of(photo: np.ndarray, probability: np.ndarray, opacity: float = 0.5) -> np.ndarray:
    """The mask over the photo, (H, W, 3) uint8."""
    return layers.compose(photo, probability=probability, layer=layers.PREDICTED, opacity=opacity)


def as_png(picture: np.ndarray) -> bytes:
    """PNG bytes of (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, uint8."""
    return predictions.encode_picture(picture, Path("picture.png")).tobytes()


class PhotoUpload(Live):
    """A widget that takes a photo and a background, and shows mask, overlay and the car before the background.

    `model`, `frame` and `flip` are those of `prediction.probability`; `example` (H, W, 3) uint8 is what it shows
    first. A fault is one sentence above what was there before.
    """

    def __init__(self, model, frame: Frame, example: np.ndarray, flip: bool = False):
        self.model = model
        self.frame = frame
        self.flip = flip
        self.name = "the example"
        self.photo = example
        self.background = None
        self.logits = None  # of the frame; those of the photo follow from them
        self.parts = {}  # of files on their way
        self.page = None
        self.box = None

    def __repr__(self):
        return "PhotoUpload: run this cell in JupyterLab, or the notebook with Voila, to choose a photo"

    def _ipython_display_(self):
        if importlib.util.find_spec("anywidget") is None:
            raise NotImplementedError  # which tells IPython to go on to _repr_mimebundle_
        super()._ipython_display_()

    def _repr_mimebundle_(self, include=None, exclude=None):
        strip = self.strip()
        bundle = {"text/plain": repr(self), "image/jpeg": base64.b64encode(strip.data).decode()}
        return bundle, {"image/jpeg": {"alt": strip.alt}}

    def strip(self):
        """The photo, the mask over it and the car in a grey studio in a row, for pages without a kernel."""
        if self.logits is None:
            self.predict(self.name, self.photo)
        photo, logits = self.small()
        probability = prediction.sigmoid(logits)
        shown = {
            "the photo": photo,
            "the mask over it": overlay_of(photo, probability),
            CAPTIONS["composite"]: cutout.composite(photo, probability, cutout.studio_gradient(*photo.shape[:2])),
        }
        return pictures.picture_grid(shown.values(), list(shown), columns=len(shown))

    @property
    def widget(self) -> W.VBox:
        """The widget itself, made when it is first asked for; to put into a layout of your own."""
        if self.box is None:
            from carvana_course.deployment.upload_page import UploadPage

            hint = f"A photo of one car, and a background for it: {LIMITS}."
            limit = int(1e6 * MAX_MEGABYTES)
            self.page = UploadPage(types=TYPES, limit=limit, hint=hint, captions=CAPTIONS, files=SAVED)
            self.show(self.name, self.photo)
            self.page.on_msg(self.receive)
            self.page.observe(self.follow_slider, ["opacity", "threshold"])
            self.box = W.VBox([self.page])
        return self.box

    def receive(self, _, message: dict, buffers: list) -> None:
        """Answer the page. Whatever is wrong with a stranger's file, one sentence says it and the widget goes on."""
        before = dict(vars(self))
        try:
            self.answer(message, buffers)
        except Exception as error:
            vars(self).update(before)
            text = str(error).rstrip(".") or type(error).__name__
            self.tell(f"{text}. Below is still {self.page.name}.", alert=True)

    def answer(self, message: dict, buffers: list) -> None:
        """Do what the page asks for. Raises DataError for a file that is not taken."""
        kind = message["kind"]
        if kind == "part":
            self.take_part(message, bytes(buffers[0]))
        elif kind == "several":
            raise DataError(f"{message['count']} files at once are too many; drop one")
        elif kind == "too large":
            raise DataError(size_fault(message["name"], message["size"]))
        elif kind == "studio":
            self.background = None
            self.draw()
        elif kind == "save":
            self.save(message["what"])

    def take_part(self, message: dict, content: bytes) -> None:
        """Collect the parts of a file, and use it once it is whole."""
        use = message["use"]
        parts = self.parts.setdefault(use, [])
        if message["part"] == 0:
            parts.clear()
        parts.append(content)
        if len(parts) == message["parts"]:
            name = message["name"]
            picture = read_upload(name, b"".join(self.parts.pop(use)))
            if use == "photo":
                self.show(name, picture)
            else:
                self.background = picture
                self.draw()

    def predict(self, name: str, photo: np.ndarray) -> None:
        """Let a photo take the place of the one before, once the net has looked at it."""
        self.logits = prediction.net_logits(self.model, self.frame.resize(photo)[None], self.flip)[0]
        self.name = name
        self.photo = photo

    def show(self, name: str, photo: np.ndarray) -> None:
        """Predict a photo and show what comes of it."""
        self.predict(name, photo)
        self.draw()

    def small(self) -> tuple[np.ndarray, np.ndarray]:
        """(photo (h, w, 3) uint8, logits (h, w) float32), no side longer than SHOWN."""
        scale = min(1, SHOWN / max(self.photo.shape[:2]))
        size = [max(1, round(scale * side)) for side in self.photo.shape[1::-1]]
        photo = cv2.resize(self.photo, size, interpolation=cv2.INTER_AREA)
        return photo, self.frame.restore(self.logits, photo.shape[:2])

    def shifted(self, logits: np.ndarray) -> np.ndarray:
        """Logits less that of the page's threshold: what is car by it is where they are at least 0."""
        threshold = self.page.threshold
        return logits - np.float32(np.log(threshold / (1 - threshold)))

    def draw(self) -> None:
        """Show mask, overlay and the car before its background, and say what is shown."""
        photo, logits = self.small()
        logits = self.shifted(logits)
        probability = prediction.sigmoid(logits)
        with self.page.hold_sync():
            self.page.name = self.name
            self.page.mask = as_png(predictions.render("mask", photo, logits))
            self.page.overlay = layers.encode_jpeg(overlay_of(photo, probability, self.page.opacity))
            self.page.composite = layers.encode_jpeg(self.composite(photo, probability))
        share = float((logits >= 0).mean())
        found = f"the car is {share:.0%} of the picture"
        if not share:
            found = f"no car found: no pixel reaches probability {self.page.threshold:.2f}"
        self.tell(f"{self.name}, {self.photo.shape[1]} x {self.photo.shape[0]} pixels: {found}")

    def follow_slider(self, change) -> None:
        """Draw anew, after a change of opacity the overlay alone."""
        if change.name == "threshold":
            self.draw()
            return
        photo, logits = self.small()
        self.page.overlay = layers.encode_jpeg(overlay_of(photo, prediction.sigmoid(self.shifted(logits)), change.new))

    def composite(self, photo: np.ndarray, probability: np.ndarray) -> np.ndarray:
        """The car before the background that was chosen, or in a grey studio, (H, W, 3) uint8."""
        background = self.background
        if background is None:
            background = cutout.studio_gradient(*photo.shape[:2])
        return cutout.composite(photo, probability, background)

    def save(self, kind: str) -> None:
        """Give the page one of SAVED, of the photo's own size, as the sliders have it."""
        logits = self.shifted(self.frame.restore(self.logits, self.photo.shape[:2]))
        if kind == "composite":
            picture = cv2.cvtColor(self.composite(self.photo, prediction.sigmoid(logits)), cv2.COLOR_RGB2BGR)
        else:
            picture = predictions.render(kind, self.photo, logits)
        file = f"{PurePath(self.name).stem}_{SAVED[kind].replace(' ', '_')}.png"
        self.page.send({"kind": "file", "what": kind, "name": file}, [as_png(picture)])
        self.tell(f"saved: {file}, {self.photo.shape[1]} x {self.photo.shape[0]} pixels")

    def tell(self, text: str, alert: bool = False) -> None:
        """One line that screen readers read out; an alert at once."""
        number = self.page.message.get("number", 0) + 1
        self.page.message = {"text": text, "alert": alert, "number": number}
