"""Which material lies where on the cabin: glass, black frames, bright strips, painted roof and pillars.

As in skin.py the answer is computed at the very point that a ray has met. `station`, `side` (distance from
the middle plane) and `height` are metres, see lines.py; `normal` is the surface's unit normal.
"""

import numpy as np

from studio.body import cabin_taper
from studio.materials import NUMBER

PAINT, TRIM, GLASS = NUMBER["paint"], NUMBER["trim"], NUMBER["glass"]


class Windows:
    """The material map of one car's cabin."""

    def __init__(self, spec, lines):
        self.spec, self.lines = spec, lines

    def cabin(self, station, side, height, normal):
        """Material numbers at points of roof, pillars and windows."""
        material = np.full(len(station), PAINT)
        if self.spec.dark_roof:
            above_frame = height > self.lines.frame_top(station)
            material[above_frame & (height > self.spec.cowl_height + 0.25)] = TRIM
        sideways = normal[:, 1] ** 2 > 0.45
        self.paint_side_windows(material, station, height, sideways)
        from_edge = self.lines.cabin_half_width(station) * cabin_taper(self.spec, height) - side
        self.paint_windscreen(material, station, height, normal, from_edge, sideways)
        self.paint_rear_window(material, station, height, normal, from_edge, sideways)
        return material

    def side_glass_end(self):
        """Station where the side windows end at the belt line, and how fast that edge leans forward."""
        spec = self.spec
        if spec.panel_van:
            return spec.pillars[0] + 0.02, 0.0
        if spec.kind in ("sedan", "coupe"):
            share = 0.53 if spec.kind == "sedan" else 0.44
            return spec.roof_rear + share * (spec.screen_foot - spec.roof_rear), 0.5
        return spec.screen_foot - (0.18 if spec.bed else 0.26), 0.05 if spec.bed else 0.45

    def paint_side_windows(self, material, station, height, sideways):
        """Black frames, glass between them, and a bright or black strip along the belt line."""
        belt = self.lines.deck(station) + 0.012
        end, lean = self.side_glass_end()
        before_end = end - lean * (height - belt) - station
        frame = sideways & (height > belt) & (before_end > 0) & (height < self.lines.frame_top(station))
        material[frame] = TRIM
        pillar = np.min([np.abs(station - place) for place in self.spec.pillars], axis=0)
        glass = (
            (height > belt + 0.022) & (height < self.lines.glass_top(station)) & (pillar > 0.038) & (before_end > 0.022)
        )
        material[frame & glass] = GLASS
        if self.spec.privacy_glass:
            material[frame & glass & (station > self.spec.pillars[0])] = NUMBER["privacy_glass"]
        if self.spec.chrome:
            strip = (height < belt + 0.018) | (before_end < 0.016)
            material[frame & strip] = NUMBER["chrome"]

    def paint_windscreen(self, material, station, height, normal, from_edge, sideways):
        """The windscreen with its black border."""
        spec = self.spec
        top = spec.height - 0.085
        pane = (
            ~sideways & (station < spec.roof_front + 0.12) & (height < top) & (normal[:, 0] > 0.1) & (from_edge > 0.060)
        )
        material[pane] = TRIM
        glass = (from_edge > 0.088) & (height < top - 0.022) & (height > spec.cowl_height + 0.045)
        material[pane & glass] = GLASS

    def paint_rear_window(self, material, station, height, normal, from_edge, sideways):
        """The rear window with its black border."""
        spec = self.spec
        top, foot = spec.height - spec.roof_drop - 0.085, spec.deck_height + 0.035
        pane = (
            ~sideways
            & (station > spec.roof_rear - 0.08)
            & (height < top)
            & (height > foot)
            & (normal[:, 0] < -0.1)
            & (from_edge > 0.075)
        )
        rear_glass = NUMBER["privacy_glass"] if spec.privacy_glass else GLASS
        material[pane] = TRIM
        material[pane & (from_edge > 0.10) & (height < top - 0.02) & (height > foot + 0.022)] = rear_glass
