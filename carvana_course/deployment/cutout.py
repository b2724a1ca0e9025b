"""What the challenge was for: the car, cut out and put before another background, with the shadow that it had.

Photos are (H, W, 3) uint8 RGB, probabilities of car (H, W) float32; a probability of another size is stretched.
"""

import cv2
import numpy as np

from carvana_course.show import pictures

EDGE = 1.5  # pixels over which the car fades into the background: what a sharp photo does by itself
WORK = 480  # pixels: shadows are soft, so they are found at this length of the longer side
FLOOR_REACH = (48, 24)  # of those pixels, across and down: standard deviations of the average that is the floor
SHADOW_REACH = 64  # of those pixels: how far from the car its shadow may lie
SHADOW_BLUR = 1.5  # of those pixels: standard deviation of what smooths the shadow


def alpha(probability: np.ndarray) -> np.ndarray:
    """How solid each pixel is, (H, W) uint8: 255 in the car, 0 outside, at least 128 where probability is at least 0.5.

    A ramp over the probability itself would be as wide as the net was unsure or its output stretched: a grey halo. So
    the ramp is laid over the distance from the outline, EDGE pixels wide, with (p - 0.5) / |gradient of p| for the
    distance: exact where p is a slope, and far where p is flat.
    """
    right = cv2.Sobel(probability, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(probability, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    slope = np.maximum(cv2.magnitude(right, down), 1e-6)
    return (255 * np.clip(0.5 + (probability - 0.5) / (EDGE * slope), 0, 1) + 0.5).astype(np.uint8)


def cut_out(photo: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The car alone, (H, W, 4) uint8 RGBA; transparent pixels are black.

    Where car and old background share a pixel, its colour is a mixture, which shows as a rim of the old wall on the
    new one. The less of such a pixel is car, the more of its colour is taken from the solid car beside it.
    """
    photo = pictures.as_photo(photo)
    solidity = alpha(pictures.stretch(pictures.as_probability(probability), photo.shape[:2]))
    edge = (solidity > 0) & (solidity < 255)
    solid = cv2.erode((solidity == 255).astype(np.float32), np.ones((3, 3), np.uint8))
    own = solidity[edge] / 255
    car = np.dstack([np.where(solidity[..., None] > 0, photo, np.uint8(0)), solidity])
    for channel in range(3):  # one by one, since a large photo is much memory in float
        average, known = weighted_average(photo[..., channel].astype(np.float32), solid, EDGE)
        mixed = photo[..., channel][edge]
        beside = np.where(known[edge] > 1e-3, average[edge], mixed)
        car[edge, channel] = (own * mixed + (1 - own) * beside).round()
    return car


def weighted_average(
    values: np.ndarray, weight: np.ndarray, across: float, down: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian average of `values` (H, W) in which each pixel counts by its weight: (average, weight near by).

    The standard deviation is `across` pixels, and `down` vertically where that is another.
    """
    near = cv2.GaussianBlur(weight, (0, 0), across, sigmaY=down)
    return cv2.GaussianBlur(values * weight, (0, 0), across, sigmaY=down) / np.maximum(near, 1e-12), near


def floor_shadow(photo: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The share of light that the floor kept under and beside the car, (H, W) float32 from 0 to 1 (no shadow).

    It is the photo's brightness divided by that of the same floor without the car. The second is unknown, so it is
    averaged from the floor near by, four times, each time leaving out more of what is darker than the last average.
    Only what lies low and near the car counts, since the wall's lettering is dark as well.
    """
    height, width = photo.shape[:2]
    scale = WORK / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    light = cv2.resize(photo.astype(np.float32).mean(-1), size, interpolation=cv2.INTER_AREA)
    spread = cv2.resize((probability >= 0.5).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    car = cv2.dilate((spread > 0.02).astype(np.uint8), np.ones((3, 3), np.uint8))  # with what the net may have missed
    if not car.any() or car.all():
        return np.ones((height, width), np.float32)

    outside = 1 - car.astype(np.float32)
    weight = outside
    for _ in range(4):
        floor, _ = weighted_average(light, weight, *FLOOR_REACH)
        weight = outside * np.clip(10 * light / np.maximum(floor, 1) - 9, 1e-4, 1)  # 0.9 of the average: out
    share = np.clip(light / np.maximum(floor, 1), 0, 1)
    fine, known = weighted_average(share, outside, SHADOW_BLUR)
    coarse, _ = weighted_average(share, outside, 4 * SHADOW_BLUR)  # goes on a little below the car, for its soft edge
    share = np.clip(np.where(known > 0.01, fine, coarse) / 0.96, 0, 1)  # 4 % are dust and noise

    top, bottom = np.flatnonzero(car.any(1))[[0, -1]]
    low = np.clip((np.arange(size[1]) - top) / max(1, bottom - top) * 4 - 2.4, 0, 1)  # from 0.6 of its height to 0.85
    near = np.clip(1.5 - cv2.distanceTransform(1 - car, cv2.DIST_L2, 5) / SHADOW_REACH * 1.5, 0, 1)
    kept = 1 - (1 - share) * near * low[:, None]
    return cv2.resize(kept.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def studio_gradient(height: int, width: int, wall: int = 235, floor: int = 150) -> np.ndarray:
    """A grey studio, (height, width, 3) uint8: a light wall that runs over into a darker floor without a line."""
    grey = np.interp(np.linspace(0, 1, height), [0, 0.5, 0.62, 1], [wall, wall - 30, wall - 55, floor])
    return np.broadcast_to(grey.round().astype(np.uint8)[:, None, None], (height, width, 3)).copy()


def cover(background: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) uint8 -> the middle of it that fills (H, W), in its own proportions: (H, W, 3) uint8."""
    height, width = background.shape[:2]
    scale = max(shape[0] / height, shape[1] / width)
    high = min(height, max(1, round(shape[0] / scale)))
    wide = min(width, max(1, round(shape[1] / scale)))
    top = (height - high) // 2
    left = (width - wide) // 2
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(background[top : top + high, left : left + wide], shape[::-1], interpolation=method)


def composite(photo: np.ndarray, probability: np.ndarray, background: np.ndarray, shadow: bool = True) -> np.ndarray:
    """The car before `background` (h, w, 3) uint8, whose middle covers the photo's size: (H, W, 3) uint8.

    With `shadow`, what the car's shadow took from the old floor it takes from the new one.
    """
    photo = pictures.as_photo(photo)
    height, width = photo.shape[:2]
    probability = pictures.stretch(pictures.as_probability(probability), (height, width))
    ground = cover(pictures.as_photo(background), (height, width)).astype(np.float32)
    if shadow:
        ground *= floor_shadow(photo, probability)[..., None]
    car = cut_out(photo, probability).astype(np.float32)
    solidity = car[..., 3:] / 255
    return (solidity * car[..., :3] + (1 - solidity) * ground).round().astype(np.uint8)


def steps(photo: np.ndarray, probability: np.ndarray):
    """Photo, probability, mask and the car in a grey studio, in a row; a JPEG to show."""
    mask = (probability >= 0.5).astype(np.uint8)
    car = composite(photo, probability, studio_gradient(*photo.shape[:2]))
    return pictures.picture_grid([photo, probability, mask, car], ["photo", "probability", "mask", "cut-out"])
