"""Nothing is lost by a rerun, and what is old never passes as new."""

import json

import pandas as pd
import pytest
import torch
import yaml
from conftest import write_pair

from carvana_course.headless import batches, report
from carvana_course.headless.scores import has_metrics, score_run
from carvana_course.scaling import processes, search
from carvana_lib import CheckpointError, ParameterError, runs, tuning
from carvana_lib.checkpoints import load_checkpoint
from carvana_lib.data import open_data
from carvana_lib.evaluation import trained
from carvana_lib.runs import Run, write_csv, write_json


def evaluate(params):
    """What notebooks 04 and 05 leave of a run."""
    data = open_data(params)
    processes.train(data, params)
    model, used, history = trained(data, params)
    test, metrics = score_run(model, data, used, history)
    run = Run(params.run_name)
    write_csv(run.per_image, test)
    write_json(run.metrics, metrics | {"params": params.model_dump()})
    return run


def weights(path):
    return load_checkpoint(path)["model"]["head.weight"]


def test_a_net_that_another_would_overwrite_moves_aside_and_is_told(params, capsys):
    run = evaluate(params)
    before = weights(run.best_checkpoint)
    names = {"checkpoints", "history.csv", "per_image.csv", "metrics.json"}
    assert names <= {path.name for path in run.folder.iterdir()}
    capsys.readouterr()
    other = params.replace(learning_rate=5e-3)
    processes.train(open_data(other), other)
    said = capsys.readouterr().out
    assert f"{run.folder} held a net (trained with learning_rate=0.001, not 0.005), which is now in" in said
    assert "earlier/1; to go back, put its files in the new ones' place" in said and said.count("\n") == 1
    place = run.earlier / "1"
    assert names == {path.name for path in place.iterdir()} and torch.equal(before, weights(place / "checkpoints/best"))
    assert not run.metrics.exists() and not run.per_image.exists() and not torch.equal(before, weights(run.last))
    for path in (run.checkpoints, run.history):  # and back
        if path.is_dir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
        else:
            path.unlink()
    for path in place.iterdir():
        path.rename(run.folder / path.name)
    assert has_metrics(params, open_data(params).fingerprint)
    assert len(trained(open_data(params), params)[2]) == params.epochs


def changed_pictures(params, folder):
    write_pair(folder, "added_01", seed=77)
    return params


CHANGES = {  # what a person changes -> the words that say why
    "base_channels": (lambda p, f: p.replace(base_channels=8), "trained with base_channels=4, not 8"),
    "pictures": (changed_pictures, "trained on other pictures than those in"),
    "fewer epochs": (lambda p, f: p.replace(epochs=1), "trained for 2 epochs, not 1"),
    "resume": (lambda p, f: p.replace(resume=False), "resume=False"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_makes_training_begin_anew(params, folder, capsys, change):
    processes.train(open_data(params), params)
    change, words = CHANGES[change]
    params = change(params, folder)
    processes.train(open_data(params), params)
    assert words in capsys.readouterr().out and (Run("tiny").earlier / "1" / "checkpoints" / "best").exists()


def test_what_goes_on_or_is_made_again_stays(params, capsys, monkeypatch):
    data = open_data(params)
    for epochs in (1, 2, 2):
        processes.train(data, params.replace(epochs=epochs))
    assert not Run("tiny").earlier.exists() and "earlier" not in capsys.readouterr().out
    monkeypatch.setattr("carvana_course.scaling.earlier.code", lambda: "another")
    processes.train(data, params)
    assert "by another version of this code" in capsys.readouterr().out
    processes.train(data, params.replace(epochs=1))
    assert sorted(path.name for path in Run("tiny").earlier.iterdir()) == ["1", "2"]


def test_a_net_trained_for_longer_than_patience_allows_moves_aside(params, capsys):
    data = open_data(params)
    run = Run("tiny")
    processes.train(data, params.replace(epochs=4))
    state = torch.load(run.last, weights_only=True)
    for row, score in zip(state["history"], (0.5, 0.4, 0.3, 0.6), strict=True):
        row["val_miou"] = score
    torch.save(state, run.last)
    processes.train(data, params.replace(epochs=9, patience=2))
    assert "held a net (trained for 4 epochs, not 3)" in capsys.readouterr().out


def test_a_damaged_net_is_kept_too_where_training_begins_anew(params):
    data = open_data(params)
    processes.train(data, params)
    Run("tiny").last.write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match="damaged"):
        processes.train(data, params)
    processes.train(data, params.replace(resume=False))
    assert (Run("tiny").earlier / "1" / "checkpoints" / "last").read_bytes() == b"cut off"


def test_a_training_does_not_start_from_the_net_that_it_replaces(params):
    data = open_data(params)
    processes.train(data, params)
    with pytest.raises(ParameterError, match="start_from='tiny' is the run that is trained; name another run_name"):
        processes.train(data, params.replace(start_from="tiny"))
    assert Run("tiny").last.exists()


def test_comparisons_list_both_nets(params, tmp_path):
    evaluate(params)
    other = params.replace(learning_rate=5e-3)
    evaluate(other)
    table = report.summarise_runs([other])
    assert table["run"].tolist() == ["tiny", "tiny/earlier/1"] and table["test_miou"].notna().all()
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(other.model_dump()))
    found = batches.compare_runs([file])
    assert found[["run", "learning_rate"]].values.tolist() == [["tiny", 5e-3], ["tiny/earlier/1", 1e-3]]


def test_scores_of_other_pictures_are_not_taken_for_these(params, folder):
    run = evaluate(params)
    run.report.write_text("a report")
    assert batches.is_finished(params)
    for view in range(1, 5):
        write_pair(folder, f"more_{view:02d}", seed=90 + view)
    assert has_metrics(params) and not has_metrics(params, open_data(params).fingerprint)
    assert not batches.is_finished(params)


def test_a_search_says_which_trials_another_code_made(params, capsys, monkeypatch):
    params = params.replace(learning_rate=None, loss=None)
    data = open_data(params)
    point = tuning.POINTS[0] | {"val_miou": 0.5, "seconds": 1.0}
    tuning.write_trials([point], data, params)
    monkeypatch.setattr(tuning, "score_point", lambda point, data, params: 0.1)
    assert len(search.search(data, params)) == 6
    said = capsys.readouterr().out
    assert said.startswith("1 of 1 trials in ") and "by another version of this code; delete it to search anew" in said
    made = [json.loads(line) for line in tuning.study_file(data, params).read_text().splitlines()]
    assert [trial.get("code") for trial in made] == [None, *[runs.code()] * 5]
    table = pd.read_csv(Run("tiny").tuning)
    assert list(table) == tuning.TRIAL_COLUMNS
