"""The mask browser: turn the car, lay the mask over it, find what is wrong. ipywidgets only, works offline."""

from carvana_course.browser.widget import MaskBrowser

__all__ = ["MaskBrowser"]
