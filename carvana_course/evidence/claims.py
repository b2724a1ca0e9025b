"""The document's eight claims: what one run says of them, and what the experiments on real photographs say."""

import pandas as pd

from carvana_course.evidence.document import CLAIMS, DOCUMENT_RESULTS
from carvana_course.evidence.judges import JUDGES, averaging_moves, holds, too_few_seeds
from carvana_course.evidence.results import results_by_seed
from carvana_course.facts import cars_on_two_sides


def claimed_and_measured(measured: dict) -> pd.DataFrame:
    """The document's results beside this run's: quantity, document, this run, difference."""
    rows = [(name, claim, measured[name], measured[name] - claim) for name, claim in DOCUMENT_RESULTS.items()]
    return pd.DataFrame(rows, columns=["quantity", "document", "this run", "difference"])


def recipe_at_full_size() -> pd.DataFrame:
    """The document's results beside those of its recipe at its full size, a column a seed; times are left out."""
    names = [name for name in DOCUMENT_RESULTS if name.startswith(("val", "test"))]
    columns = {"quantity": names, "document": [f"{DOCUMENT_RESULTS[name]:.4f}" for name in names]}
    for seed, result in results_by_seed("protocol-full").items():
        columns[f"seed {seed}"] = [f"{result['metrics'][name]:.4f}" for name in names]
    return pd.DataFrame(columns)


def verdicts(
    measured: dict, history: pd.DataFrame, params, tuning: pd.DataFrame, pictures: pd.DataFrame, rendered: bool
) -> pd.DataFrame:
    """The eight claims, each with what this run says: claim, this run, verdict.

    A run on rendered pictures judges only what does not depend on the photographs.
    """
    early = history["val_miou"].head(5).max()
    early_verdict = holds(early > 0.93)
    gap = measured["test_miou"] - measured["val_miou"]
    gap_verdict = holds(abs(gap) < 0.03)
    count_verdict = "318 cars x 16 views are 5088" if len(pictures) == 5088 else "cannot be told: not the full set"
    if rendered:
        early_verdict = "cannot be told from rendered pictures"
        gap_verdict = early_verdict
        count_verdict = early_verdict

    trials = ", ".join(f"{loss}: {value:.4f}" for loss, value in tuning.groupby("loss")["val_miou"].max().items())
    searched = (f"best trial {trials}", too_few_seeds(1)) if trials else ("no search in this run", "not tested here")
    shared = cars_on_two_sides(pictures)
    rates = sorted(set(history["learning_rate"]))
    step_acted = params.scheduler == "step" and len(history) > 5

    rows = [
        ("no pretrained net in this run", "not tested here"),
        (f"best of the first 5: {early:.4f}", early_verdict),
        searched,
        (f"test - val: {gap:+.4f}; {averaging_moves([measured['test_averagings']])}", gap_verdict),
        (f"cars on two sides: {shared}", holds(shared == 0)),
        (
            f"learning rate over {len(history)} epochs: {rates}",
            "StepLR acted after epoch 5" if step_acted else "no difference within 5 epochs",
        ),
        (f"{len(pictures)} pictures, {measured['n_test']} test", count_verdict),
        (f"{len(tuning)} trials", "3 learning rates x 2 losses are 6"),
    ]
    rows = [(claim, *row) for claim, row in zip(CLAIMS, rows, strict=True)]
    return pd.DataFrame(rows, columns=["claim", "this run", "verdict"])


def on_real_photos() -> pd.DataFrame:
    """The eight claims with what was measured on real photographs, and a verdict."""
    rows = [(claim, *judge()) for claim, judge in zip(CLAIMS, JUDGES, strict=True)]
    return pd.DataFrame(rows, columns=["claim", "on real photographs", "verdict"])
