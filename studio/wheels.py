"""Wheels: tyre, rim with spokes or holes, brake disc, and the liner of the wheel opening."""

import numpy as np

from studio.mesh import Mesh, grid_faces, grid_mesh, moved, revolve, select_faces, vertex_normals

TYRE_WIDTH = 0.225


def wheel_meshes(spec, station, side, steer_degrees):
    """One wheel; `side` +1 is the car's left. Built round the origin, then steered and moved into place."""
    radius = spec.wheel_radius
    rim = radius * (0.66 if spec.kind in ("pickup",) else 0.715)
    tyre = [
        (rim, -TYRE_WIDTH),
        (radius * 0.94, -TYRE_WIDTH),
        (radius, -TYRE_WIDTH + 0.03),
        (radius, -0.03),
        (radius * 0.988, -0.010),
        (radius * 0.955, 0.001),
        (radius * 0.87, 0.008),
        (rim + 0.016, -0.002),
        (rim + 0.002, -0.012),
    ]
    parts = [
        revolve("tyre", tyre, side),
        revolve("barrel", [(rim, -0.01), (rim * 0.96, -0.05), (rim * 0.93, -TYRE_WIDTH)], side),
        revolve(
            spec.rim_finish,
            [(rim + 0.004, -0.012), (rim - 0.002, -0.003), (rim * 0.955, -0.010), (rim * 0.93, -0.03)],
            side,
        ),
        revolve("brake_disc", [(rim * 0.76, -0.095), (0.05, -0.095)], side),
        revolve("underside", [(rim, -0.15), (0.0, -0.15)], side),
    ] + spoke_meshes(spec, rim, side)
    place = np.array([spec.length / 2 - station, side * (spec.width / 2 - 0.022), radius])
    return [moved(part, place, steer_degrees) for part in parts]


def spoke_meshes(spec, rim, side):
    """The rim's face: a polar grid, sunk by 6 cm wherever there is no metal."""
    radius = np.linspace(0, rim * 0.955, 26)[:, None]
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)[None]
    share = radius / radius.max()
    metal = spoke_pattern(spec, radius, share, angle)
    dish = -0.010 - 0.030 * (1 - share) ** 1.5 + np.where(share < 0.13, 0.012, 0)
    depth = np.where(metal, dish, -0.075)
    points = np.stack([radius * np.cos(angle), side * depth, radius * np.sin(angle)], -1)
    faces = grid_faces(len(radius), angle.size, closed=True)
    if side < 0:
        faces = faces[:, ::-1]
    vertices = points.reshape(-1, 3)
    face = Mesh("rim", vertices, faces, vertex_normals(vertices, faces))
    corners = metal.ravel()[faces]
    return [
        select_faces(face, corners.all(1), spec.rim_finish),
        select_faces(face, corners.any(1) & ~corners.all(1), "barrel"),
    ]


def spoke_pattern(spec, radius, share, angle):
    """True where the rim's face is metal, on the polar grid."""
    turn = angle / (2 * np.pi)
    edge_and_hub = (share > 0.965) | (share < 0.23)
    if spec.wheel_style == "steel":
        holes = (np.abs(share - 0.72) < 0.11) & (np.abs((turn * 12) % 1 - 0.5) < 0.26)
        return ~holes
    count = spec.spokes
    sector = np.abs((turn * count) % 1 - 0.5)
    across = sector * 2 * np.pi / count * np.maximum(radius, 1e-3)
    scale = (5 / count) ** 0.4 * spec.wheel_radius / 0.33
    if spec.wheel_style == "double":
        return ((across < 0.040 * scale) & ((across > 0.016 * scale) | (share < 0.4))) | edge_and_hub
    if spec.wheel_style == "mesh":
        fork = 0.018 + 0.09 * np.clip(share - 0.55, 0, 1)
        return ((across < fork * scale) & ((across > (fork - 0.017) * scale) | (share < 0.62))) | edge_and_hub
    if spec.wheel_style == "blades":
        bent = np.abs(((turn + 0.10 * share) * count) % 1 - 0.5) * 2 * np.pi / count * np.maximum(radius, 1e-3)
        return (bent < 0.036 * scale * (0.8 + 0.5 * share)) | edge_and_hub
    return (across < (0.026 + 0.022 * (share - 0.45) ** 2 * 4) * scale) | edge_and_hub


def arch_liner(spec, lines, station, side):
    """The dark inside of a wheel opening: a half cylinder that ends above the sill, and its back wall."""
    radius, half = spec.arch_radius + 0.004, spec.width / 2
    sill = float(lines.sill(station)) + 0.06
    start = np.arcsin(np.clip((sill - spec.wheel_radius) / radius, -1, 1))
    angle = np.linspace(start, np.pi - start, 40)
    centre = np.array([spec.length / 2 - station, 0, spec.wheel_radius])

    def arc(reach, width):
        return np.stack([reach * np.cos(angle), np.full(40, side * width), reach * np.sin(angle)], -1) + centre

    return [
        grid_mesh("liner", np.stack([arc(radius, half - 0.05), arc(radius, half - 0.44)])),
        grid_mesh("liner", np.stack([arc(radius, half - 0.44), arc(0.02, half - 0.44)])),
    ]
