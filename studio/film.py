"""From linear light to a JPEG file: exposure, white balance, lens, tone curve, sensor noise."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

SHOULDER = 0.72
CONTRAST = 0.20


@dataclass
class Film:
    """How one car's pictures are exposed. gain: factor on the light. balance: red, green, blue factors.
    noise: standard deviation in the dark, in units of the full range. blur: sigma of the lens in pixels.
    """

    gain: float
    balance: tuple
    noise: float
    blur: float
    vignette: float


def draw_film(rng):
    """Exposure, white balance and noise drift from car to car."""
    warmth = rng.normal(0, 0.018)
    return Film(
        float(1.08 * np.exp(rng.normal(0, 0.09))),
        (1 + warmth, 1.0, 1 - 1.2 * warmth),
        float(rng.uniform(0.002, 0.0045)),
        float(rng.uniform(0.48, 0.64)),
        float(rng.uniform(0.06, 0.16)),
    )


def develop(light, film, rng):
    """Linear light (height, width, 3) to 8-bit sRGB."""
    height, width = light.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    from_centre = ((rows - height / 2) ** 2 + (columns - width / 2) ** 2) / (width / 2) ** 2
    exposed = light * film.gain * np.array(film.balance, np.float32) * (1 - film.vignette * from_centre)[..., None]
    exposed = lens_blur(np.maximum(exposed, 0), film.blur)
    room = 1.0 - SHOULDER
    exposed = np.where(exposed < SHOULDER, exposed, SHOULDER + room * (1 - np.exp(-(exposed - SHOULDER) / room)))
    toned = np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * np.maximum(exposed, 1e-9) ** (1 / 2.4) - 0.055)
    toned = toned - CONTRAST * np.sin(2 * np.pi * np.clip(toned, 0, 1)) / (2 * np.pi)
    grain = 0.5 * rng.normal(0, 1, toned.shape) + rng.normal(0, 1, toned.shape[:2])[..., None]
    toned = toned + grain * film.noise * (0.35 + 0.65 * np.sqrt(np.clip(1 - toned, 0, 1)))
    return (np.clip(toned, 0, 1) * 255 + 0.5).astype(np.uint8)


def lens_blur(picture, sigma):
    """Gaussian blur over three pixels each way."""
    reach = np.arange(-3, 4)
    weights = np.exp(-0.5 * (reach / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        padding = [(3, 3) if axis == other else (0, 0) for other in range(3)]
        padded = np.pad(picture, padding, mode="edge")
        length = picture.shape[axis]
        picture = sum(value * padded.take(range(step, step + length), axis) for step, value in enumerate(weights))
    return picture


def jpeg_bytes(pixels, quality):
    """The picture as a JPEG file in memory."""
    memory = BytesIO()
    Image.fromarray(pixels).save(memory, "JPEG", quality=quality, optimize=True)
    return memory.getvalue()


def mask_bytes(mask):
    """A boolean mask as a palette GIF with the values 0 and 1, shown black and white."""
    picture = Image.fromarray(mask.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 255, 255])
    memory = BytesIO()
    picture.save(memory, "GIF", optimize=False)
    return memory.getvalue()
