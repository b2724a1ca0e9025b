"""The document's eight claims and its results, beside what experiments and a run have measured."""

import pandas as pd

from carvana_course.evidence.document import CLAIMS, DOCUMENT_RESULTS
from carvana_course.evidence.judgement import Judgement
from carvana_course.evidence.judges import JUDGES
from carvana_course.evidence.results import results_by_seed


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


def judgements() -> dict[str, Judgement]:
    """Each claim with what the experiments on real photographs say of it."""
    return {claim: judge() for claim, judge in zip(CLAIMS, JUDGES, strict=True)}


def on_real_photos() -> pd.DataFrame:
    """The eight claims with what was measured on real photographs, and a verdict."""
    rows = [(claim, found.seen, found.verdict) for claim, found in judgements().items()]
    return pd.DataFrame(rows, columns=["claim", "on real photographs", "verdict"])
