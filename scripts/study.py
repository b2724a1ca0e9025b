"""Trains and scores what no single training run shows, and writes results/NAME.json.

Usage: python scripts/study.py NAME [FOLDER], of the names in carvana_course.evidence.studies.STUDIES. The photographs
at 256 pixels lie in the folder, else in data/carvana-256.
"""

import sys

from carvana_course.evidence.studies import run_study

run_study(*sys.argv[1:])
