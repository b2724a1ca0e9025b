"""Which material lies where on the lower body: lamps, grille, badge, shut lines, cladding.

The answer is computed at the very point that a ray has met, so every edge is as sharp as the picture.
`contour`, `side` (distance from the middle plane) and `height` are metres, see lines.py; `normal` is the
surface's unit normal in the car frame.
"""

import numpy as np

from studio.materials import NUMBER

PAINT, TRIM = NUMBER["paint"], NUMBER["trim"]

# corners (metres along the contour, metres above the nose's top) of the head lamps, convex, anticlockwise
HEAD_LAMPS = {
    "slim": [(0.50, -0.150), (0.98, -0.125), (1.13, -0.055), (1.06, -0.035), (0.52, -0.095)],
    "swept": [(0.46, -0.175), (0.90, -0.155), (1.17, -0.025), (1.08, -0.015), (0.50, -0.105)],
    "block": [(0.53, -0.215), (0.92, -0.215), (1.05, -0.170), (1.07, -0.065), (0.55, -0.070)],
    "round": [
        (0.56, -0.215),
        (0.74, -0.235),
        (0.92, -0.215),
        (0.98, -0.150),
        (0.92, -0.075),
        (0.74, -0.055),
        (0.58, -0.075),
    ],
}
# the same for the tail lamps: metres along the contour from the middle of the tail, metres above its top
TAIL_LAMPS = {
    "wide": [(0.48, -0.245), (1.02, -0.245), (1.16, -0.130), (1.10, -0.085), (0.50, -0.125)],
    "bar": [(0.50, -0.215), (1.04, -0.235), (1.16, -0.130), (1.10, -0.095), (0.50, -0.125)],
    "hook": [(0.60, -0.300), (0.92, -0.300), (1.12, -0.150), (1.10, -0.080), (0.58, -0.110)],
    "upright": [(0.70, -0.400), (0.98, -0.400), (1.05, -0.300), (1.03, -0.070), (0.74, -0.070)],
}


def convex_distance(across, up, corners):
    """Signed distance (negative inside) to a convex polygon; exact at its edges, and the edges' own."""
    corners = np.asarray(corners, float)
    edges = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = (end - start) / np.linalg.norm(end - start)
        edges.append((across - start[0]) * along[1] - (up - start[1]) * along[0])
    return np.max(edges, axis=0), edges


class Skin:
    """The material map of one car's body."""

    def __init__(self, spec, lines):
        self.spec, self.lines = spec, lines
        self.half = spec.width / 2
        self.tall = spec.kind in ("suv", "pickup", "van")

    def body(self, contour, side, height, normal):
        """Material numbers at points of the lower body."""
        station = self.lines.station_of(contour)
        material = np.full(len(station), PAINT)
        sill = self.lines.sill(station)
        self.paint_seams(material, station, side, height, normal, sill)
        self.paint_sills(material, station, side, height, normal, sill)
        front = np.flatnonzero(station < 0.9)
        if len(front):
            material[front] = self.front(
                material[front],
                contour[front],
                station[front],
                side[front],
                height[front],
                normal[front],
                sill[front],
            )
        rear = np.flatnonzero(station > self.spec.length - 0.8)
        if len(rear):
            behind = self.lines.contour_end - contour[rear]
            material[rear] = self.rear(material[rear], behind, side[rear], height[rear], normal[rear], sill[rear])
        return material

    def paint_seams(self, material, station, side, height, normal, sill):
        """Shut lines of doors, bonnet and fuel flap."""
        spec, deck, seam = self.spec, self.lines.deck(station), NUMBER["seam"]
        flank = np.abs(normal[:, 1]) > 0.6
        first = self.lines.wheel_stations[0] + spec.arch_radius + 0.09
        cuts = [first] + [pillar + 0.02 for pillar in spec.pillars]
        door = flank & (height > sill + 0.13) & (height < deck)
        for cut in cuts:
            material[door & (np.abs(station - cut) < 0.005)] = seam
        material[flank & (np.abs(height - sill - 0.13) < 0.006) & (station > first) & (station < cuts[-1])] = seam
        bonnet = (normal[:, 2] > 0.4) & (station > 0.12) & (station < spec.cowl)
        material[bonnet & (np.abs(side - self.lines.half_width(station) * 0.83) < 0.005)] = seam
        if not spec.bed:
            flap = np.hypot(station - self.lines.wheel_stations[1] - 0.30, height - deck + 0.20)
            material[flank & (np.abs(flap - 0.085) < 0.005)] = seam

    def paint_sills(self, material, station, side, height, normal, sill):
        """The dark lower edge of the body, and an off-roader's cladding round the arches."""
        spec = self.spec
        material[height < sill + (0.045 if not spec.cladding else 0.10)] = NUMBER["cladding"]
        if spec.cladding:
            for wheel in self.lines.wheel_stations:
                arch = np.hypot(station - wheel, height - spec.wheel_radius)
                material[(arch < spec.arch_radius + 0.055) & (side > 0.7 * self.half)] = NUMBER["cladding"]

    def front(self, material, contour, station, side, height, normal, sill):
        """Grille, intakes, badge and head lamps on the front of the body."""
        spec = self.spec
        facing = normal[:, 0] > 0.15
        above = height - spec.nose_height
        self.paint_intakes(material, contour, side, height - sill, facing)
        self.paint_grille(material, side, above, facing)
        badge = np.hypot(side, above + (0.055 if not self.tall else 0.17))
        material[facing & (badge < 0.048)] = NUMBER["chrome"]
        bonnet_edge = facing & (np.abs(above + 0.035 + 0.03 * (side / self.half) ** 2) < 0.005)
        material[bonnet_edge & (side < 0.52 * self.half)] = NUMBER["seam"]
        self.paint_head_lamps(material, contour / (spec.width / 1.85), above, normal)
        return material

    def paint_intakes(self, material, contour, side, above_sill, facing):
        """The lower air intake, a skid plate on tall cars, and fog lamps in dark pockets."""
        low, high = (0.075, 0.21) if not self.tall else (0.10, 0.25)
        width = 0.60 * self.half
        taper = convex_distance(
            side, above_sill, [(-width, low), (width, low), (width * 0.88, high), (-width * 0.88, high)]
        )[0]
        material[facing & (taper < 0)] = NUMBER["grille"]
        material[facing & (taper < 0) & (np.abs((above_sill - low) % 0.045 - 0.022) < 0.006)] = TRIM
        if self.spec.cladding:
            material[facing & (above_sill < 0.10) & (side < 0.45 * self.half)] = NUMBER["lamp_reflector"]
        corners = [(0.80, low), (1.00, low + 0.02), (1.02, high + 0.04), (0.84, high)]
        pocket = convex_distance(contour / self.half, above_sill, corners)[0]
        material[facing & (pocket < 0)] = NUMBER["grille"]
        lamp = np.hypot(contour - 0.91 * self.half, above_sill - 0.5 * (low + high) - 0.01)
        material[facing & (lamp < 0.036)] = NUMBER["lamp_lens"]

    def paint_grille(self, material, side, above, facing):
        """The grille in the make's style."""
        style, half = self.spec.grille, self.spec.grille_size * self.half * 1.05
        top, bottom = (-0.085, -0.26) if not self.tall else (-0.075, -0.33)
        if self.spec.bed:
            bottom, half = -0.40, half * 1.2
        if style == "slim":
            top, bottom, half = -0.105, -0.135, 0.50 * self.half
        if style == "split":
            corners = [(0.035, bottom), (half * 0.72, bottom), (half * 0.85, top), (0.035, top)]
        elif style == "mesh":
            corners = [
                (-half * 0.62, bottom - 0.05),
                (half * 0.62, bottom - 0.05),
                (half, top - 0.07),
                (half * 0.9, top),
                (-half * 0.9, top),
                (-half, top - 0.07),
            ]
        else:
            corners = [(-half * 0.9, bottom), (half * 0.9, bottom), (half, top), (-half, top)]
        distance = convex_distance(side, above, corners)[0]
        inside = facing & (distance < 0)
        material[inside] = NUMBER["grille"]
        bright = NUMBER["chrome"] if self.spec.chrome else NUMBER["trim"]
        if style in ("bars", "frame", "split"):
            material[inside & ((above - top) % 0.042 < 0.013)] = bright
        if style == "slats":
            material[inside & (np.abs(side % 0.085 - 0.042) < 0.016)] = bright
        if style == "mesh":
            weave = np.minimum((side * 0.7 + above) % 0.036, (side * 0.7 - above) % 0.036)
            material[inside & (weave < 0.007)] = NUMBER["lamp_housing"]
        frame = 0.020 if style in ("frame", "split") else 0.011
        edge = NUMBER["chrome"] if self.spec.chrome or style in ("frame", "split") else TRIM
        material[facing & (distance < 0) & (distance > -frame)] = edge

    def paint_head_lamps(self, material, contour, above, normal):
        """Dark housing behind clear plastic, projectors in bright rings, a strip of daytime lights."""
        corners = np.array(HEAD_LAMPS[self.spec.lamps])
        if self.tall:
            middle = corners[:, 1].mean()
            corners[:, 1] = middle - 0.03 + (corners[:, 1] - middle) * 1.35
        if self.spec.bed:
            corners[:, 0] += 0.06
        distance, edges = convex_distance(contour, above, corners)
        inside = (distance < 0) & (normal[:, 2] < 0.9)
        material[inside] = NUMBER["lamp_housing"]
        material[inside & (distance > -0.006)] = TRIM
        centre = corners.mean(0)
        if self.spec.lamps == "round":
            ring = np.hypot(contour - centre[0] + 0.015, above - centre[1])
            material[inside & (ring < 0.078)] = NUMBER["lamp_reflector"]
            material[inside & (ring < 0.040)] = NUMBER["lamp_lens"]
            material[inside & (np.abs(ring - 0.074) < 0.008)] = NUMBER["daylight"]
            return
        size = 0.30 * (corners[:, 1].max() - corners[:, 1].min())
        for shift in (-0.13, 0.03):
            lift = np.interp(centre[0] + shift, [0.5, 1.1], [-0.030, 0.010])  # the outer one sits higher
            ring = np.hypot(contour - centre[0] - shift, above - centre[1] - lift)
            material[inside & (ring < size * 1.45)] = NUMBER["lamp_reflector"]
            material[inside & (ring < size)] = NUMBER["lamp_lens"]
        strip = edges[0] if self.spec.lamps != "block" else np.maximum(edges[-1], edges[3] - 0.004)
        material[inside & (strip > -0.026) & (strip < -0.008)] = NUMBER["daylight"]
        material[inside & (contour > 1.04) & (distance < -0.012)] = NUMBER["indicator"]

    def rear(self, material, behind, side, height, normal, sill):
        """Tail lamps, tailgate, bumper and its dark insert; `behind` counts from the tail's middle."""
        spec = self.spec
        facing = normal[:, 0] < -0.15
        above = height - spec.tail_height
        lid, foot = (0.66 if not self.tall else 0.72) * self.half, (0.60 if not self.tall else 0.66)
        line = np.abs(side - lid - 0.05 * np.clip(height - 0.8, 0, 1)) < 0.006
        material[facing & line & (height > foot)] = NUMBER["seam"]
        material[facing & (np.abs(height - foot) < 0.006) & (side < lid)] = NUMBER["seam"]
        insert = convex_distance(side, height - sill, [(-0.75, -0.1), (0.75, -0.1), (0.62, 0.17), (-0.62, 0.17)])[0]
        material[facing & (insert < 0)] = NUMBER["cladding"]
        reflector = (np.abs(behind - 0.72 * self.half) < 0.09) & (np.abs(height - sill - 0.22) < 0.018)
        material[facing & reflector] = NUMBER["tail_lamp"]
        if not spec.bed:
            handle = facing & (side < 0.24) & (np.abs(above + 0.115) < 0.010)
            material[handle] = NUMBER["chrome" if spec.chrome else "trim"]
        self.paint_tail_lamps(material, behind / (spec.width / 1.85), above, normal, facing)
        return material

    def paint_tail_lamps(self, material, behind, above, normal, facing):
        """Red plastic with darker and brighter fields, a reversing lamp, perhaps a bar across the tail."""
        style = self.spec.tail_lamps if not self.spec.bed else "upright"
        if style == ("wide" if self.tall else "upright"):
            style = "hook"
        corners = np.array(TAIL_LAMPS[style])
        if self.spec.bed:
            corners = corners + [0.10, 0.0]
        distance, edges = convex_distance(behind, above, corners)
        inside = (distance < 0) & (normal[:, 2] < 0.75)
        material[inside] = NUMBER["tail_lamp"]
        material[inside & (distance > -0.030)] = NUMBER["tail_dark"]
        material[inside & (distance < -0.030) & (distance > -0.048)] = NUMBER["tail_light"]
        low = corners[:, 1].min()
        reverse = (above - low < 0.085) & (above - low > 0.035) & (behind < corners[:, 0].min() + 0.26)
        material[inside & reverse & (distance < -0.02)] = NUMBER["reverse_lamp"]
        if style == "bar":
            material[facing & (behind < 0.6) & (np.abs(above + 0.160) < 0.020)] = NUMBER["tail_dark"]
            material[facing & (behind < 0.6) & (np.abs(above + 0.160) < 0.009)] = NUMBER["tail_light"]
