"""One picture of the mask browser, composed from photo, mask and probability. Pure functions, arrays in and out.

Photos are (H, W, 3) uint8 RGB, masks (H, W) with 0 for background, probabilities (H, W) float32 from 0 to 1. Mask and
probability may have another size than the photo; they are stretched over it.
"""

import io

import cv2
import matplotlib
import numpy as np
from PIL import Image

from carvana_course.show.figures import ORANGE, SKY
from carvana_course.show.pictures import ERROR_COLORS, error_map, overlay, stretch
from carvana_lib import metrics

PHOTO = "photo"
TRUE = "true mask"
PREDICTED = "predicted mask"
CONTOURS = "contours"
ERRORS = "error map"
HEAT = "heat map"
CUT_OUT = "cut-out"
LAYERS = (PHOTO, TRUE, PREDICTED, CONTOURS, ERRORS, HEAT, CUT_OUT)
COLORS = {"true": ORANGE, "predicted": SKY}
RAMP = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=-1)  # (1, 256, 3): each value a byte can have
HEAT_COLORS = matplotlib.colormaps["cividis"](np.arange(256), bytes=True)[:, None, :3]  # (256, 1, 3) uint8
HEAT_SCALE = [matplotlib.colors.to_hex(HEAT_COLORS[at, 0] / 255) for at in (0, 32, 64, 96, 128, 160, 192, 224, 255)]
GREYS = np.linspace(250, 190, 256).round().astype(np.uint8)
STUDIO = GREYS[:, None, None].repeat(3, axis=-1)  # (256, 1, 3): a grey background, light at the top


def available(has_mask: bool, has_probability: bool) -> tuple[str, ...]:
    """The layers that can be drawn from what is there."""
    needs = {
        TRUE: has_mask,
        PREDICTED: has_probability,
        CONTOURS: has_mask or has_probability,
        ERRORS: has_mask and has_probability,
        HEAT: has_probability,
        CUT_OUT: has_mask or has_probability,
    }
    return tuple(layer for layer in LAYERS if needs.get(layer, True))


def mask_score(mask, probability, threshold: float = 0.5) -> tuple[float, float] | None:
    """(IoU, Dice) at a threshold, on the mask's own pixels; None where one of the two is missing."""
    if mask is None or probability is None:
        return None
    is_car = mask > 0
    is_claimed = stretch(probability, mask.shape) >= threshold
    tp = np.count_nonzero(is_car & is_claimed)
    fp = np.count_nonzero(is_claimed) - tp
    fn = np.count_nonzero(is_car) - tp
    return float(metrics.iou(tp, fp, fn)), float(metrics.dice(tp, fp, fn))


def compose(
    photo,
    mask=None,
    probability=None,
    layer: str = PHOTO,
    opacity: float = 0.5,
    threshold: float = 0.5,
    background=None,
) -> np.ndarray:
    """The photo with one of LAYERS on it: (H, W, 3) uint8 of the photo's size, the photo itself where data lacks.

    `opacity` acts on the two masks and on the heat map: 0 shows the photo alone, 1 the layer alone. `threshold` makes
    the predicted mask; the cut-out shows the predicted car, or the true one where there is no prediction, on
    `background`, (h, w, 3) uint8. Raises ValueError for an unknown layer.
    """
    if layer not in LAYERS:
        raise ValueError(f"unknown layer '{layer}'; there are: {', '.join(LAYERS)}")
    if layer == PHOTO or layer not in available(mask is not None, probability is not None):
        return photo
    shape = photo.shape[:2]
    true = None
    predicted = None
    if mask is not None:
        true = (stretch(mask.astype(np.float32), shape) >= 0.5).astype(np.uint8)
    if probability is not None:
        probability = stretch(probability, shape)
        predicted = (probability >= threshold).astype(np.uint8)
    if layer == TRUE:
        return tint(photo, true, COLORS["true"], opacity)
    if layer == PREDICTED:
        return tint(photo, predicted, COLORS["predicted"], opacity)
    if layer == CONTOURS:
        return draw_contours(photo, true, predicted)
    if layer == ERRORS:
        return draw_errors(photo, true, predicted)
    if layer == HEAT:
        colors = cv2.applyColorMap(cv2.convertScaleAbs(probability, alpha=255), HEAT_COLORS)
        return cv2.addWeighted(photo, 1 - opacity, colors, opacity, 0)
    background = cv2.resize(STUDIO if background is None else background, shape[::-1])
    return cv2.copyTo(photo, true if predicted is None else predicted, background)


def apply_table(photo: np.ndarray, table: np.ndarray, where: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Look each byte up in `table` (1, 256, 3) and write it to `target` where `where` is 1.

    Tints change every byte by itself, so 256 results of `pictures.overlay` give them all, 20 times faster.
    """
    return cv2.copyTo(cv2.LUT(photo, table), where, target)


def tint(photo: np.ndarray, mask: np.ndarray, color: str, opacity: float) -> np.ndarray:
    """`pictures.overlay` by table: the photo with one colour over the mask (H, W) uint8 {0, 1}."""
    table = overlay(RAMP, np.ones((1, 256)), color, opacity)
    return apply_table(photo, table, mask, photo.copy())


def draw_errors(photo: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """`pictures.error_map` by table: the photo in grey, hits, misses and false alarms in colour."""
    grey = cv2.cvtColor(cv2.transform(photo, np.full((1, 3), 1 / 3)), cv2.COLOR_GRAY2RGB)
    picture = grey.copy()
    for is_car, is_claimed in ((1, 1), (1, 0), (0, 1)):
        where = ((true == is_car) & (predicted == is_claimed)).astype(np.uint8)
        table = error_map(RAMP, np.full((1, 256), is_car), np.full((1, 256), is_claimed))
        picture = apply_table(grey, table, where, picture)
    return picture


def draw_contours(photo: np.ndarray, true: np.ndarray | None, predicted: np.ndarray | None) -> np.ndarray:
    """The photo with the outline of the true mask (wide) and, over it, of the predicted one (narrow)."""
    picture = photo.copy()
    width = max(1, round(photo.shape[1] / 480))
    for mask, color, thickness in ((true, COLORS["true"], 4 * width), (predicted, COLORS["predicted"], 2 * width)):
        if mask is not None:
            contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            rgb = (255 * np.array(matplotlib.colors.to_rgb(color))).round().tolist()
            cv2.drawContours(picture, contours, -1, rgb, thickness)
    return picture


def outlines(mask, probability, threshold: float = 0.5) -> list[dict]:
    """What CONTOURS shows as lines for the page, which keep their width in any zoom: one a mask that is there.

    Each has its path in SVG through pixels counted from 0, the size (W, H) of what it is counted in, a color, and a
    width in pixels of the screen. The predicted mask is made where it is scored, on the true mask's pixels.
    """
    found = []
    if mask is not None:
        found.append({"path": path(mask), "color": COLORS["true"], "width": 2, "size": mask.shape[::-1]})
    if probability is not None:
        probability = probability if mask is None else stretch(probability, mask.shape)
        predicted = (probability >= threshold).astype(np.uint8)
        found.append({"path": path(predicted), "color": COLORS["predicted"], "width": 1, "size": predicted.shape[::-1]})
    return found


def path(mask: np.ndarray) -> str:
    """The outline of a mask (H, W) uint8 {0, 1} as an SVG path."""
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return "".join(f"M{' '.join(map(str, contour.ravel().tolist()))}Z" for contour in contours)


def legend(layer: str, has_mask: bool, has_probability: bool) -> dict[str, str]:
    """What the colours of a layer mean: {meaning: colour}."""
    if layer == ERRORS:
        return ERROR_COLORS
    if layer == HEAT:
        return {"probability 0": HEAT_SCALE[0], "0.5": HEAT_SCALE[4], "1": HEAT_SCALE[8]}
    meanings = []
    if layer == TRUE or (layer == CONTOURS and has_mask):
        meanings.append("true")
    if layer == PREDICTED or (layer == CONTOURS and has_probability):
        meanings.append("predicted")
    return {name: COLORS[name] for name in meanings}


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """(W, H) of a JPEG, from its header."""
    return Image.open(io.BytesIO(jpeg)).size


def encode_jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    """JPEG bytes of (H, W, 3) uint8; colours are as fine as the brightness, so that thin outlines keep theirs."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
    return encoded.tobytes()
