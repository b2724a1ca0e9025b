"""Ray casting and shading: one picture and its mask.

Rays are traced in the car frame, where the triangles are; the room is asked in its own frame. One view
is the turntable turned by an angle; camera and room stand still.
"""

import numpy as np

from studio.camera import sample_places
from studio.materials import NUMBER
from studio.mesh import dot, unit, yaw_matrix
from studio.scene import MATT, SATIN

BASE_SAMPLES = 4  # for each pixel; more where an edge runs through it
REFLECTIONS = 6  # jittered mirror rays for each pixel of the floor
DEEPEST = 4  # how many panes a ray may pass
BRIGHTEST_SAMPLE = 3.0
BRIGHTEST_IN_GLASS = 3.0  # keeps lamps mirrored in a pane from hiding what lies behind it


class View:
    """One car on the turntable of one room, turned by `turn_degrees` and shifted by `offset` metres."""

    def __init__(self, model, room, turn_degrees, offset=(0.0, 0.0)):
        self.model, self.room = model, room
        self.turn = yaw_matrix(turn_degrees).astype(np.float32)
        self.offset = np.array([offset[0], offset[1], 0], np.float32)
        sky = model.floor_directions.reshape(-1, 3) @ self.turn.T
        light = room.radiance(np.tile(self.offset, (len(sky), 1)), sky, glare=1.0).mean(1)
        self.shade = model.floor_shade(light.reshape(model.floor_directions.shape[:2]))

    def to_car(self, points):
        """Room frame to car frame."""
        return (points - self.offset) @ self.turn

    def to_room(self, points):
        """Car frame to room frame."""
        return points @ self.turn.T + self.offset

    def shadow(self, points):
        """Share of light on floor points (n, 2) of the room."""
        return self.model.shade_at(self.shade, (points - self.offset[:2]) @ self.turn[:2, :2]) ** 1.25

    def from_room(self, origins, directions):
        """Light of the room along rays given in the car frame."""
        return self.room.radiance(self.to_room(origins), directions @ self.turn.T, self.shadow)

    def trace(self, origins, directions, depth=0):
        """Light along rays in the car frame: from the car, or from the room behind it."""
        light, met = self.car_light(origins, directions, depth)
        missed = np.flatnonzero(~met)
        if len(missed):
            light[missed] = self.from_room(origins[missed], directions[missed])
        return light

    def car_light(self, origins, directions, depth):
        """Light from the car alone, black where a ray misses it, and which rays met it."""
        found = self.model.scene.run(
            np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), output=1
        )
        light = np.zeros((len(origins), 3), np.float32)
        met = found["primID"] >= 0
        hit = np.flatnonzero(met)
        if len(hit):
            points = origins[hit] + found["tfar"][hit, None] * directions[hit]
            weights = np.stack([1 - found["u"][hit] - found["v"][hit], found["u"][hit], found["v"][hit]], -1)
            light[hit] = self.shade_surface(points, directions[hit], found["primID"][hit], weights, depth)
        return light, met

    def surface(self, points, directions, triangle, weights):
        """Normal towards the viewer, its cosine, material and openness at hit points."""
        model = self.model
        corners = model.faces[triangle]
        normal = unit(np.einsum("nc,ncx->nx", weights, model.normals[corners]))
        openness = np.maximum(dot(weights, model.occlusion[corners]), 0)
        material = model.material[triangle].copy()
        for name, decide in (("body", model.skin.body), ("cabin", model.windows.cabin)):
            here = np.flatnonzero(material == NUMBER[name])
            if len(here):
                contour = dot(weights[here], model.contour[corners[here]])
                material[here] = decide(contour, np.abs(points[here, 1]), points[here, 2], normal[here])
        cosine = -dot(normal, directions)
        normal[cosine < 0] *= -1
        return normal, np.clip(np.abs(cosine), 0.02, 1), material, openness

    def shade_surface(self, points, directions, triangle, weights, depth):
        """Light from surface points towards the viewer."""
        palette = self.model.palette
        normal, cosine, material, openness = self.surface(points, directions, triangle, weights)
        colour, metal = palette.colour[material], palette.metal[material]
        blur, head_on = palette.blur[material], palette.mirror[material]
        glass = (material == NUMBER["glass"]) | (material == NUMBER["privacy_glass"])
        flakes = (material == NUMBER["paint"]) & (metal > 0)
        colour[flakes] *= 0.50 + 0.80 * cosine[flakes, None] ** 1.5
        openness = np.where(
            (material == NUMBER["rim"]) | (material == NUMBER["dark_rim"]), 0.4 + 0.6 * openness, openness
        )

        reflected = directions + 2 * cosine[:, None] * normal
        mirrored = head_on + (1 - head_on) * (1 - cosine) ** 5
        mirrored = np.where(blur > 0.9, head_on, mirrored)
        satin = self.room.blurred(SATIN, reflected @ self.turn.T) * np.clip(1.3 * openness, 0, 1)[:, None]
        image = satin.copy()
        clear = np.flatnonzero((blur < 0.75) & (mirrored > 0.01))
        if depth == 0 and len(clear):
            start = points[clear] + 0.004 * normal[clear]
            seen = self.trace(start, reflected[clear], DEEPEST - 1)
            image[clear] = seen * (1 - blur[clear, None]) + satin[clear] * blur[clear, None]

        matt = self.room.blurred(MATT, normal @ self.turn.T) * (openness**1.15 + 0.015)[:, None]
        diffuse = colour * (matt * (1 - 0.75 * metal)[:, None] + satin * (0.75 * metal)[:, None])
        light = (1 - mirrored)[:, None] * diffuse + mirrored[:, None] * image
        light += palette.glow[material, None] * colour
        behind = np.flatnonzero(glass)
        if len(behind):
            light[behind] = self.through_glass(
                points[behind], directions[behind], material[behind], mirrored[behind], image[behind], depth
            )
        return light

    def through_glass(self, points, directions, material, mirrored, image, depth):
        """Light through a tinted pane, plus what its two faces mirror."""
        tint = np.where(material == NUMBER["glass"], 1.0, 0.25) * self.model.spec.window_tint
        start = points + 0.003 * directions
        if depth < DEEPEST:
            beyond = self.trace(start, directions, depth + 1)
        else:
            beyond = self.from_room(start, directions)
        share = np.minimum(1.5 * mirrored, 1)[:, None]
        image = np.minimum(image, BRIGHTEST_IN_GLASS)
        return (1 - share) * beyond * np.stack([0.94 * tint, tint, 0.97 * tint], -1) + share * image

    # ---- a whole picture ----------------------------------------------------------------------

    def picture(self, lens, samples, rng):
        """Linear picture (height, width, 3) and mask (height, width): covered by the car by half or more.

        Every pixel of the car gets up to 4 samples; pixels at edges get `samples`.
        """
        background = self.background(lens, rng)
        left, right, top, bottom = self.car_box(lens)
        rows, columns = np.mgrid[top:bottom, left:right]
        rows, columns = rows.ravel(), columns.ravel()
        base = min(BASE_SAMPLES, samples)
        places = sample_places(max(samples, 1))
        light, coverage, contrast = self.sample(lens, columns, rows, places[:base])
        if samples > base:
            shape = (bottom - top, right - left)
            edge = np.flatnonzero(self.needs_more(coverage.reshape(shape), contrast.reshape(shape)).ravel())
            more_light, more_coverage, _ = self.sample(lens, columns[edge], rows[edge], places[base:])
            light[edge] += more_light
            coverage[edge] += more_coverage
        total = np.full(len(rows), base, np.float32)
        if samples > base:
            total[edge] = samples
        coverage /= total
        picture = background
        picture[rows, columns] = (1 - coverage[:, None]) * background[rows, columns] + light / total[:, None]
        mask = np.zeros((lens.height, lens.width), bool)
        mask[rows, columns] = coverage >= 0.5
        return picture, mask

    def car_box(self, lens):
        """Columns and rows of the picture between which the car lies."""
        columns, rows = lens.project(self.to_room(self.model.vertices[::3]))
        left, right = np.clip([columns.min() - 3, columns.max() + 4], 0, lens.width).astype(int)
        top, bottom = np.clip([rows.min() - 3, rows.max() + 4], 0, lens.height).astype(int)
        return left, right, top, bottom

    def sample(self, lens, columns, rows, places):
        """Sum of the car's light, number of samples on the car, and spread of brightness, for each pixel."""
        count, each = len(columns), len(places)
        across = (columns[:, None] + places[None, :, 0]).ravel()
        down = (rows[:, None] + places[None, :, 1]).ravel()
        directions = lens.directions(across, down) @ self.turn
        origins = np.broadcast_to(self.to_car(lens.eye.astype(np.float32)), directions.shape)
        light, met = self.car_light(origins, directions, depth=0)
        light = np.minimum(light, BRIGHTEST_SAMPLE).reshape(count, each, 3)
        bright = np.sqrt(light.mean(-1))
        coverage = met.astype(np.float32).reshape(count, each).sum(1)
        return light.sum(1), coverage, bright.max(1) - bright.min(1)

    @staticmethod
    def needs_more(coverage, contrast):
        """Pixels at the silhouette (and their neighbours) or with strong contrast inside."""
        highest, lowest = coverage.copy(), coverage.copy()
        for rows, columns in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            neighbour = np.roll(coverage, (rows, columns), (0, 1))
            highest, lowest = np.maximum(highest, neighbour), np.minimum(lowest, neighbour)
        return (highest != lowest) | (contrast > 0.16)

    def background(self, lens, rng):
        """The empty room with the car's shadow and its blurred image in the floor."""
        height, width = lens.height, lens.width
        rows, columns = np.mgrid[0:height, 0:width]
        light = np.zeros((height * width, 3), np.float32)
        eye = lens.eye.astype(np.float32)
        for place in sample_places(BASE_SAMPLES):
            directions = lens.directions((columns + place[0]).ravel(), (rows + place[1]).ravel())
            origins = np.broadcast_to(eye, directions.shape)
            light += self.room.radiance(origins, directions, self.shadow, lens.pixel_angle)
        directions = lens.directions((columns + 0.5).ravel(), (rows + 0.5).ravel())
        points, on_floor, _ = self.room.floor_points(np.broadcast_to(eye, directions.shape), directions)
        picture = light.reshape(height, width, 3) / BASE_SAMPLES
        self.add_floor_mirror(picture, points, directions, on_floor.reshape(height, width), rng)
        return picture

    def add_floor_mirror(self, picture, points, directions, on_floor, rng):
        """Mix in what the polished floor mirrors (in place): jittered rays for each pixel, a small blur."""
        stage = self.room.stage
        floor = np.flatnonzero(on_floor.ravel())
        start = np.column_stack([points[floor], np.full(len(floor), 0.001)]).astype(np.float32)
        mirror = directions[floor] * np.array([1, 1, -1], np.float32)
        total = np.zeros((len(floor), 3), np.float32)
        near = np.flatnonzero((np.abs(self.to_car(start)[:, :2]) < [self.model.spec.length / 2 + 2, 3.2]).all(1))
        for _ in range(REFLECTIONS):
            jitter = rng.normal(0, stage.floor_roughness, mirror.shape).astype(np.float32)
            rays = unit(mirror + jitter)
            rays[:, 2] = np.maximum(np.abs(rays[:, 2]), 0.02)
            light = self.room.radiance(start, rays, None, 0.01)
            light[near] = self.trace(self.to_car(start[near]), rays[near] @ self.turn, DEEPEST - 1)
            total += np.minimum(light, 2.0)
        image = np.zeros_like(picture)
        image.reshape(-1, 3)[floor] = total / REFLECTIONS
        image = blurred_inside(image, on_floor)
        cosine = np.abs(directions[:, 2]).reshape(on_floor.shape)
        share = stage.floor_mirror + (1 - stage.floor_mirror) * (1 - cosine) ** 5 * 0.35
        share = np.where(on_floor, share, 0)[..., None]
        picture *= 1 - share
        picture += share * image


def blurred_inside(image, inside, reach=2):
    """Box blur of (2 reach + 1) pixels that takes in only pixels where `inside` is true."""
    stacked = np.concatenate([image, np.ones((*inside.shape, 1), np.float32)], -1) * inside[..., None]
    for axis in (0, 1):
        padding = [(reach, reach) if axis == other else (0, 0) for other in range(3)]
        padded = np.pad(stacked, padding)
        length = stacked.shape[axis]
        stacked = sum(padded.take(range(step, step + length), axis) for step in range(2 * reach + 1))
    return stacked[..., :3] / np.maximum(stacked[..., 3:], 1e-6)
