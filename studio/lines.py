"""The lines of one car: the curves of its side view and of its plan, as functions of the station.

Lengths are metres. Station: distance from the front bumper's tip. Contour: the way along the plan
outline, from the middle of the front bumper round the corner, along the flank and round to the
middle of the rear bumper; one number that says where on the painted skin a point lies.
"""

import numpy as np

STEP = 0.005


def rounded_curve(points, rounding):
    """The polyline through (station, height) points, corners rounded by a Gaussian of `rounding` metres."""
    points = np.asarray(points, float)
    margin = 4 * rounding
    grid = np.arange(points[0, 0] - 2 * margin, points[-1, 0] + 2 * margin, STEP)
    heights = np.interp(grid, points[:, 0], points[:, 1])
    for end, neighbour in ((0, 1), (-1, -2)):
        slope = (points[end, 1] - points[neighbour, 1]) / (points[end, 0] - points[neighbour, 0])
        outside = grid < points[0, 0] if end == 0 else grid > points[-1, 0]
        heights = np.where(outside, points[end, 1] + slope * (grid - points[end, 0]), heights)
    reach = int(np.ceil(margin / STEP))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / rounding) ** 2)
    heights = np.convolve(np.pad(heights, reach, mode="edge"), weights / weights.sum(), "valid")
    return lambda station: np.interp(station, grid, heights)


def smooth_step(values, low, high):
    """0 below `low`, 1 above `high`, a smooth ramp between."""
    ramp = np.clip((values - low) / (high - low), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


class Lines:
    """All curves of one car, ready to be evaluated on arrays of stations or heights."""

    def __init__(self, spec):
        self.spec = spec
        length = spec.length
        self.wheel_stations = (spec.front_overhang, spec.front_overhang + spec.wheelbase)
        self.deck = rounded_curve(
            [
                (-0.10, spec.nose_height - 0.03),
                (0.10, spec.nose_height),
                (0.45, spec.hood_height),
                (spec.cowl, spec.cowl_height),
                (spec.pillars[0], spec.cowl_height + 0.02),
                (spec.screen_foot, spec.deck_height),
                (length - 0.10, spec.tail_height),
                (length + 0.10, spec.tail_height - 0.06),
            ],
            0.055,
        )
        self.roof = rounded_curve(
            [
                (spec.cowl - 0.25, spec.cowl_height - 0.05),
                (spec.cowl, spec.cowl_height),
                (spec.roof_front, spec.height - 0.04),
                (0.6 * spec.roof_front + 0.4 * spec.roof_rear, spec.height),
                (spec.roof_rear, spec.height - spec.roof_drop),
                (spec.screen_foot, spec.deck_height),
                (spec.screen_foot + 0.08, spec.deck_height - 0.12),
            ],
            spec.roof_rounding,
        )
        self.sill = rounded_curve(
            [
                (-0.10, spec.clearance + 0.10),
                (0.25, spec.clearance + 0.02),
                (0.90, spec.clearance),
                (length - 0.80, spec.clearance + 0.01),
                (length + 0.10, spec.clearance + 0.18),
            ],
            0.08,
        )
        self.tabulate_contour()
        self.tabulate_window_frame()

    def half_width(self, station):
        """Half the body's width: a rounded rectangle in plan."""
        spec = self.spec
        front = np.clip(1 - station / spec.front_depth, 0, 1)
        rear = np.clip(1 - (spec.length - station) / spec.rear_depth, 0, 1)
        return (
            spec.width
            / 2
            * (1 - front**spec.front_squareness) ** (1 / spec.front_squareness)
            * (1 - rear**spec.rear_squareness) ** (1 / spec.rear_squareness)
        )

    def cabin_half_width(self, station):
        """Half the width of the cabin's foot."""
        return self.half_width(np.clip(station, 0.95, self.spec.length - 0.14)) * 0.935

    def tabulate_contour(self):
        """The way along the plan outline for stations from bumper to bumper."""
        length = self.spec.length
        ends = 0.5 * (1 - np.cos(np.linspace(0, np.pi, 6000)))
        self.contour_stations = length * ends**1.5 / (ends**1.5 + (1 - ends) ** 1.5)
        widths = self.half_width(self.contour_stations)
        steps = np.hypot(np.diff(self.contour_stations), np.diff(widths))
        self.contour_lengths = np.concatenate([[0], np.cumsum(steps)])
        self.contour_end = self.contour_lengths[-1]

    def contour_of(self, station):
        """Metres along the contour at a station."""
        return np.interp(station, self.contour_stations, self.contour_lengths)

    def station_of(self, contour):
        """The station at a place on the contour."""
        return np.interp(contour, self.contour_lengths, self.contour_stations)

    def tabulate_window_frame(self):
        """The roof line moved inwards by the width of the roof rail: the top of the side windows."""
        stations = np.arange(0, self.spec.length, STEP)

        def inset(distance):
            offsets = np.linspace(-distance, distance, 21)
            heights = [self.roof(stations + offset) - np.sqrt(max(distance**2 - offset**2, 0)) for offset in offsets]
            lowest = np.min(heights, axis=0)
            return lambda station: np.interp(station, stations, lowest)

        self.frame_top, self.glass_top = inset(0.058), inset(0.078)

    def nose_setback(self, height):
        """How far the front face stands behind the bumper's tip at a height (side view)."""
        spec = self.spec
        bumper = 0.5 * (spec.clearance + spec.nose_height) - 0.02
        above = np.clip((height - bumper) / (spec.nose_height - bumper), 0, 1.3)
        below = np.clip((bumper - height) / (bumper - spec.clearance), 0, 1)
        return spec.nose_lean * above**1.8 + 0.07 * below**1.6

    def tail_setback(self, height):
        """How far the rear face stands before the rear bumper's tip at a height (side view)."""
        spec = self.spec
        bumper = 0.30 + 0.5 * spec.clearance + 0.06
        above = smooth_step(height, bumper + 0.06, bumper + 0.16)
        higher = np.clip((height - bumper - 0.1) / (spec.tail_height - bumper - 0.1), 0, 1.2)
        below = np.clip((bumper - 0.05 - height) / 0.3, 0, 1)
        setback = 0.035 * above + spec.tail_lean * higher + 0.10 * below**1.4
        if not spec.bed:
            setback = setback - 0.025 * np.exp(-(((height - spec.tail_height + 0.03) / 0.05) ** 2))  # the boot's lip
        return setback
