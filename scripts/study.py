"""Trains and scores what no single training run shows, and writes results/NAME.json.

Usage: python scripts/study.py NAME [FOLDER], of the names in carvana_course.evidence.studies.STUDIES. The photographs
at 256 pixels lie in the folder, else in data/carvana-256.
"""

import sys

from carvana_course.evidence.studies import run_study
from carvana_lib import CarvanaError

if len(sys.argv) < 2:
    sys.exit(__doc__)
try:
    run_study(*sys.argv[1:])
except CarvanaError as error:
    sys.exit(f"error: {error}")
