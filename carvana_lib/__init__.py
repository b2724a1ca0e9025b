"""Car segmentation on Carvana, small enough to read in an evening.

Importing the package loads nothing heavy. Here are only the errors that are meant for people: the message of each is
one sentence that names the file or parameter at fault and the remedy, which the command line prints by itself.
"""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # albumentations would ask the network at import

__version__ = "0.1.0"


class CarvanaError(Exception):
    """What all errors that are meant for people have in common: in a notebook the sentence stands without traceback."""

    def _render_traceback_(self):  # which IPython asks for
        return [f"{type(self).__name__}: {self}"]


class ParameterError(CarvanaError):
    """A parameter that does not exist, has the wrong type, lies out of range or cannot be had on this machine."""


class RunError(CarvanaError):
    """A run's folder, or another place, that cannot be written, lacks what is read from it, or is in use."""


class DataError(CarvanaError):
    """Photos, masks, folders or tables that cannot be used."""


class CheckpointError(CarvanaError):
    """A net's file that cannot be used, or that is not the net it is taken for."""


class TrainingError(CarvanaError):
    """Training that cannot go on."""
