import ast
import re

import nbformat
import pytest
import yaml
from conftest import ROOT

from carvana_course.parameters import FIXED, OTHER_NAMES, load_params, notebook_params
from carvana_lib import ParameterError
from carvana_lib.config import HINTS, Params


def test_a_typo_is_refused_with_the_closest_parameter():
    with pytest.raises(ParameterError, match="unknown parameter 'learning_rat'; did you mean 'learning_rate'"):
        Params(learning_rat=1e-3)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lr", "did you mean 'learning_rate'"),
        ("LR", "did you mean 'learning_rate'"),
        ("bs", "did you mean 'batch_size'"),
        ("gpu", "did you mean 'device'"),
        ("name", "did you mean 'run_name'"),
        ("optimizer", "it is always AdamW"),
        ("early_stopping", "did you mean 'patience'"),
        ("n_splits", "did you mean 'folds'"),
        ("momentum", "valid ones: data_dir, "),
    ],
)
def test_what_else_people_call_a_parameter_is_understood(name, hint):
    with pytest.raises(ParameterError, match=f"^unknown parameter '{name}'; {hint}"):
        Params(**{name: 1})


def test_other_names_lead_to_parameters_and_are_none():
    assert set(OTHER_NAMES) <= set(Params.model_fields) and not set(HINTS) & set(Params.model_fields)
    words = " ".join([*OTHER_NAMES.values(), *FIXED]).split()
    assert sorted(words) == sorted(HINTS), "each once"
    assert all(word == word.lower() for word in words)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "greater than or equal to 1"),
        ("epochs", "many", "valid integer"),
        ("epochs", 2.5, "integer"),
        ("epochs", True, "true/false is not meant"),
        ("image_size", 100, "multiple of 16"),
        ("grad_clip", float("inf"), "finite"),
        ("loss", "focal", "'bce', 'dice' or 'bce_dice'"),
        ("learning_rate", 0, "greater than 0"),
        ("precision", "half", "'auto', 'float32', 'bf16' or 'fp16'"),
        ("run_name", "../elsewhere", "letters, digits, .* as in '___elsewhere'"),
        ("run_name", ".cache", "as in '_cache'"),
        ("run_name", "my run/2", "as in 'my_run_2'"),
        ("run_name", "..", "as in '__'"),
        ("run_name", "", "as in 'my_run'"),
        ("num_processes", 2000, "less than or equal to 1024"),
        ("val_fraction", 0.5, "less than 0.5"),
    ],
)
def test_bad_values_are_one_sentence_naming_parameter_and_range(name, value, message):
    with pytest.raises(ParameterError, match=message) as caught:
        Params(**{name: value})
    assert str(caught.value).startswith(f"{name}=") and "\n" not in str(caught.value)
    assert "pattern" not in str(caught.value) and "\\" not in str(caught.value), "a regular expression is for programs"


def test_fractions_must_leave_cars_for_training():
    with pytest.raises(ParameterError, match="less than a fifth"):
        Params(val_fraction=0.45, test_fraction=0.45)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 5}, "folds=5 and fold=None do not go together; give both, .*'carvana batch' does it"),
        ({"fold": 1}, "folds=None and fold=1 do not go together"),
        ({"folds": 2, "fold": 3}, "folds=2 and fold=3 do not go together"),
        ({"patience": 2, "scheduler": "onecycle"}, "planned to the last epoch; set it, or patience"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(ParameterError, match=message) as caught:
        Params(**values)
    assert "\n" not in str(caught.value)


def test_what_ends_a_training_or_records_it_is_not_what_it_learns():
    ended = Params(patience=2, epochs=9, tracker="mlflow")
    assert ended.of_training() == Params().of_training() and ended.of_search() == Params().of_search()
    first, second = (Params(folds=2, fold=fold) for fold in (1, 2))
    assert first.of_training() != second.of_training() and first.of_search() != Params().of_search()


def test_text_from_yaml_becomes_a_number():
    assert Params(learning_rate="1e-4").learning_rate == 1e-4  # YAML 1.1 reads 1e-4 as text


@pytest.mark.parametrize("text", ["2024-01-05", "2024-13-45", "1.50", "007", "no", "1e3", "12:30"])
def test_text_in_a_file_stays_as_it_is_written(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"run_name: {text.replace(':', '-')}\ndata_dir: {text}\nstart_from: {text}\n")
    params = load_params(tmp_path / "a.yaml")
    assert (params.run_name, params.data_dir, params.start_from) == (text.replace(":", "-"), text, text)


@pytest.mark.parametrize("nothing", ["None", "null", "~", ""])
def test_nothing_in_a_file_may_be_written_as_in_python(tmp_path, nothing):
    (tmp_path / "a.yaml").write_text(f"loss: {nothing}\nsubset: {nothing}\nstart_from: {nothing}\n")
    assert load_params(tmp_path / "a.yaml", loss=None) == Params()


def test_files_and_overrides_are_laid_over_the_defaults(tmp_path):
    (tmp_path / "a.yaml").write_text("epochs: 3\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("seed: 2\n")
    params = load_params(tmp_path / "a.yaml", tmp_path / "b.yaml", batch_size=4)
    assert (params.epochs, params.seed, params.batch_size) == (3, 2, 4)


DEEP = pytest.param("[" * 3000, id="deep")


@pytest.mark.parametrize(
    "text", ["- a list", "[]", "epochs: [", "just text", "7: 3", "? [a]\n: 1", "seed: 2024-13-45", DEEP]
)
def test_a_broken_parameter_file_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(ParameterError, match="broken.yaml"):
        load_params(tmp_path / "broken.yaml")
    with pytest.raises(ParameterError, match="absent.yaml.*cannot be read"):
        load_params(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("text", "seed"), [("010", 10), ("0777", 777), ("+3", 3), ("1_0", 10), ("0", 0)])
def test_a_number_in_a_file_is_the_one_of_the_command_line(tmp_path, text, seed):
    (tmp_path / "a.yaml").write_text(f"seed: {text}\nimage_size: [0128, 064]\n")
    params = load_params(tmp_path / "a.yaml")
    assert params.seed == seed == load_params(seed=text).seed and params.image_size == [128, 64]


@pytest.mark.parametrize("text", ["0x10", "0b11", "1:30", "0o7"])
def test_other_notations_of_numbers_are_refused_by_name(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"epochs: {text}\n")
    with pytest.raises(ParameterError, match=f"epochs='{text}': it should be a valid integer"):
        load_params(tmp_path / "a.yaml")
    with pytest.raises(ParameterError, match="epochs="):
        load_params(epochs=text)


@pytest.mark.parametrize("text", ["epochs: 1\nseed: 2\nepochs: 3\n", "seed: 1\ngrid:\n  epochs: [1]\n  epochs: [3]\n"])
def test_a_name_that_is_there_twice_is_refused(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    line = text.count("\n")
    with pytest.raises(ParameterError, match=f"a.yaml.*line {line}: 'epochs' is there a second time; keep one"):
        load_params(tmp_path / "a.yaml")


def test_replace_validates_and_keeps_the_rest():
    params = Params(seed=3)
    assert params.replace(epochs=2) == Params(seed=3, epochs=2)
    with pytest.raises(ParameterError):
        params.replace(epochs=0)


def test_from_notebook_reads_assignments_and_refuses_misspelt_ones():
    cell = "# Parameters\nepochs = 2\nlearning_rat = 3e-4\n"
    with pytest.raises(ParameterError, match="learning_rate"):
        notebook_params({"In": ["", "import os", cell, "calls"], "epochs": 2, "learning_rat": 3e-4})
    other = "epoch = 7  # not a parameters cell"
    assert notebook_params({"In": ["", other, "calls"], "epochs": 2, "epoch": 7}) == Params(epochs=2)
    left_over = {"In": ["", "# Parameters\nseed = 1", "calls", "loss = 3", "calls"], "seed": 1, "loss": 3}
    assert notebook_params(left_over) == Params(seed=1), "variables of the notebook are no parameters"
    corrected = ["", cell, "calls", "# Parameters\nlearning_rate = 3e-4", "calls"]
    assert notebook_params({"In": corrected, "learning_rate": 3e-4}) == Params(learning_rate=3e-4)


def notebooks():
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_parameters_cells_agree_with_the_defaults(path):
    cells = [c for c in nbformat.read(path, 4).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1
    source = cells[0].source
    values = {s.targets[0].id: ast.literal_eval(s.value) for s in ast.parse(source).body}
    assert 3 <= len(values) <= 8 and values == {name: getattr(Params(), name) for name in values}
    assert list(values) == [name for name in Params.model_fields if name in values]
    comments = dict(re.findall(r"^(\w+) = .*?  # (.*)$", source, re.M))
    assert comments == {name: Params.model_fields[name].description for name in values}


def test_protocol_yaml_holds_exactly_the_published_numbers():
    values = yaml.safe_load((ROOT / "notebooks/params/protocol.yaml").read_text())
    published = {
        "image_size": 256,
        "base_channels": 64,
        "batch_size": 8,
        "epochs": 5,
        "learning_rate": 1e-4,
        "weight_decay": 1e-4,
        "grad_clip": 1.0,
        "loss": "bce_dice",
        "scheduler": "none",
        "val_fraction": 0.15,
        "test_fraction": 0.15,
        "subset": None,
        "tuning_epochs": 1,
        "tuning_subset": 1000,
    }
    assert {name: values[name] for name in published} == published
    assert set(values) - set(published) == {"data_dir", "run_name"}
    Params(**values)


def test_quick_yaml_is_the_defaults():
    assert load_params(ROOT / "notebooks/params/quick.yaml") == Params()
