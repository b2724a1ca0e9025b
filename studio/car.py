"""Parametric cars: what one car is made of, the seven body kinds, the paints and the invented makes.

Lengths are metres. A *station* is the distance from the front bumper's tip, measured along the car,
so that every number below can be read off a side-view drawing with the nose on the left.
"""

from dataclasses import dataclass, field


@dataclass
class CarSpec:
    """Everything that distinguishes one car from another."""

    kind: str = "sedan"
    make: str = ""
    model: str = ""
    year: int = 2020
    # overall size
    length: float = 4.75
    width: float = 1.85
    height: float = 1.45
    wheelbase: float = 2.80
    front_overhang: float = 0.89
    wheel_radius: float = 0.345
    arch_radius: float = 0.388
    clearance: float = 0.17
    # heights along the bonnet and the boot
    nose_height: float = 0.75
    hood_height: float = 0.885
    cowl_height: float = 0.985
    deck_height: float = 1.08
    tail_height: float = 1.055
    # stations along the roof line: foot of the windscreen, roof, foot of the rear window
    cowl: float = 1.20
    roof_front: float = 2.05
    roof_rear: float = 3.15
    screen_foot: float = 4.22
    roof_drop: float = 0.055
    roof_rounding: float = 0.075
    pillars: tuple = (2.38, 3.22)
    # how upright the faces are: metres that the top leans back; how square they are in plan
    nose_lean: float = 0.13
    tail_lean: float = 0.06
    front_squareness: float = 2.5
    front_depth: float = 0.85
    rear_depth: float = 0.62
    rear_squareness: float = 3.0
    section_squareness: float = 4.6
    tumblehome: float = 0.20
    # styling
    bed: bool = False
    panel_van: bool = False
    cladding: bool = False
    chrome: bool = False
    dark_roof: bool = False
    grille: str = "bars"
    grille_size: float = 0.5
    lamps: str = "slim"
    tail_lamps: str = "wide"
    wheel_style: str = "spokes"
    spokes: int = 5
    rim_finish: str = "rim"
    window_tint: float = 0.55
    privacy_glass: bool = False
    steer_degrees: float = 0.0
    # the small parts that make segmentation hard
    rack: bool = False
    antenna: str = "fin"
    spoiler: bool = False
    tow_hook: bool = False
    painted_mirrors: bool = True
    # paint
    paint: str = "grey"
    colour: tuple = field(default=(0.5, 0.5, 0.5))
    metallic: float = 0.0


# fmt: off
# a line for each dimension that the kinds differ in, a column for each kind; units as in CarSpec
KINDS = ("sedan", "hatchback", "wagon", "coupe", "suv", "pickup", "van")
KIND_TABLE = {
    #                         sedan hatchb  wagon  coupe    suv pickup    van
    "length":              ( 4.75,  4.22,  4.78,  4.52,  4.66,  5.52,  5.02),
    "width":               ( 1.85,   1.8,  1.85,  1.87,  1.91,  1.98,  1.97),
    "height":              ( 1.45,  1.48,  1.47,  1.33,  1.72,  1.86,  1.89),
    "wheelbase":           (  2.8,  2.62,   2.8,  2.66,  2.72,  3.52,  3.05),
    "front_overhang":      ( 0.89,  0.84,  0.89,  0.89,  0.88,  0.93,  0.94),
    "wheel_radius":        (0.345,  0.33, 0.345, 0.345, 0.385,   0.4, 0.345),
    "arch_radius":         (0.388, 0.372, 0.388, 0.378,  0.44, 0.465, 0.392),
    "clearance":           ( 0.17,  0.17,  0.17, 0.135,  0.23,  0.29,  0.18),
    "nose_height":         ( 0.75,  0.75,  0.75,  0.66,  0.96,  1.05,  0.86),
    "hood_height":         (0.885,  0.89, 0.885, 0.815,  1.08, 1.165,  1.04),
    "cowl_height":         (0.985,  0.99, 0.985,   0.9,  1.15, 1.215,  1.16),
    "deck_height":         ( 1.08,  1.07,  1.06, 0.985,  1.22,  1.24,   1.2),
    "tail_height":         (1.055,  1.02,  1.01,  0.97,  1.16,  1.23,  1.15),
    "cowl":                (  1.2,  1.05,   1.2,  1.42,  1.16,  1.42,  0.96),
    "roof_front":          ( 2.05,   1.8,  2.05,  2.18,  1.88,  2.02,  1.84),
    "roof_rear":           ( 3.15,  3.42,  4.02,  2.75,  3.86,  3.42,  4.62),
    "screen_foot":         ( 4.22,  4.05,  4.58,  4.12,  4.46,  3.66,  4.92),
    "roof_drop":           (0.055,  0.06, 0.065,  0.03,  0.06,  0.03,  0.03),
    "roof_rounding":       (0.075, 0.075, 0.075,  0.11, 0.075,  0.06, 0.075),
    "pillars": ((2.38, 3.22), (2.16, 2.98), (2.38, 3.24), (2.98,), (2.36, 3.24), (2.46, 3.2), (2.14, 3.38)),
    "nose_lean":           ( 0.13,  0.13,  0.13,  0.13,  0.09,  0.05,  0.11),
    "tail_lean":           ( 0.06,   0.1,   0.1,  0.06,  0.09,  0.02,  0.03),
    "front_squareness":    (  2.5,   2.5,   2.5,   2.5,   2.8,   3.2,   2.8),
    "front_depth":         ( 0.85,  0.85,  0.85,  0.85,  0.76,   0.7,   0.8),
    "rear_depth":          ( 0.62,  0.62,  0.62,  0.62,  0.55,  0.24,  0.45),
    "rear_squareness":     (  3.0,   3.2,   3.4,   3.0,   3.6,   6.0,   5.0),
    "section_squareness":  (  4.6,   4.6,   4.6,   4.0,   5.0,   7.0,   5.2),
    "tumblehome":          (  0.2,   0.2,   0.2,  0.24,  0.18,  0.15,  0.14),
}
# fmt: on


def drawing(kind):
    """The average car of a kind."""
    column = KINDS.index(kind)
    dimensions = {name: values[column] for name, values in KIND_TABLE.items()}
    return CarSpec(kind=kind, bed=kind == "pickup", cladding=kind == "suv", **dimensions)


# name: (share of the cars, linear red/green/blue reflectance, share of metallic flakes)
PAINTS = {
    "white": (0.22, (0.78, 0.78, 0.765), 0.0),
    "black": (0.19, (0.011, 0.011, 0.013), 0.0),
    "grey": (0.16, (0.105, 0.108, 0.113), 0.8),
    "silver": (0.13, (0.46, 0.47, 0.48), 0.9),
    "blue": (0.09, (0.018, 0.055, 0.22), 0.5),
    "red": (0.09, (0.36, 0.010, 0.014), 0.1),
    "beige": (0.04, (0.42, 0.37, 0.28), 0.7),
    "green": (0.03, (0.025, 0.085, 0.052), 0.5),
    "orange": (0.03, (0.55, 0.145, 0.018), 0.1),
    "yellow": (0.02, (0.70, 0.50, 0.03), 0.0),
}

# invented makes, each with the face that its cars share: grille, head lamps, tail lamps
MAKES = {
    "Aldora": ("mesh", "slim", "wide"),
    "Brisewell": ("bars", "block", "upright"),
    "Cindrell": ("frame", "swept", "hook"),
    "Fjordan": ("slim", "slim", "bar"),
    "Marvello": ("split", "swept", "wide"),
    "Oskira": ("frame", "block", "upright"),
    "Pellandt": ("slats", "round", "hook"),
}
MODELS = {
    "sedan": "Linden",
    "hatchback": "Wren",
    "wagon": "Meadow",
    "coupe": "Larkspur",
    "suv": "Boulder",
    "pickup": "Drover",
    "van": "Harbour",
}
