"""Your own photo, before a background of your own, and what the net makes of it. ipywidgets only, works offline.

`PhotoUpload` as the last line of a cell is a widget where a person watches, and the same three pictures of an example
elsewhere (papermill, nbconvert, a saved notebook on the web).
"""

import base64
import html
import io
import time
from pathlib import PurePath

import cv2
import ipywidgets as W
import numpy as np
from PIL import Image

from carvana_course.browser import layers
from carvana_course.deployment import cutout, predictions
from carvana_course.deployment.file_button import MAX_MEGABYTES, file_button, size_guard
from carvana_course.show import pictures
from carvana_course.show.live import Live
from carvana_lib import DataError, prediction
from carvana_lib.frame import Frame
from carvana_lib.reading import read_photo

FORMATS = ("JPEG", "PNG", "WEBP")  # Pillow's names of what is taken
FORMATS_IN_WORDS = "JPEG, PNG or WebP"
TYPES = "image/jpeg,image/png,image/webp"
MAX_MEGAPIXELS = 50
LIMITS = f"{FORMATS_IN_WORDS}; at most {MAX_MEGABYTES} MB and {MAX_MEGAPIXELS} million pixels"
SHOWN = 960  # pixels: longer side of the pictures in the page; downloads have the photo's own size
GRID_STYLE = (
    "display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;line-height:1.4;"
    "width:0;min-width:100%"  # as wide as there is room, never wider to hold all three in a row
)
FIGURE = (
    "<figure style='margin:0'><img alt='{}' src='{}' style='width:100%;display:block'>"
    "<figcaption>{}</figcaption></figure>"
)
LINK = (
    "<a download='{}' href='{}' style='display:inline-block;margin:8px 16px 0 0;line-height:1.4;"
    "text-decoration:underline'>save the {} (PNG)</a> "
)


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


def views(photo: np.ndarray, probability: np.ndarray, background: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The three pictures of the widget by caption, (h, w, 3) uint8, no side longer than SHOWN.

    The car is put before `background` (H, W, 3) uint8, stretched to the photo's shape, or into a grey studio.
    """
    scale = min(1, SHOWN / max(photo.shape[:2]))
    size = [max(1, round(scale * side)) for side in photo.shape[1::-1]]
    photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    probability = cv2.resize(probability, size, interpolation=cv2.INTER_AREA)
    ground = cutout.studio_gradient(*photo.shape[:2]) if background is None else background
    return {
        "the photo": photo,
        "the mask over it": layers.compose(photo, probability=probability, layer=layers.PREDICTED),
        "cut out, its shadow kept": cutout.composite(photo, probability, ground),
    }


def as_uri(kind: str, content: bytes) -> str:
    """A picture's bytes as an address that holds the picture itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class PhotoUpload(Live):
    """A widget that takes a photo and shows mask and cut-out, to look at and to save; and a background, to look at.

    `model`, `frame` and `flip` are those of `prediction.probability`; `example` (H, W, 3) uint8 is what it shows
    first.
    """

    def __init__(self, model, frame: Frame, example: np.ndarray, flip: bool = False):
        self.model = model
        self.frame = frame
        self.flip = flip
        self.name = "the example"
        self.photo = example
        self.background = None
        self.controls = None

    def __repr__(self):
        return "PhotoUpload: run this cell in JupyterLab, or the notebook with Voila, to choose a photo"

    def _repr_mimebundle_(self, include=None, exclude=None):
        strip = self.strip()
        bundle = {"text/plain": repr(self), "image/jpeg": base64.b64encode(strip.data).decode()}
        return bundle, {"image/jpeg": {"alt": strip.alt}}

    def strip(self):
        """The example's three pictures in a row, for pages without a kernel."""
        probability = prediction.probability(self.model, self.photo, self.frame, flip=self.flip)
        shown = views(self.photo, probability)
        return pictures.picture_grid(shown.values(), list(shown), columns=len(shown))

    @property
    def widget(self):
        """The widget itself, made when it is first asked for; to put into a layout of your own."""
        if self.controls is None:
            self.make_controls()
            self.show(self.name, self.photo, self.background)
        return self.controls

    def make_controls(self):
        """Two buttons with a hint beside them; below, a line that says what is shown, and the pictures."""
        self.button = file_button("choose a photo", f"a photo of one car: {LIMITS}", TYPES)
        self.ground_button = file_button("choose a background", f"what it is put before: {LIMITS}", TYPES)
        guard = size_guard(lambda name, size: self.tell(size_fault(name, size), alert=True))
        hint = W.HTML(f"<div style='line-height:1.4'>A photo of one car, and a background for it: {LIMITS}.</div>")
        row = W.Box(
            [self.button, self.ground_button, hint],
            layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 12px"},
        )
        self.status = W.HTML()
        self.result = W.HTML(layout={"width": "100%"})
        self.controls = W.VBox([row, self.status, self.result, guard])
        self.button.observe(self.take_photo, "value")
        self.ground_button.observe(self.take_background, "value")

    def take_photo(self, change):
        """Show the photo that was chosen, before the background that there is."""
        self.take(change, lambda name, chosen: self.show(name, chosen, self.background))

    def take_background(self, change):
        """Show the photo that there is before the background that was chosen."""
        self.take(change, lambda name, chosen: self.show(self.name, self.photo, chosen))

    def take(self, change, use):
        """Read the file that was chosen for `use`; say in one sentence what is wrong with it, if anything is."""
        try:
            for file in change["new"]:  # one, or none where the choice was taken back
                self.tell(f"{file['name']}: one moment ...")
                use(file["name"], read_upload(file["name"], bytes(file["content"])))
        except Exception as error:  # anything may be wrong with a stranger's file; the widget must go on
            self.tell(str(error) or type(error).__name__, alert=True)

    def tell(self, message: str, alert: bool = False):
        """One line that screen readers read out; an alert at once."""
        role = "status"
        style = "line-height:1.4;"
        if alert:
            role = "alert"
            style += "color:var(--jp-error-color1,#b71c1c);font-weight:600"
            self.result.value = ""
        self.status.value = f"<div role='{role}' style='{style}'>{html.escape(message)}</div>"

    def show(self, name: str, photo: np.ndarray, background: np.ndarray | None):
        """Predict, and fill in pictures, facts and downloads; what was shown is kept for the next choice."""
        started = time.perf_counter()
        logits = prediction.photo_logits(self.model, photo, self.frame, flip=self.flip)
        seconds = time.perf_counter() - started
        figures = ""
        for caption, picture in views(photo, prediction.sigmoid(logits), background).items():
            alt = html.escape(f"{name}: {caption}")
            figures += FIGURE.format(alt, as_uri("jpeg", layers.encode_jpeg(picture)), caption)
        links = ""
        for kind, in_words in {"mask": "mask", "cutout": "cut-out"}.items():
            file = PurePath(f"{PurePath(name).stem}_{in_words}.png")
            content = predictions.encode_picture(predictions.render(kind, photo, logits), file).tobytes()
            links += LINK.format(html.escape(file.name), as_uri("png", content), in_words)
        self.name = name
        self.photo = photo
        self.background = background
        self.result.value = f"<div style='{GRID_STYLE}'>{figures}</div>{links}"
        share = float((logits >= 0).mean())
        seen = f"the car is {share:.0%} of the picture" if share else "no car found: no pixel reaches probability 0.5"
        self.tell(f"{name}, {photo.shape[1]} x {photo.shape[0]} pixels: {seen} ({seconds:.2f} s)")
