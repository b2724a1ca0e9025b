"""One car ready for rays: its triangles in Embree, and the light that the car itself keeps away.

All points and directions are in the car frame (see mesh.py), metres, float32.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from studio.lines import Lines
from studio.materials import NUMBER, Palette
from studio.mesh import unit
from studio.parts import build_car
from studio.skin import Skin
from studio.windows import Windows

PATTERNS = 16  # neighbouring points use different sets of directions; smoothing mixes the sets
FLOOR_RAYS = 48
VERTEX_RAYS = 18
FLOOR_CELL = 0.045
FLOOR_MARGIN = 1.5


def cosine_directions(count, rng):
    """`count` stratified directions about +z, denser towards the axis as a matt surface weighs them."""
    radius = np.sqrt((np.arange(count) + rng.random(count)) / count)
    angle = 2 * np.pi * ((np.arange(count) * 0.6180339887 + rng.random()) % 1)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], -1).astype(np.float32)


class CarModel:
    """Geometry, materials, ray queries and baked visibility of one car."""

    def __init__(self, spec, seed):
        self.spec, self.lines = spec, Lines(spec)
        self.skin, self.windows = Skin(spec, self.lines), Windows(spec, self.lines)
        self.palette = Palette(spec)
        self.merge(build_car(spec, self.lines))
        self.scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self.scene, self.vertices[self.faces])
        rng = np.random.default_rng(seed)
        self.bake_floor(rng)
        self.bake_occlusion(rng)

    def merge(self, meshes):
        """Join the meshes into single arrays."""
        counts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
        self.vertices = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32)
        self.normals = np.concatenate([mesh.normals for mesh in meshes]).astype(np.float32)
        self.faces = np.concatenate([mesh.faces + first for mesh, first in zip(meshes, counts[:-1], strict=True)])
        self.material = np.concatenate([np.full(len(mesh.faces), NUMBER[mesh.material]) for mesh in meshes])
        self.contour = np.concatenate(
            [np.zeros(len(mesh.vertices)) if mesh.contour is None else mesh.contour for mesh in meshes]
        ).astype(np.float32)

    def blocked(self, origins, directions):
        """True for rays that meet the car."""
        hits = self.scene.run(origins.astype(np.float32), directions.astype(np.float32), query="OCCLUDED")
        return hits >= 0

    def bake_floor(self, rng):
        """For points of the floor near the car: which of 48 directions to the room are free."""
        half_x = self.spec.length / 2 + FLOOR_MARGIN
        half_y = self.spec.width / 2 + FLOOR_MARGIN
        shape = (int(2 * half_x / FLOOR_CELL), int(2 * half_y / FLOOR_CELL))
        self.floor_corner = np.array([-half_x, -half_y], np.float32)
        grid_x, grid_y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
        self.floor_pattern = (grid_x % 4) * 4 + grid_y % 4
        self.floor_directions = np.stack([cosine_directions(FLOOR_RAYS, rng) for _ in range(PATTERNS)])
        points = np.stack([grid_x * FLOOR_CELL - half_x, grid_y * FLOOR_CELL - half_y, 0.002 + 0 * grid_x], -1)
        origins = np.repeat(points.reshape(-1, 3), FLOOR_RAYS, axis=0)
        directions = self.floor_directions[self.floor_pattern.ravel()].reshape(-1, 3)
        self.floor_open = ~self.blocked(origins, directions).reshape(*shape, FLOOR_RAYS)

    def floor_shade(self, radiance):
        """Share of light left on the floor's grid; `radiance` (patterns, rays) is the room's light."""
        weight = (radiance / radiance.sum(1, keepdims=True)).astype(np.float32)
        shade = (self.floor_open * weight[self.floor_pattern]).sum(-1)
        tent = np.array([1, 2, 3, 4, 3, 2, 1], np.float32) / 16
        for axis in (0, 1):
            padding = [(3, 3) if axis == other else (0, 0) for other in (0, 1)]
            padded = np.pad(shade, padding, mode="edge")
            length = shade.shape[axis]
            shade = sum(value * padded.take(range(step, step + length), axis) for step, value in enumerate(tent))
        return shade.astype(np.float32)

    def shade_at(self, shade, points):
        """Bilinear look-up of `floor_shade`'s grid at points (n, 2); 1 far from the car."""
        place = (points - self.floor_corner) / FLOOR_CELL
        limit = np.array(shade.shape) - 1.001
        cell = np.clip(place, 0, limit)
        low = cell.astype(int)
        fraction = (cell - low).astype(np.float32)
        x, y = low[:, 0], low[:, 1]
        near = shade[x, y] * (1 - fraction[:, 1]) + shade[x, y + 1] * fraction[:, 1]
        far = shade[x + 1, y] * (1 - fraction[:, 1]) + shade[x + 1, y + 1] * fraction[:, 1]
        value = near * (1 - fraction[:, 0]) + far * fraction[:, 0]
        from_edge = np.minimum(place, np.array(shade.shape) - 1 - place).min(1) * FLOOR_CELL
        return 1 - (1 - value) * np.clip(from_edge / 0.6, 0, 1)

    def bake_occlusion(self, rng):
        """How much of the room each vertex sees: 1 free, 0 shut in. Rays to the floor count by its shade."""
        patterns = np.stack([cosine_directions(VERTEX_RAYS, rng) for _ in range(PATTERNS)])
        count = len(self.vertices)
        tangent = unit(np.cross(self.normals, [[0.3, 0.2, 0.9]])).astype(np.float32)
        other = np.cross(self.normals, tangent)
        origins = self.vertices + 0.012 * self.normals
        shade = self.floor_shade(np.ones((PATTERNS, FLOOR_RAYS)))
        seen = np.zeros(count, np.float32)
        which = rng.integers(PATTERNS, size=count)
        for ray in range(VERTEX_RAYS):
            local = patterns[which, ray]
            directions = local[:, :1] * tangent + local[:, 1:2] * other + local[:, 2:] * self.normals
            free = ~self.blocked(origins, directions)
            down = free & (directions[:, 2] < -0.03)
            value = free.astype(np.float32)
            reach = -origins[down, 2] / directions[down, 2]
            value[down] = self.shade_at(shade, origins[down, :2] + reach[:, None] * directions[down, :2])
            seen += value
        self.occlusion = self.smooth(seen / VERTEX_RAYS, rounds=4)

    def smooth(self, values, rounds):
        """Each vertex value replaced by the mean over the faces round it, several times."""
        around = sum(np.bincount(self.faces[:, corner], minlength=len(values)) for corner in range(3))
        for _ in range(rounds):
            face_mean = values[self.faces].mean(1)
            total = sum(np.bincount(self.faces[:, corner], face_mean, len(values)) for corner in range(3))
            values = (total / np.maximum(around, 1)).astype(np.float32)
        return values
