"""The looks of a room: colours, turntable, word and lights, and how they differ from car to car.

Lengths are metres in the room frame (see scene.py), colours linear; 1 is the white of an evenly lit wall.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass
class Stage:
    """One room's looks. Rooms differ from car to car, as if several studios took the pictures.

    wall, floor: linear colours.  floor_mirror: share reflected head-on.  floor_roughness: spread of the
    mirrored rays.  radius: of the round wall.  turntable: its radius; groove, disc_tone: its rim and tone.
    letter_height, letter_foot: metres; letter_weight, letter_shift: in letter heights; letter_tone: share
    of the wall's light.  boxes: soft boxes (centre x, y, half sizes, radiance).  camera_side: tone of the
    wall behind the camera.  glare: factor on the boxes seen in a mirror.  dark_edge: x where the stage ends
    towards the camera (99: out of sight), edge_slant: its slope.  stain_phase, joint_turn: the floor's
    pattern, radians.
    """

    wall: tuple = (0.93, 0.93, 0.92)
    floor: tuple = (0.46, 0.46, 0.455)
    floor_mirror: float = 0.05
    floor_roughness: float = 0.045
    radius: float = 9.6
    turntable: float = 3.35
    groove: float = 0.35
    disc_tone: float = 1.05
    letter_height: float = 1.65
    letter_foot: float = 0.20
    letter_weight: float = 0.12
    letter_tone: float = 0.13
    letter_shift: float = 0.0
    boxes: tuple = ((0.6, 0.0, 2.2, 3.0, 3.2), (4.6, 5.6, 1.3, 0.9, 4.5), (4.6, -5.6, 1.3, 0.9, 4.5))
    camera_side: float = 0.42
    glare: float = 1.6
    dark_edge: float = 99.0
    edge_slant: float = 0.0
    stain_phase: float = 0.0
    joint_turn: float = 0.3


PRESETS = (
    # white wall over a cool grey floor
    Stage(floor=(0.41, 0.415, 0.425), letter_weight=0.11),
    # warm beige floor
    Stage(
        floor=(0.56, 0.53, 0.46),
        wall=(0.95, 0.94, 0.91),
        radius=10.2,
        letter_weight=0.14,
        groove=0.45,
        boxes=((0.2, 0.8, 2.6, 2.2, 3.4), (4.8, -5.0, 1.5, 1.2, 5.5)),
    ),
    # nearly white floor: the wall's foot is hardly to be seen
    Stage(
        floor=(0.74, 0.74, 0.73),
        wall=(0.98, 0.98, 0.97),
        radius=9.0,
        letter_height=1.5,
        letter_weight=0.17,
        letter_tone=0.25,
        groove=0.25,
        floor_mirror=0.035,
    ),
    # dark polished floor
    Stage(
        floor=(0.215, 0.218, 0.222),
        radius=9.2,
        floor_mirror=0.075,
        floor_roughness=0.03,
        letter_weight=0.10,
        groove=0.5,
        boxes=((0.8, 0, 1.5, 4.2, 3.8), (5.2, 4.6, 1.0, 1.4, 6.0), (3.0, -6.2, 1.2, 0.8, 3.5)),
    ),
    # one strong box from the left: a shadow that falls to the right
    Stage(
        floor=(0.46, 0.46, 0.455),
        letter_height=1.75,
        letter_weight=0.19,
        letter_tone=0.30,
        boxes=((0.6, 0.0, 2.0, 2.6, 2.2), (1.8, -5.6, 1.6, 1.1, 12.0)),
    ),
)


def draw_stage(number, rng):
    """The preset `number` (modulo their count) with its tones and distances moved a little."""
    base = PRESETS[number % len(PRESETS)]
    tone = rng.uniform(0.9, 1.1)
    tint = 1 + rng.normal(0, 0.012, 3)
    # where the camera looks over the rim of the stage: a dark edge in the picture's lower corners
    edge = float(rng.uniform(2.98, 3.14)) if rng.random() < 0.35 else 99.0
    return replace(
        base,
        floor=tuple(float(value) for value in np.array(base.floor) * tone * tint),
        radius=base.radius + float(rng.uniform(-0.6, 0.8)),
        turntable=base.turntable + float(rng.uniform(-0.15, 0.10)),
        groove=base.groove * float(rng.uniform(0.6, 1.2)),
        disc_tone=float(rng.uniform(0.94, 1.07)),
        letter_foot=float(rng.uniform(0.05, 0.45)),
        letter_shift=float(rng.normal(0, 0.25)),
        letter_tone=base.letter_tone * float(rng.uniform(0.8, 1.3)),
        camera_side=float(rng.uniform(0.32, 0.52)),
        dark_edge=edge,
        edge_slant=float(rng.normal(0, 0.03)),
        stain_phase=float(rng.uniform(0, 20)),
        joint_turn=float(rng.uniform(0, 3)),
    )
