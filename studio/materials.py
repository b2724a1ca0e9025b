"""Materials: a table of optical constants, and the numbers by which meshes refer to it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Material:
    """Optical constants of a surface.

    colour: linear red/green/blue reflectance of the diffuse part.  mirror: share reflected head-on.
    metal: how much of the diffuse light is a broad highlight instead.  blur: 0 a clear mirror image,
    1 only the blurred studio.  glow: light that the surface itself sends out.
    """

    colour: tuple
    mirror: float = 0.04
    metal: float = 0.0
    blur: float = 1.0
    glow: float = 0.0


TABLE = {
    "paint": Material((0.5, 0.5, 0.5), 0.045, 0.0, 0.0),
    "glass": Material((0.0, 0.0, 0.0), 0.045, 0.0, 0.0),
    "privacy_glass": Material((0.0, 0.0, 0.0), 0.045, 0.0, 0.0),
    "trim": Material((0.016, 0.016, 0.017), 0.04, 0.0, 0.55),
    "cladding": Material((0.022, 0.022, 0.023), 0.03, 0.0, 1.0),
    "underside": Material((0.006, 0.006, 0.006), 0.0),
    "liner": Material((0.010, 0.010, 0.010), 0.0),
    "chrome": Material((0.70, 0.71, 0.73), 0.70, 1.0, 0.15),
    "lamp_housing": Material((0.055, 0.060, 0.065), 0.22, 0.2, 0.25),
    "lamp_reflector": Material((0.42, 0.44, 0.47), 0.35, 0.6, 0.35),
    "lamp_lens": Material((0.72, 0.75, 0.78), 0.12, 0.3, 0.2, 0.10),
    "daylight": Material((0.80, 0.82, 0.84), 0.06, 0.0, 0.3, 0.22),
    "indicator": Material((0.55, 0.20, 0.02), 0.06, 0.0, 0.3),
    "tail_lamp": Material((0.20, 0.006, 0.008), 0.07, 0.0, 0.05),
    "tail_dark": Material((0.055, 0.003, 0.004), 0.07, 0.0, 0.05),
    "tail_light": Material((0.50, 0.020, 0.018), 0.06, 0.0, 0.2, 0.05),
    "reverse_lamp": Material((0.52, 0.50, 0.50), 0.08, 0.2, 0.2),
    "tyre": Material((0.017, 0.017, 0.018), 0.02),
    "rim": Material((0.50, 0.51, 0.53), 0.35, 0.45, 0.55),
    "dark_rim": Material((0.075, 0.076, 0.080), 0.10, 0.4, 0.55),
    "barrel": Material((0.045, 0.045, 0.050), 0.06, 0.2),
    "brake_disc": Material((0.20, 0.20, 0.20), 0.20, 0.5),
    "plate": Material((0.62, 0.64, 0.66), 0.04),
    "seam": Material((0.006, 0.006, 0.006), 0.0),
    "interior": Material((0.035, 0.034, 0.033), 0.0),
    "seat": Material((0.060, 0.058, 0.056), 0.0),
    "grille": Material((0.009, 0.009, 0.009), 0.03, 0.0, 0.8),
    "bed": Material((0.030, 0.030, 0.030), 0.03),
    # the two surfaces whose material is decided point by point, see skin.py
    "body": Material((1.0, 0.0, 1.0)),
    "cabin": Material((1.0, 0.0, 1.0)),
}
NUMBER = {name: number for number, name in enumerate(TABLE)}


class Palette:
    """The table as arrays indexed by material number, with one car's own paint in it."""

    def __init__(self, spec):
        entries = dict(TABLE)
        entries["paint"] = Material(spec.colour, 0.045, spec.metallic, 0.0)
        rows = list(entries.values())
        self.colour = np.array([row.colour for row in rows], np.float32)
        self.mirror = np.array([row.mirror for row in rows], np.float32)
        self.metal = np.array([row.metal for row in rows], np.float32)
        self.blur = np.array([row.blur for row in rows], np.float32)
        self.glow = np.array([row.glow for row in rows], np.float32)
