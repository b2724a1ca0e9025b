"""Studies: questions that need more than one training run from a parameter file. Each yields rows, kept as one JSON."""

from carvana_course.evidence import diagnoses, fine_tuning, leak, rare, small_cars, validation_gap, wide_grid
from carvana_course.evidence.results import study_json
from carvana_lib import ParameterError, RunError
from carvana_lib.config import Params
from carvana_lib.device import describe_device
from carvana_lib.runs import environment, write_json

STUDIES = {  # name of the JSON -> the rows of a folder of photographs
    "diagnoses": diagnoses.train_with_each_fault,  # what do curves look like where something is wrong? On renders
    "fine-tuning": fine_tuning.compare_orders,  # in which order is a pretrained encoder fine-tuned?
    "leak": leak.compare_splits,  # what does a net that has seen a car from another side score on it?
    "rare-object": rare.train_each,  # which loss finds a car of 0.2 % of the picture? On renders
    "small-cars": small_cars.train_on_small_cars,  # and one of 2 %?
    "validation-gap": validation_gap.compare_figures,  # what would make validation look so much worse than test?
    "wide-grid": wide_grid.search_wide,  # where is the best learning rate, if the grid goes on?
}


def run_study(name: str, folder: str = "data/carvana-256") -> None:
    """Run a study on the photographs in `folder` and write its JSON. Raises ParameterError for an unknown name."""
    if name not in STUDIES:
        raise ParameterError(f"there is no study '{name}'; there are {', '.join(STUDIES)}")
    rows = []
    for row in STUDIES[name](folder):
        rows.append(row)
        print(row, flush=True)
    if not rows:
        raise RunError(f"study '{name}' found nothing to score; train first what {STUDIES[name].__module__} names")
    made_with = {"device": describe_device(Params())} | environment()
    write_json(study_json(name), {"study": name} | made_with | {"rows": rows})
