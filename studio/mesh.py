"""Mesh primitives: grids, rounded boxes, tubes and solids of revolution.

Car frame everywhere: x forward, y to the car's left, z up, in metres, the floor at z = 0 and the
origin under the middle of the car.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class Mesh:
    """A triangle mesh of one material.

    vertices: (n, 3) metres.  faces: (m, 3) vertex indices, counterclockwise seen from outside.
    normals: (n, 3) unit vectors.  contour: (n,) metres along the car's plan contour, see lines.py;
    only the two painted surfaces (body and cabin) need it.
    """

    material: str
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    contour: np.ndarray | None = None


def unit(vectors):
    """Vectors scaled to length one."""
    lengths = np.sqrt(dot(vectors, vectors))
    return vectors / np.maximum(lengths, 1e-12)[..., None]


def dot(first, second):
    """Scalar products of corresponding vectors."""
    return np.einsum("...x,...x->...", first, second)


def face_normals(vertices, faces):
    """Normal of each face, its length twice the face's area."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(second - first, third - first)


def vertex_normals(vertices, faces):
    """Unit normals of the vertices: the area-weighted mean over the faces around each."""
    flat = face_normals(vertices, faces)
    total = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, corner], flat[:, axis], len(vertices))
    return unit(total)


def grid_faces(rows, columns, closed=False):
    """Two triangles for each cell of a grid; `closed` joins the last column to the first."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    following = (column + 1) % columns
    a, b = row * columns + column, (row + 1) * columns + column
    c, d = (row + 1) * columns + following, row * columns + following
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def grid_mesh(material, points, closed=False, flip=False):
    """Mesh through a (rows, columns, 3) grid of points."""
    faces = grid_faces(points.shape[0], points.shape[1], closed)
    if flip:
        faces = faces[:, ::-1]
    vertices = points.reshape(-1, 3)
    return Mesh(material, vertices, faces, vertex_normals(vertices, faces))


def rounded_box(material, centre, half_size, edge=0.25, steps=10):
    """Superellipsoid with the given half sizes; `edge` 0.1 is a sharp box, 1 an ellipsoid."""

    def rounded(values):
        return np.sign(values) * np.abs(values) ** edge

    latitude = np.linspace(-np.pi / 2, np.pi / 2, steps * 2)[:, None]
    longitude = np.linspace(-np.pi, np.pi, steps * 4, endpoint=False)[None]
    ring = rounded(np.cos(latitude))
    points = np.stack(
        [
            ring * rounded(np.cos(longitude)),
            ring * rounded(np.sin(longitude)),
            rounded(np.sin(latitude)) + 0 * longitude,
        ],
        -1,
    )
    return grid_mesh(material, points * half_size + centre, closed=True, flip=True)


def tube(material, path, radius, sides=8):
    """Round tube along a path of points; `radius` may differ from point to point."""
    path = np.asarray(path, float)
    along = unit(np.gradient(path, axis=0))
    across = unit(np.cross(along, [0.02, 1, 0.03]))
    other = np.cross(along, across)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    radius = np.broadcast_to(radius, len(path))[:, None, None]
    points = path[:, None] + radius * (across[:, None] * np.cos(angle) + other[:, None] * np.sin(angle))
    return grid_mesh(material, points, closed=True)


def revolve(material, profile, side, steps=72):
    """Revolve (radius, offset) pairs about the y axis; `side` +1 looks to the left, -1 to the right."""
    profile = np.asarray(profile, float)
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    points = np.stack(
        [profile[:, :1] * np.cos(angle), side * profile[:, 1:] + 0 * angle, profile[:, :1] * np.sin(angle)],
        -1,
    )
    return grid_mesh(material, points, closed=True, flip=side < 0)


def select_faces(mesh, keep, material=None):
    """The mesh with only the faces where `keep` is true, and unused vertices dropped."""
    faces = mesh.faces[keep]
    used = np.zeros(len(mesh.vertices), bool)
    used[faces] = True
    renumber = np.cumsum(used) - 1
    contour = None if mesh.contour is None else mesh.contour[used]
    return Mesh(
        material or mesh.material,
        mesh.vertices[used],
        renumber[faces].reshape(-1, 3),
        mesh.normals[used],
        contour,
    )


def moved(mesh, offset, yaw_degrees=0.0):
    """The mesh turned about the z axis and then shifted by `offset` metres."""
    turn = yaw_matrix(yaw_degrees)
    return Mesh(mesh.material, mesh.vertices @ turn.T + offset, mesh.faces, mesh.normals @ turn.T, mesh.contour)


def yaw_matrix(degrees):
    """Rotation about the z axis, counterclockwise seen from above."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
