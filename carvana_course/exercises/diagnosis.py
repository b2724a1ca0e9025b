"""The judgement of notebook 04: six runs, of which five have a fault. Which has which?"""

import pandas as pd

from carvana_course.evidence.diagnoses import RUN_FAULTS
from carvana_course.evidence.results import study_rows
from carvana_course.exercises.checks import Exercise

CAUSE_OF_RUN = {
    "A": "leak",
    "B": "nothing wrong",
    "C": "stopped too early",
    "D": "learning rate too high",
    "E": "overfitting",
    "F": "eval() forgotten",
}
NUMBER_OF_RUN = {run: str(list(RUN_FAULTS).index(cause) + 1) for run, cause in CAUSE_OF_RUN.items()}


def six_runs() -> tuple[dict, pd.DataFrame]:
    """What `histories.loss_panels` draws of each run, and a table with what the curves do not show: one row per run,
    with its training pictures, its last validation loss, the same one picture at a time, and its loss on new cars.
    """
    runs = study_rows("diagnoses").set_index("fault").to_dict("index")
    curves = {}
    rows = []
    for letter, cause in CAUSE_OF_RUN.items():
        run = runs[cause]
        curves[letter] = (run["train_loss"], run["val_loss"])
        rows.append((letter, run["pictures"], run["val_loss"][-1], run["one_at_a_time"], run["new_cars"]))
    columns = ["run", "training pictures", "validation loss", "the same, one at a time", "new cars"]
    return curves, pd.DataFrame(rows, columns=columns)


def is_diagnosed(answer, run: str) -> bool:
    """Has a run its number in an answer like '123456', or a list of six? Raises ValueError for other lengths."""
    given = answer()
    numbers = [str(one).strip() for one in (given if isinstance(given, list | tuple) else str(given).replace(" ", ""))]
    if len(numbers) != len(NUMBER_OF_RUN):
        raise ValueError(f"{len(numbers)} numbers were given; it takes six, one for each of the runs A to F")
    return dict(zip(NUMBER_OF_RUN, numbers, strict=True))[run] == NUMBER_OF_RUN[run]


def without(letters: str):
    """An answer that is wrong about these runs alone."""
    return lambda: ["0" if run in letters else number for run, number in NUMBER_OF_RUN.items()]


DIAGNOSE = Exercise(
    "diagnose", "".join(NUMBER_OF_RUN.values()), observe=is_diagnosed,
    cases={f"run {run}": (run,) for run in NUMBER_OF_RUN},
    mistakes={
        "A and E": (without("AE"),
            "A and E both memorise a few pictures. In one of them validation goes down all the same, as if it asked "
            "for what was memorised; the new cars tell that it did."),
        "A and B": (without("AB"),
            "In both, validation follows training down. Look at the new cars: in one they are as good as validation, "
            "in the other far worse. Validation there is not about new cars."),
        "B and F": (without("BF"),
            "Their curves look alike. In the table, the same pictures were scored again, in other batches: a net in "
            "evaluation mode says the same, whatever its neighbours."),
        "B and C": (without("BC"),
            "In both, nothing goes wrong. One of them has flattened; the other, still high, was falling to the end."),
        "C and E": (without("CE"),
            "A high loss in the end has two reasons here. Where training is low and only validation is high, more "
            "epochs make it worse; where both are high and falling, more epochs are what is missing."),
        "A": (without("A"), "Look again at run A: two cars teach it all about validation, and next to nothing about "
            "new cars. Ask what validation shows."),
        "B": (without("B"), "Look again at run B: both curves flatten together, and new cars are as good."),
        "C": (without("C"), "Look again at run C: both curves are still high, and still falling."),
        "D": (without("D"), "Look again at run D: even training jumps out of the picture, which one fault does."),
        "E": (without("E"), "Look again at run E: training goes on falling when validation has turned up again."),
        "F": (without("F"), "Look again at run F: one net, the same pictures, and two validation losses."),
        "several": (without("ABCDEF"),
            "Several are mixed up. Begin with the two that the table gives away: in one run the two validation losses "
            "differ, in another new cars are far worse than validation although both curves fall."),
    },
)
