"""The camera: where it stands, how it jitters, and the rays through its pixels. Room frame, see scene.py."""

from dataclasses import dataclass, replace

import numpy as np

from studio.mesh import unit

SEQUENCE = (0.7548776662466927, 0.5698402909980532)  # steps of a plane-filling sequence of sample places


@dataclass
class Camera:
    """eye and target: metres. field_of_view: horizontal, degrees. roll: degrees."""

    eye: tuple
    target: tuple
    field_of_view: float
    roll: float


def draw_camera(spec, rng):
    """The camera as set up for one car; for long cars the operator zooms out until they fit."""

    def jitter(sigma):
        return float(np.clip(rng.normal(0, sigma), -2 * sigma, 2 * sigma))

    fitting = 2 * np.degrees(np.arctan((spec.length / 2 + 0.20) / (7.0 - spec.width / 2)))
    zoom = max(48.6 + jitter(1.4), float(fitting))
    return Camera(
        (7.0 + jitter(0.12), jitter(0.06), 1.86 + jitter(0.08)),
        (0.0, jitter(0.07), 0.66 + jitter(0.04)),
        zoom,
        jitter(0.3),
    )


def shaken(camera, rng):
    """The same camera a moment later: a few millimetres and hundredths of a degree off."""
    eye = tuple(value + float(rng.normal(0, 0.006)) for value in camera.eye)
    target = tuple(value + float(rng.normal(0, 0.008)) for value in camera.target)
    return replace(camera, eye=eye, target=target, roll=camera.roll + float(rng.normal(0, 0.03)))


class Lens:
    """Rays and projections of a camera for pictures of a given size."""

    def __init__(self, camera, width, height):
        self.width, self.height = width, height
        self.eye = np.array(camera.eye)
        forward = unit(np.array(camera.target) - self.eye)
        right = unit(np.cross(forward, [0, 0, 1.0]))
        up = np.cross(right, forward)
        cosine, sine = np.cos(np.radians(camera.roll)), np.sin(np.radians(camera.roll))
        self.right, self.up = cosine * right + sine * up, cosine * up - sine * right
        self.forward = forward
        self.focal = 0.5 * width / np.tan(np.radians(camera.field_of_view) / 2)  # in pixels
        self.pixel_angle = 1 / self.focal

    def directions(self, columns, rows):
        """Unit directions (n, 3) of the rays through places on the picture, in pixels from its top left."""
        across = (columns - self.width / 2) / self.focal
        down = (rows - self.height / 2) / self.focal
        return unit(self.forward + across[:, None] * self.right - down[:, None] * self.up).astype(np.float32)

    def project(self, points):
        """Columns and rows (pixels) of points in the room."""
        relative = points - self.eye
        depth = relative @ self.forward
        columns = self.width / 2 + self.focal * (relative @ self.right) / depth
        return columns, self.height / 2 - self.focal * (relative @ self.up) / depth


def sample_places(count):
    """`count` places within a pixel, evenly spread; the first few of many are evenly spread, too."""
    index = np.arange(1, count + 1)[:, None]
    return (0.5 + index * np.array(SEQUENCE)) % 1
