"""Everything bolted to a car: mirrors, handles, rack, antenna, spoiler, tow hook, plates, bed, seats."""

import numpy as np

from studio.body import bed_stations, body_mesh, cabin_mesh, cabin_taper
from studio.mesh import grid_mesh, rounded_box, tube
from studio.wheels import arch_liner, wheel_meshes


def build_car(spec, lines):
    """All meshes of one car, the painted surfaces first."""
    meshes = [*body_mesh(spec, lines), cabin_mesh(spec, lines)]
    for axle, station in enumerate(lines.wheel_stations):
        for side in (1, -1):
            meshes += wheel_meshes(spec, station, side, spec.steer_degrees if axle == 0 else 0.0)
            meshes += arch_liner(spec, lines, station, side)
    meshes += interior(spec, lines) + chassis(spec) + plates(spec, lines)
    for side in (1, -1):
        meshes += mirror(spec, lines, side) + handles(spec, lines, side)
    meshes += bed(spec) if spec.bed else []
    meshes += roof_rack(spec, lines) if spec.rack else []
    meshes += antenna(spec, lines)
    meshes += spoiler(spec, lines) if spec.spoiler else []
    meshes += tow_hook(spec) if spec.tow_hook else []
    meshes += exhaust(spec, lines) if spec.kind not in ("van", "pickup") else []
    return meshes


def forward_of(spec, station):
    """The x coordinate of a station."""
    return spec.length / 2 - station


def chassis(spec):
    """A dark block that closes the view under the car's middle."""
    half = [spec.length / 2 - 0.40, spec.width * 0.27, 0.11]
    return [rounded_box("underside", [0, 0, spec.clearance + 0.14], half, 0.3)]


def interior(spec, lines):
    """Floor, dashboard, seats with head rests and the steering wheel: what one sees through the windows."""
    sill, headroom, half = spec.cowl_height, spec.height - spec.cowl_height, spec.width / 2
    ends = [forward_of(spec, spec.cowl + 0.05), forward_of(spec, spec.screen_foot - 0.10)]
    floor = np.array([[[x, -0.80 * half, sill - 0.09], [x, 0.80 * half, sill - 0.09]] for x in ends])
    dash = [forward_of(spec, spec.cowl + 0.48), 0, sill - 0.05]
    meshes = [grid_mesh("interior", floor), rounded_box("interior", dash, [0.28, 0.74 * half, 0.09])]
    front = spec.roof_front + 0.42
    rows = [front]
    if spec.roof_rear - spec.roof_front > 0.85:
        rows.append(min(spec.roof_rear - 0.02, front + 0.90))
    if spec.kind == "van" and not spec.panel_van:
        rows.append(front + 1.75)
    for station in rows:
        for side in (-1, 1):
            place, tilt = forward_of(spec, station), side * 0.38
            meshes += [
                rounded_box("seat", [place, tilt, sill + 0.04], [0.085, 0.23, headroom * 0.40], 0.5),
                rounded_box("seat", [place - 0.05, tilt, sill + headroom * 0.58], [0.045, 0.125, headroom * 0.15], 0.6),
            ]
    turn = np.linspace(0, 2 * np.pi, 40)
    place = forward_of(spec, spec.roof_front - 0.12)
    ring = np.stack([place + 0.08 * np.sin(turn), 0.38 + 0.18 * np.cos(turn), sill + 0.03 + 0.16 * np.sin(turn)], -1)
    return meshes + [tube("interior", ring, 0.014)]


def mirror(spec, lines, side):
    """A door mirror on its stalk at the front corner of the side window."""
    station = spec.cowl + 0.52
    big = 1.3 if spec.kind in ("van", "pickup", "suv") else 1.0
    shoulder = float(lines.half_width(station)) - 0.03
    place, out = forward_of(spec, station), side * (shoulder + 0.125)
    centre = [place, out, float(lines.deck(station)) + 0.085 * big]
    shell = "paint" if spec.painted_mirrors else "trim"
    return [
        rounded_box(shell, centre, [0.062 * big, 0.115, 0.070 * big], 0.55),
        rounded_box("chrome", [centre[0] - 0.056 * big, out, centre[2]], [0.010, 0.095, 0.052 * big], 0.6),
        rounded_box(
            "trim",
            [place + 0.01, side * (shoulder - 0.03), centre[2] - 0.055 * big],
            [0.035, 0.11, 0.018],
            0.6,
        ),
    ]


def handles(spec, lines, side):
    """Door handles before each door's rear edge."""
    meshes = []
    limit = lines.wheel_stations[1] + 0.05
    for pillar in [pillar for pillar in spec.pillars if pillar < limit][:2]:
        station = pillar - 0.15
        centre = [
            forward_of(spec, station),
            side * (float(lines.half_width(station)) - 0.008),
            float(lines.deck(station)) - 0.150,
        ]
        meshes.append(rounded_box("chrome" if spec.chrome else "paint", centre, [0.10, 0.020, 0.014], 0.6))
    return meshes


def roof_rack(spec, lines):
    """Two rails on short posts with air below them, and two cross bars."""
    share = np.linspace(0, 1, 40)
    start, end = spec.roof_front + 0.12, spec.roof_rear - 0.06
    stations = start + share * (end - start)
    side = 0.88 * float(cabin_taper(spec, spec.height)) * float(lines.cabin_half_width(spec.roof_front + 0.5))
    roof = lines.roof(stations) - 0.035
    rise = 0.075 * np.minimum(1, 9 * np.minimum(share, 1 - share))
    finish = "chrome" if spec.chrome else "trim"
    meshes = []
    for sign in (-1, 1):
        rail = np.stack([forward_of(spec, stations), np.full(40, sign * side), roof + rise], -1)
        meshes.append(tube(finish, rail, 0.018))
        for place in (4, 20, 35):
            post = [forward_of(spec, stations[place]), sign * side, roof[place] + 0.03]
            meshes.append(rounded_box("trim", post, [0.04, 0.017, 0.045], 0.6))
    for place in (11, 28):
        ends = [[forward_of(spec, stations[place]), sign * (side + 0.02), roof[place] + 0.085] for sign in (-1, 0, 1)]
        meshes.append(tube(finish, ends, 0.017))
    return meshes


def antenna(spec, lines):
    """A shark fin, a short whip on the roof's rear edge, or a long rod on the wing."""
    if spec.antenna == "fin":
        station = spec.roof_rear - 0.12
        return [
            rounded_box(
                "paint",
                [forward_of(spec, station), 0, float(lines.roof(station)) + 0.015],
                [0.095, 0.018, 0.045],
                0.9,
            )
        ]
    if spec.antenna == "none":
        return []
    on_wing = spec.antenna == "rod"
    station = spec.cowl - 0.02 if on_wing else spec.roof_rear - 0.10
    side = -0.40 * spec.width if on_wing else 0.0
    foot_height = float(lines.deck(station)) - 0.03 if on_wing else float(lines.roof(station)) - 0.01
    length, lean = (0.80, 0.22) if on_wing else (0.42, 0.62)
    share = np.linspace(0, 1, 10)[:, None]
    foot = np.array([forward_of(spec, station), side, foot_height])
    path = foot + share * length * np.array([-np.sin(lean), 0, np.cos(lean)])
    return [
        tube("trim", path, 0.0125 - 0.003 * share[:, 0]),
        rounded_box("trim", foot, [0.03, 0.025, 0.025], 0.7),
    ]


def spoiler(spec, lines):
    """A wing on two stands above the boot, or a lip that lengthens a hatchback's roof."""
    half = spec.width / 2
    if spec.kind == "hatchback":
        place = [forward_of(spec, spec.roof_rear + 0.07), 0, float(lines.roof(spec.roof_rear - 0.05)) - 0.032]
        return [rounded_box("paint", place, [0.17, 0.60 * half, 0.032], 0.55)]
    station = spec.length - 0.24
    foot = float(lines.deck(station))
    rise = 0.20 if spec.kind == "coupe" else 0.12
    wing = [forward_of(spec, station + 0.03), 0, foot + rise]
    meshes = [rounded_box("paint", wing, [0.125, 0.80 * half, 0.016], 0.5)]
    for side in (-1, 1):
        stand = [forward_of(spec, station), side * 0.52 * half, foot + rise / 2 - 0.02]
        meshes.append(
            rounded_box("trim" if spec.kind == "coupe" else "paint", stand, [0.06, 0.016, rise / 2 + 0.03], 0.5)
        )
    return meshes


def tow_hook(spec):
    """A tow bar: a square tube under the rear bumper and the ball on its neck."""
    height = spec.clearance + 0.13
    behind = -spec.length / 2
    neck = np.array(
        [
            [behind + 0.25, 0, height],
            [behind - 0.02, 0, height - 0.02],
            [behind - 0.09, 0, height],
            [behind - 0.10, 0, height + 0.07],
        ]
    )
    return [
        rounded_box("underside", [behind + 0.20, 0, height], [0.22, 0.045, 0.04], 0.2),
        tube("trim", neck, 0.024),
        rounded_box("chrome", [behind - 0.10, 0, height + 0.10], [0.033] * 3, 1.0),
    ]


def plates(spec, lines):
    """White number plates without characters, front and rear."""
    front = 0.5 * (spec.clearance + spec.nose_height) - (0.02 if not spec.bed else 0.12)
    rear = 0.72 if spec.kind in ("coupe", "sedan") else 0.80 if not spec.bed else 0.62
    front_place = [forward_of(spec, float(lines.nose_setback(front))) + 0.006, 0, front]
    rear_place = [-spec.length / 2 + float(lines.tail_setback(rear)) - 0.004, 0, rear]
    return [
        rounded_box("plate", front_place, [0.014, 0.20, 0.065], 0.12),
        rounded_box("plate", rear_place, [0.014, 0.20, 0.065], 0.12),
    ]


def exhaust(spec, lines):
    """Tail pipes: one, or one on each side of a coupe."""
    height = float(lines.sill(spec.length - 0.16)) + 0.015
    meshes = []
    for side in (-1, 1) if spec.kind == "coupe" else (1,):
        pipe = [[forward_of(spec, spec.length - back), side * 0.30 * spec.width, height] for back in (0.02, 0.3, 0.6)]
        meshes.append(tube("chrome", pipe, 0.036, sides=16))
    return meshes


def bed(spec):
    """The pickup's loading bed: four walls and a floor."""
    start, end = bed_stations(spec)
    front, back = forward_of(spec, start), forward_of(spec, end)
    half, floor, rim = spec.width / 2 - 0.165, 0.78, spec.tail_height - 0.03
    corners = np.array([[front, -half], [back, -half], [back, half], [front, half], [front, -half]])
    walls = np.stack([np.column_stack([corners, np.full(5, height)]) for height in (rim, floor)])
    ground = np.array([[[front, -half, floor], [front, half, floor]], [[back, -half, floor], [back, half, floor]]])
    return [grid_mesh("bed", walls), grid_mesh("bed", ground)]
