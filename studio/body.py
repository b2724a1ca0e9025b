"""The two painted surfaces of a car, body and cabin, as meshes. Frame and lengths: see mesh.py, lines.py.

The body is a row of cross-sections from bumper to bumper. Each is a superellipse, pressed in and out
by the sculpture of the flanks, and the whole row is leant back at nose and tail. The cabin is a second
row of sections from the foot of the windscreen to the foot of the rear window.
"""

import numpy as np

from studio.lines import smooth_step
from studio.mesh import Mesh, face_normals, grid_faces, select_faces, unit, vertex_normals

SNAP = 0.0175  # metres; more than half a cell's diagonal, so that no cell straddles a wheel opening's edge

# how far the flank lies inside its greatest width (metres) at fractions of its height, sill to shoulder
FLANK_HEIGHTS = (0.00, 0.08, 0.18, 0.27, 0.45, 0.66, 0.735, 0.765, 0.88, 1.00)
FLANK_INSET = (0.060, 0.022, 0.008, 0.020, 0.030, 0.010, 0.000, 0.004, 0.022, 0.050)


def body_mesh(spec, lines, rows=310, columns=160):
    """The lower body without the wheel openings, the hole under the cabin and the pickup's bed."""
    stations = body_stations(spec, rows)
    width, height = body_section(spec, lines, stations, columns)
    station = np.broadcast_to(stations[:, None], width.shape).copy()
    flare_arches(spec, lines, station, width, height)
    width[[0, -1]] = 0  # the two halves meet at nose and tail
    contour = lines.contour_of(station)
    station += np.exp(-station / 0.25) * lines.nose_setback(height)
    station -= np.exp(-(spec.length - station) / 0.22) * lines.tail_setback(height)
    mesh = mirrored_mesh("body", spec, station, width, height, contour, seam_columns=(0, -1))
    return cut_openings(spec, lines, mesh)


def body_stations(spec, rows):
    """Stations of the sections: evenly spaced along the plan outline near the bumpers."""
    share = np.sin(np.linspace(0.004, 1, 48) * np.pi / 2) ** 1.2 * 0.94
    front = spec.front_depth * (1 - (1 - share**spec.front_squareness) ** (1 / spec.front_squareness))
    rear = spec.rear_depth * (1 - (1 - share**spec.rear_squareness) ** (1 / spec.rear_squareness))
    middle = np.linspace(front[-1], spec.length - rear[-1], rows - 94)[1:-1]
    return np.concatenate([front, middle, spec.length - rear[::-1]])


def section_angles(spec, columns):
    """Angles (top to bottom) that space a section's points evenly along it."""
    angle = np.pi / 2 * np.linspace(1, -1, 4001) ** 3  # dense about 0, where the outline runs straight up
    power = np.where(angle > 0, spec.section_squareness, 6.0)
    across = spec.width / 2 * np.abs(np.cos(angle)) ** (2 / power)
    along = 0.42 * np.sign(angle) * np.abs(np.sin(angle)) ** (2 / power)
    step = np.hypot(np.diff(across), np.diff(along)) * np.where(angle[1:] < -1.2, 0.4, 1.0)
    way = np.concatenate([[0], np.cumsum(step)])
    return np.interp(np.linspace(0, way[-1], columns), way, angle)


def body_section(spec, lines, stations, columns):
    """Half widths and heights (rows, columns) of the sections, sculpted."""
    angle = section_angles(spec, columns)[None]
    half = np.maximum(lines.half_width(stations), 1e-3)[:, None]
    top, bottom = lines.deck(stations)[:, None], lines.sill(stations)[:, None]
    middle = 0.5 * (top + bottom)
    power = np.where(angle > 0, spec.section_squareness, 6.0)
    width = half * np.abs(np.cos(angle)) ** (2 / power)
    height = middle + 0.5 * (top - bottom) * np.sign(angle) * np.abs(np.sin(angle)) ** (2 / power)
    fullness = np.clip((half / (spec.width / 2) - 0.55) / 0.4, 0, 1)
    rise = (height - bottom) / (top - bottom)
    width = width - fullness * soft_inset(rise) * np.clip(width / half, 0, 1) ** 4
    # two creases along the bonnet, its middle raised between them
    sideways = width / half
    bonnet = np.where(angle > 0.5, smooth_step(spec.cowl - stations[:, None], -0.05, 0.15), 0)
    height = height - 0.016 * bonnet * smooth_step(sideways, 0.52, 0.64)
    return width, height


def soft_inset(rise):
    """FLANK_INSET as a curve with its corners a little rounded."""
    offsets = np.linspace(-0.035, 0.035, 7)
    weights = np.exp(-0.5 * (offsets / 0.015) ** 2)
    curves = [np.interp(rise + offset, FLANK_HEIGHTS, FLANK_INSET) for offset in offsets]
    return np.tensordot(weights / weights.sum(), np.array(curves), 1)


def flare_arches(spec, lines, station, width, height):
    """Bulge the flanks round the wheels, and move near-by vertices onto the arch's circle (in place)."""
    for wheel in lines.wheel_stations:
        radius = np.hypot(station - wheel, height - spec.wheel_radius)
        near = (np.abs(radius - spec.arch_radius) < SNAP) & (width > 0.3 * spec.width)
        factor = np.where(near, spec.arch_radius / np.maximum(radius, 1e-3), 1)
        station[...] = wheel + (station - wheel) * factor
        height[...] = spec.wheel_radius + (height - spec.wheel_radius) * factor
        outside = np.maximum(radius * factor - spec.arch_radius, 0)
        outer = np.clip((2 * width / spec.width - 0.75) / 0.15, 0, 1)
        width += outer * (0.024 * np.exp(-((outside / 0.04) ** 2)) + 0.012 * np.exp(-(((station - wheel) / 0.42) ** 2)))


def mirrored_mesh(material, spec, station, width, height, contour, seam_columns):
    """Left half (rows, columns) and its mirror image; normals at the seam lie in the middle plane."""
    rows, columns = station.shape
    left = np.stack([spec.length / 2 - station, width, height], -1)
    vertices = np.concatenate([left.reshape(-1, 3), (left * [1, -1, 1]).reshape(-1, 3)])
    faces = grid_faces(rows, columns)
    outward = faces if material == "cabin" else faces[:, ::-1]
    faces = np.concatenate([outward, outward[:, ::-1] + rows * columns])
    normals = vertex_normals(vertices, faces)
    seam = np.zeros((rows, columns), bool)
    seam[:, list(seam_columns)] = True
    normals[np.tile(seam.ravel(), 2), 1] = 0
    return Mesh(material, vertices, faces, unit(normals), np.tile(contour.ravel(), 2))


def cut_openings(spec, lines, mesh):
    """Remove the wheel openings, what the cabin covers, the pickup's bed; blacken the underside."""
    centre = mesh.vertices[mesh.faces].mean(1)
    normal = unit(face_normals(mesh.vertices, mesh.faces))
    station = lines.station_of(mesh.contour)[mesh.faces].mean(1)  # as drawn, before nose and tail lean
    side, height = np.abs(centre[:, 1]), centre[:, 2]
    half = spec.width / 2
    keep = np.ones(len(centre), bool)
    for wheel in lines.wheel_stations:
        drawn = lines.station_of(mesh.contour)
        radius = np.hypot(drawn - wheel, mesh.vertices[:, 2] - spec.wheel_radius)[mesh.faces].min(1)
        keep &= (radius > spec.arch_radius - 0.002) | (side < 0.42 * half)
    rear_edge = spec.screen_foot - (0.10 if spec.bed else 0.16)
    keep &= ~(
        (normal[:, 2] > 0.3)
        & (station > spec.cowl + 0.14)
        & (station < rear_edge)
        & (side < 0.83 * half)
        & (height > 0.6)
    )
    if spec.bed:
        start, end = bed_stations(spec)
        keep &= ~((normal[:, 2] > 0.5) & (station > start) & (station < end) & (side < half - 0.165))
    below = normal[:, 2] < -0.7
    return [select_faces(mesh, keep & ~below), select_faces(mesh, keep & below, "underside")]


def bed_stations(spec):
    """Where the pickup's bed begins and ends."""
    return spec.screen_foot + 0.10, spec.length - 0.16


def cabin_taper(spec, height):
    """Factor on the cabin's half width at a height: its sides lean inwards."""
    rise = np.clip((height - spec.cowl_height + 0.05) / (spec.height - spec.cowl_height), 0, 1.2)
    return 1 - spec.tumblehome * rise**1.2


def cabin_mesh(spec, lines, rows=230, columns=100):
    """Roof, pillars and windows in one surface; skin.py says which part is glass."""
    first, last = spec.cowl - 0.12, spec.screen_foot + 0.08
    stations = np.linspace(first, last, rows)
    angle = np.linspace(0, np.pi / 2, 1200)
    width, height = np.zeros((rows, columns)), np.zeros((rows, columns))
    for row, station in enumerate(stations):
        top = float(lines.roof(station))
        foot = min(float(lines.deck(station)), top) - 0.10
        outline_height = foot + (top - foot) * np.sin(angle) ** (2 / 5)
        outline_width = lines.cabin_half_width(station) * np.cos(angle) ** (2 / 5) * cabin_taper(spec, outline_height)
        way = np.concatenate([[0], np.cumsum(np.hypot(np.diff(outline_width), np.diff(outline_height)))])
        even = np.linspace(0, way[-1], columns)
        width[row], height[row] = np.interp(even, way, outline_width), np.interp(even, way, outline_height)
    straight = np.broadcast_to(stations[:, None], width.shape)
    middle = 0.5 * (spec.roof_front + spec.roof_rear)
    bow = 0.17 * (2 * width / spec.width) ** 2
    forward = np.clip((middle - straight) / (middle - first), 0, 1)
    backward = np.clip((straight - middle) / (last - middle), 0, 1)
    bowed = straight + bow * forward
    if not spec.bed:
        bowed = bowed - 0.6 * bow * backward
    return mirrored_mesh("cabin", spec, bowed, width, height, straight, seam_columns=(-1,))
