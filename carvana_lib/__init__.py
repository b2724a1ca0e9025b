"""Car segmentation on Carvana, small enough to read in an evening.

Importing the package loads nothing heavy: each module imports what it needs.
"""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # albumentations would ask the network at import

__version__ = "0.1.0"
