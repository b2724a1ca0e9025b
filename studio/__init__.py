"""The sample studio: parametric cars, rendered in a white room, in the layout of the Carvana data.

Read it in this order: car.py (what a car is), lines.py and body.py (its surfaces), parts.py and wheels.py
(what is bolted on), skin.py and materials.py (what they are made of), scene.py and lettering.py (the room),
model.py (triangles and baked shade), camera.py, render.py, film.py, dataset.py (files), sheets.py (figures).
"""

import os

# numpy's own threads only get in the way of one process per core; must be set before numpy is imported
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
