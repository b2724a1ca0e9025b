"""The studio: a round white room with a turntable, soft boxes under its ceiling and a word on its wall.

Room frame: z up, the origin in the middle of the turntable's surface, x towards the camera, metres.
The room is not a mesh: where a ray leaves it is computed directly, and how bright that place is follows
from simple profiles. Radiances are linear; 1 is the white of an evenly lit wall.
"""

import numpy as np

from studio.lettering import ink
from studio.mesh import dot

CEILING = 5.6
MATT, SATIN = 0, 1  # the two blurred maps of a room
SHARPNESS = (1, 40)
# door, curtain and stands: angle of the middle and half width (radians), height, share of the wall's light
BEHIND_CAMERA = (
    (0.0, 0.16, 2.3, 0.25),
    (0.62, 0.20, 2.6, 0.45),
    (-0.75, 0.12, 3.2, 0.35),
    (1.25, 0.05, 2.0, 0.6),
    (-1.35, 0.05, 2.2, 0.6),
)


class Room:
    """A stage ready for rays. All points and directions are in the room frame, float32 arrays (n, 3)."""

    def __init__(self, stage):
        self.stage = stage
        self.wall_colour = np.array(stage.wall, np.float32)
        self.floor_colour = np.array(stage.floor, np.float32)
        self.maps = self.blurred_maps()

    def floor_points(self, origins, directions):
        """Where rays meet the floor, which of them do so inside the room, and how far away."""
        down = np.minimum(directions[:, 2], -1e-5)
        distance = -origins[:, 2] / down
        points = origins[:, :2] + distance[:, None] * directions[:, :2]
        on_floor = (directions[:, 2] < -1e-5) & (dot(points, points) < self.stage.radius**2)
        return points, on_floor, distance

    def radiance(self, origins, directions, shadow=None, pixel=0.0012, glare=None):
        """Light that comes along rays from the empty room.

        shadow: function from floor points to the share of light that reaches them.
        pixel: the angle of a pixel in radians, for soft edges of lines and letters.
        glare: factor on the soft boxes where they are seen in a mirror; 1 for the light that they spend.
        """
        points, on_floor, distance = self.floor_points(origins, directions)
        light = np.empty((len(origins), 3), np.float32)
        rest = np.flatnonzero(~on_floor)
        light[rest] = self.wall_and_ceiling(origins[rest], directions[rest], pixel, glare or self.stage.glare)
        ground = np.flatnonzero(on_floor)
        if len(ground):
            light[ground] = self.floor(points[ground], distance[ground] * pixel, shadow)
        return light

    def floor(self, points, size, shadow=None):
        """Diffuse light from floor points; `size` is a pixel's width there in metres."""
        stage = self.stage
        reach = np.hypot(points[:, 0], points[:, 1])
        wide = size * 3
        towards_camera = np.where(points[:, 0] > 0, np.clip(reach / stage.radius, 0, 1), 0)
        tone = 0.98 - 0.25 * towards_camera**2 + 0.02 * points[:, 1] / stage.radius
        phase = stage.stain_phase
        tone = tone * (
            1
            + 0.014 * np.sin(1.7 * points[:, 0] + 0.8 * points[:, 1] + phase)
            + 0.012 * np.sin(-0.9 * points[:, 0] + 2.3 * points[:, 1] + 2 * phase)
        )
        tone = tone * np.where(reach < stage.turntable, stage.disc_tone, 1)
        groove = np.exp(-(((reach - stage.turntable) / (0.016 + wide)) ** 2)) * 0.016 / (0.016 + wide) * 1.6
        tone = tone * (1 - np.minimum(stage.groove * groove, 0.7))
        across = points @ np.array([np.cos(stage.joint_turn), np.sin(stage.joint_turn)], np.float32)
        joint = np.exp(-(((np.abs(across) - 1.6) / (0.008 + wide)) ** 2)) * 0.008 / (0.008 + wide)
        tone = tone * (1 - 0.35 * joint)
        beyond = points[:, 0] + stage.edge_slant * points[:, 1] - stage.dark_edge
        edge = np.clip(beyond / (0.03 + wide) + 0.5, 0, 1)
        strip = np.clip(1 - np.abs(beyond) / 0.05, 0, 1)
        tone = tone * (1 - 0.90 * edge) + 0.3 * strip
        if shadow is not None:
            tone = tone * shadow(points)
        return (tone[:, None] * self.floor_colour).astype(np.float32)

    def wall_and_ceiling(self, origins, directions, pixel, glare):
        """Light from the round wall, the word on it, the ceiling and its soft boxes."""
        stage = self.stage
        flat = np.maximum(dot(directions[:, :2], directions[:, :2]), 1e-9)
        towards = dot(origins[:, :2], directions[:, :2])
        excess = dot(origins[:, :2], origins[:, :2]) - stage.radius**2
        distance = (-towards + np.sqrt(np.maximum(towards**2 - flat * excess, 0))) / flat
        points = origins + distance[:, None] * directions
        height = points[:, 2]
        behind = np.clip(0.5 - 0.5 * points[:, 0] / stage.radius, 0, 1)
        tone = np.interp(height, [-1, 0, 0.25, 2.5, 4.2, CEILING], [0.74, 0.80, 0.92, 1.02, 1.0, 0.82])
        # behind the camera: dark below, bright above, where a bank of lights hangs
        bank = np.interp(height, [0, 1.0, 2.2, 3.2, 4.6], [0.55, 0.7, 1.0, 1.9, 2.2])
        tone = tone * (stage.camera_side * bank * (1 - behind) + np.minimum(behind * 1.45, 1) ** 0.8 * behind**0.15)
        angle = np.arctan2(points[:, 1], points[:, 0])
        tone = tone * self.things_behind_camera(angle, height)
        light = tone[:, None] * self.wall_colour
        self.write_word(light, points, distance * pixel)
        up = directions[:, 2] > 1e-4
        ceiling_distance = np.where(up, (CEILING - origins[:, 2]) / np.maximum(directions[:, 2], 1e-4), np.inf)
        overhead = np.flatnonzero(up & (ceiling_distance < distance))
        if len(overhead):
            spots = origins[overhead] + ceiling_distance[overhead, None] * directions[overhead]
            light[overhead] = self.ceiling(spots, glare)
        return light.astype(np.float32)

    @staticmethod
    def things_behind_camera(angle, height):
        """Door, curtain and equipment on the camera's side of the room: only reflections show them."""
        tone = np.ones_like(angle)
        for middle, half_angle, top, value in BEHIND_CAMERA:
            inside = np.clip((half_angle - np.abs(angle - middle)) / 0.03 + 0.5, 0, 1)
            tone = np.where(height < top, tone * (1 - (1 - value) * inside), tone)
        return tone

    def write_word(self, light, points, size):
        """Darken the wall's light where the word is (in place). Left of the picture is y < 0."""
        stage = self.stage
        near = np.flatnonzero(
            (points[:, 0] < -0.15 * stage.radius) & (points[:, 2] < stage.letter_foot + 1.4 * stage.letter_height)
        )
        if not len(near):
            return
        across = np.arctan2(points[near, 1], -points[near, 0]) * stage.radius / stage.letter_height - stage.letter_shift
        up = (points[near, 2] - stage.letter_foot) / stage.letter_height
        softness = np.maximum(size[near], 0.02) / stage.letter_height
        amount = ink(across, up, stage.letter_weight, softness)[:, None]
        light[near] = light[near] * (1 - amount) + amount * stage.letter_tone * self.wall_colour

    def ceiling(self, points, glare):
        """Grey ceiling with bright soft boxes (centre x, y, half sizes, radiance)."""
        tone = np.full(len(points), 0.42, np.float32)
        for x, y, half_x, half_y, bright in self.stage.boxes:
            inside = np.clip((half_x - np.abs(points[:, 0] - x)) / 0.3 + 0.5, 0, 1) * np.clip(
                (half_y - np.abs(points[:, 1] - y)) / 0.3 + 0.5, 0, 1
            )
            tone = tone * (1 - inside) + inside * bright * glare
        return tone[:, None] * np.array([1.0, 1.0, 0.99], np.float32)

    def blurred_maps(self, rows=24, columns=48):
        """The room as seen by matt and by satin surfaces: two small maps over directions."""
        polar, azimuth = np.meshgrid(
            (np.arange(rows) + 0.5) / rows * np.pi,
            (np.arange(columns) + 0.5) / columns * 2 * np.pi,
            indexing="ij",
        )
        directions = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)
        directions = directions.reshape(-1, 3).astype(np.float32)
        origins = np.tile(np.array([[0, 0, 0.7]], np.float32), (len(directions), 1))
        light = self.radiance(origins, directions, glare=1.0)
        cosine = np.maximum(directions @ directions.T, 0)
        maps = []
        for sharpness in SHARPNESS:
            weight = cosine**sharpness * np.sin(polar).reshape(-1)
            maps.append((weight @ light / weight.sum(1, keepdims=True)).reshape(rows, columns, 3).astype(np.float32))
        return maps

    def blurred(self, which, directions):
        """Look-up in a blurred map, MATT or SATIN."""
        table = self.maps[which]
        rows, columns = table.shape[:2]
        row = np.clip(np.arccos(np.clip(directions[:, 2], -1, 1)) / np.pi * rows - 0.5, 0, rows - 1.001)
        column = (np.arctan2(directions[:, 1], directions[:, 0]) / (2 * np.pi) % 1) * columns - 0.5
        low, left = row.astype(int), np.floor(column).astype(int)
        down, right = (row - low)[:, None].astype(np.float32), (column - left)[:, None].astype(np.float32)
        left, following = left % columns, (left + 1) % columns
        upper = table[low, left] * (1 - right) + table[low, following] * right
        lower = table[low + 1, left] * (1 - right) + table[low + 1, following] * right
        return upper * (1 - down) + lower * down
