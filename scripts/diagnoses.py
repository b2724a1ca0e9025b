"""Trains six small nets, five of them with a fault, and writes results/diagnoses.json: a minute."""

from carvana_course.evidence import diagnoses
from carvana_course.evidence.results import DIAGNOSES
from carvana_lib.runs import environment, write_json

runs = {}
for fault, found in diagnoses.train_with_each_fault():
    runs[fault] = found
    print(fault, found["val_loss"][-1], flush=True)
write_json(DIAGNOSES, {"runs": runs} | environment())
