import itertools
import os
import pickle
import subprocess
import sys
from collections import Counter

import pandas as pd
import pytest
import torch

from carvana_lib import CheckpointError, ParameterError, TrainingError, evaluation, training
from carvana_lib.checkpoints import has_ended, is_trained, load_checkpoint, load_model, load_trained, make_model
from carvana_lib.config import Params
from carvana_lib.dataset import training_rows
from carvana_lib.device import describe_device, make_accelerator, pick_precision
from carvana_lib.model import UNet
from carvana_lib.runs import Run
from carvana_lib.training import fit, train


def run_fit(data, params, folder=None, **kwargs):
    model = make_model(params)
    history = fit(model, data, data.rows("train"), data.rows("val"), params, folder, **kwargs)
    return model, history


def weights(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_training_learns(data, params):
    _, history = run_fit(data, params.replace(epochs=12, learning_rate=3e-3))
    assert list(history["epoch"]) == list(range(1, 13))
    assert history["train_loss"].iloc[-1] < 0.7 * history["train_loss"].iloc[0]
    assert history["val_miou"].iloc[-1] > 0.6
    assert history["images"].tolist() == [24] * 12  # 7 cars x 4 views, less a last batch of 4 ... never of one


def test_the_same_seed_gives_the_same_weights_and_another_does_not(data, params):
    first, again, other = (run_fit(data, params.replace(seed=seed))[0] for seed in (0, 0, 1))
    assert torch.equal(weights(first), weights(again)) and not torch.equal(weights(first), weights(other))


@pytest.mark.parametrize("scheduler, ema", [("none", 0), ("step", 0), ("onecycle", 0.9)])
def test_resumed_equals_uninterrupted_bit_for_bit(data, params, tmp_path, scheduler, ema):
    params = params.replace(scheduler=scheduler, ema=ema, epochs=7)
    whole, history = run_fit(data, params, tmp_path / "whole")

    class Interrupted(Exception):
        pass

    def stop_after_three(history):
        if len(history) == 3:
            torch.rand(5)  # whatever else the process did with random numbers
            raise Interrupted

    with pytest.raises(Interrupted):
        run_fit(data, params, tmp_path / "parts", on_epoch=stop_after_three)
    resumed, resumed_history = run_fit(data, params, tmp_path / "parts")
    assert torch.equal(weights(whole), weights(resumed))
    drop = ["seconds"]
    pd.testing.assert_frame_equal(history.drop(columns=drop), resumed_history.drop(columns=drop))
    rates = (history["learning_rate"] / params.learning_rate).tolist()
    if scheduler == "onecycle":
        assert max(rates) > 0.9 and rates[-1] < 1e-3
    else:
        assert rates == ([1] * 5 + [0.5] * 2 if scheduler == "step" else [1] * 7)


def test_averaged_weights_lag_behind_and_are_what_is_kept(data, params, tmp_path):
    plain, _ = run_fit(data, params)
    averaged, _ = run_fit(data, params.replace(ema=0.9), tmp_path)
    start = make_model(params)
    last = torch.load(tmp_path / "last", weights_only=True)
    assert all(torch.equal(value, last["training"]["net"][name]) for name, value in plain.state_dict().items())
    moved = [(weights(net) - weights(start)).norm() for net in (averaged, plain)]
    assert 0 < moved[0] < moved[1]
    assert torch.equal(weights(load_model(tmp_path / "last")), weights(averaged))


def test_training_starts_from_the_best_weights_of_another_run(data, params):
    train(data, params)
    begun = make_model(params.replace(run_name="next", start_from="tiny"))
    assert torch.equal(weights(begun), weights(load_model(Run("tiny").best_checkpoint))) and begun.training
    with pytest.raises(CheckpointError, match="start_from='tiny' is another net, .*: 4, .*, not .*: 8, .*; give"):
        make_model(params.replace(start_from="tiny", base_channels=8))
    for name in ("absent", "quick/best"):
        with pytest.raises(CheckpointError, match=f"start_from='{name}' is no trained run; train it, or take .*tiny$"):
            make_model(params.replace(start_from=name))


def test_fewer_cars_are_part_of_more_cars_and_fill_an_epoch(data, params):
    rows = [training_rows(data, params.replace(train_cars=count)) for count in (1, 3, 5, None)]
    cars = [set(data.table["car_id"].iloc[chosen]) for chosen in rows]
    assert [len(found) for found in cars] == [1, 3, 5, 6]
    assert all(fewer < more for fewer, more in itertools.pairwise(cars))
    assert {len(chosen) for chosen in rows} == {24} and len(set(rows[0])) == 4
    assert max(Counter(rows[2].tolist()).values()) - min(Counter(rows[2].tolist()).values()) <= 1


def test_a_finished_training_or_other_parameters_start_anew(data, params, tmp_path):
    first, _ = run_fit(data, params, tmp_path)
    again, history = run_fit(data, params, tmp_path)
    assert torch.equal(weights(first), weights(again)) and len(history) == 2
    _, longer = run_fit(data, params.replace(epochs=3), tmp_path)
    assert longer["seconds"].iloc[0] == history["seconds"].iloc[0]  # epochs 1 and 2 were not trained again
    _, other = run_fit(data, params.replace(epochs=4, learning_rate=5e-3), tmp_path)
    assert other["learning_rate"].tolist() == [5e-3] * 4


def test_patience_counts_epochs_since_the_first_of_the_best():
    rows = [{"val_miou": score} for score in (0.5, 0.7, 0.6, 0.7, 0.65)]
    asked = Params(epochs=9)
    ended = {patience: [has_ended(rows[:n], asked.replace(patience=patience)) for n in range(6)] for patience in (1, 2)}
    assert ended[1] == [False, False, False, True, True, True]
    assert ended[2] == [False, False, False, False, True, True]
    assert not any(has_ended(rows[:n], asked) for n in range(6)) and has_ended(rows, asked.replace(epochs=5))


def flat_from(best: int, monkeypatch):
    """Let validation give 0.1, 0.2 ... up to epoch `best`, and no more after it."""
    good = training.validate
    seen = []

    def validate(*args):
        seen.append(good(*args)[0])
        return seen[-1], min(len(seen), best) / 10 - (0.01 if len(seen) > best else 0)

    monkeypatch.setattr(training, "validate", validate)
    return seen


def test_patience_ends_a_training_which_is_then_finished(data, params, monkeypatch):
    params = params.replace(epochs=30, patience=2)
    flat_from(3, monkeypatch)
    _, history = train(data, params)
    assert len(history) == 5 and is_trained(params)
    kept, used, kept_history = load_trained(data, params)
    assert len(kept_history) == 5 and used.epochs == 30
    assert len(load_checkpoint(Run("tiny").best_checkpoint)["history"]) == 3
    again, *_ = evaluation.trained(data, params, train=None)  # which would fail if it trained
    assert torch.equal(weights(again), weights(kept))
    assert not is_trained(params.replace(patience=3)) and not is_trained(params.replace(patience=None))
    _, longer = train(data, params.replace(patience=3))
    assert len(longer) == 6 and longer["seconds"][:5].tolist() == history["seconds"].tolist(), "goes on"


def test_a_training_with_patience_resumes_as_if_never_interrupted(data, params, tmp_path, monkeypatch):
    params = params.replace(epochs=30, patience=2)
    seen = flat_from(2, monkeypatch)
    whole, history = run_fit(data, params, tmp_path / "whole")

    def stop_after_three(history):
        if len(history) == 3:
            raise InterruptedError

    seen.clear()
    with pytest.raises(InterruptedError):
        run_fit(data, params, tmp_path / "parts", on_epoch=stop_after_three)
    resumed, again = run_fit(data, params, tmp_path / "parts")
    assert len(history) == 4 and torch.equal(weights(whole), weights(resumed))
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), again.drop(columns="seconds"))


def test_a_checkpoint_from_before_these_parameters_is_taken_up(data, params):
    train(data, params)
    last = Run("tiny").last
    state = torch.load(last, weights_only=True)
    older = {
        name: value for name, value in state["params"].items() if name not in ("patience", "folds", "fold", "tracker")
    }
    torch.save(state | {"params": older}, last)
    assert load_trained(data, params)[1] == params
    _, history = train(data, params.replace(epochs=3, patience=2))
    assert len(history) == 3 and history["seconds"][:2].tolist() == [row["seconds"] for row in state["history"]]


def test_another_architecture_starts_anew(data, params, tmp_path):
    run_fit(data, params, tmp_path)
    _, history = run_fit(data, params.replace(base_channels=8, epochs=3), tmp_path)
    assert len(history) == 3 and load_model(tmp_path / "last").architecture["base_channels"] == 8


class Bomb:
    def __reduce__(self):
        return (exec, ("import builtins; builtins.bomb_went_off = True",))


def test_foreign_and_damaged_checkpoints_are_refused_without_running_them(data, params, tmp_path):
    import builtins

    run_fit(data, params, tmp_path)
    good = (tmp_path / "last").read_bytes()
    (tmp_path / "cut").write_bytes(good[: len(good) // 2])
    (tmp_path / "bomb").write_bytes(pickle.dumps(Bomb(), protocol=2))
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign")
    torch.save([1, 2], tmp_path / "list")
    torch.save(UNet(4), tmp_path / "whole.pt")
    torch.save(UNet(4).state_dict(), tmp_path / "weights.pth")
    torch.save({"state_dict": UNet(4).state_dict(), "epoch": 1}, tmp_path / "lightning.ckpt")
    (tmp_path / "weights.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "letters").write_bytes(b"a" * 600)
    foreign = ("foreign", "list", "whole.pt", "weights.pth", "lightning.ckpt", "weights.safetensors", "photo.jpg")
    for name in ("cut", "bomb", "empty", "letters", *foreign):
        fault = f"{name} is not a checkpoint of this course, or is damaged; name the file of a net"
        with pytest.raises(CheckpointError, match=fault):
            load_model(tmp_path / name)
    with pytest.raises(CheckpointError, match="run notebook 04"):
        load_model(tmp_path / "absent")
    assert not hasattr(builtins, "bomb_went_off")


def test_parameters_of_a_later_version_are_called_so_and_the_file_is_named(data, params):
    train(data, params)
    last = Run("tiny").last
    state = torch.load(last, weights_only=True)
    torch.save(state | {"params": state["params"] | {"dropout": 0.1}}, last)
    with pytest.raises(CheckpointError, match="last is of a later version .unknown parameter 'dropout'.*update the"):
        load_trained(data, params)


def test_checkpoints_hold_tensors_and_plain_types_and_best_is_the_best(data, params, tmp_path):
    _, history = run_fit(data, params.replace(epochs=6, learning_rate=5e-3), tmp_path)
    last, best = (torch.load(tmp_path / name, weights_only=True) for name in ("last", "best"))
    assert len(last["history"]) == 6 and {"net", "optimizer", "scheduler"} <= set(last["training"]) and "rng" in last
    assert len(best["history"]) == history["val_miou"].idxmax() + 1
    model = load_model(tmp_path / "best")
    assert not model.training and all(torch.equal(v, best["model"][k]) for k, v in model.state_dict().items())


def test_a_loss_that_is_not_finite_stops_with_the_pictures_named(data, params, tmp_path, monkeypatch):
    run_fit(data, params.replace(epochs=1), tmp_path)
    kept = (tmp_path / "last").read_bytes()
    good = training.LOSSES["bce_dice"]
    calls = []

    def breaks_at_the_second_step(logits, masks):
        calls.append(1)
        return good(logits, masks) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setitem(training.LOSSES, "bce_dice", breaks_at_the_second_step)
    with pytest.raises(
        TrainingError, match=r"became nan in epoch 2, step 2 \(pictures 0000000000.*learning_rate=0.001"
    ):
        run_fit(data, params, tmp_path)
    assert (tmp_path / "last").read_bytes() == kept


def test_the_gradient_is_clipped(data, params):
    """Every step passes the parameter on to torch's clipping."""
    accelerator_norms = []
    original = torch.nn.utils.clip_grad_norm_

    def spy(parameters, max_norm, *args, **kwargs):
        accelerator_norms.append(max_norm)
        return original(parameters, max_norm, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
        run_fit(data, params.replace(epochs=1, grad_clip=0.25))
    assert accelerator_norms and set(accelerator_norms) == {0.25}


def test_bf16_trains_and_hands_back_a_float32_model(data, params):
    model, history = run_fit(data, params.replace(precision="bf16"))
    assert history["train_loss"].notna().all()
    assert model.eval()(torch.zeros(1, 3, 32, 32)).dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in model.parameters())
    full, _ = run_fit(data, params)
    assert not torch.equal(weights(full), weights(model))  # bf16 was really used


def test_precision_and_device_that_are_not_there_are_refused():
    with pytest.raises(ParameterError, match="fp16.*needs device 'cuda'"):
        pick_precision("fp16", "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ParameterError, match="device='cuda' is not available"):
            make_accelerator("cuda")


def test_a_cpu_without_bf16_instructions_gets_float32(monkeypatch):
    for flags, expected in (({}, "float32"), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flags=flags: flags)
        assert pick_precision("auto", "cpu") == expected
        assert pick_precision("auto", "cpu", torch.nn.Conv2d(4, 4, 3)) == expected
        depthwise = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=4))
        assert pick_precision("auto", "cpu", depthwise) == "float32"
        assert pick_precision("bf16", "cpu", depthwise) == "bf16", "what is asked for by name counts"


def test_a_torch_that_does_not_know_the_cpu_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert pick_precision("auto", "cpu") == "float32"
    assert describe_device(Params(device="cpu")).startswith("cpu (")


def test_train_uses_the_subset_and_writes_history(data, params):
    _, history = train(data, params.replace(subset=9))
    assert history["images"].tolist() == [
        8,
        8,
    ]  # 9 pictures: one batch of 8, and a last one of a single picture left out
    assert len(pd.read_csv(Run("tiny").history)) == 2


def test_history_grows_with_each_epoch(data, params):
    lengths = []
    train(data, params.replace(epochs=3), lambda history: lengths.append(len(pd.read_csv(Run("tiny").history))))
    assert lengths == [1, 2, 3]


def test_a_net_is_not_scored_on_cars_it_may_have_seen(data, params):
    train(data, params)
    model, trained, history = load_trained(data, params)
    assert trained == params and len(history) == 2 and not model.training
    for change in ({"seed": 1}, {"test_fraction": 0.3}, {"image_size": 64}, {"base_channels": 8}, {"loss": "bce"}):
        with pytest.raises(CheckpointError, match=f"was trained with {next(iter(change))}="):
            load_trained(data, params.replace(**change))
    load_trained(data, params.replace(loss=None, learning_rate=None))  # None asks for nothing in particular
    data.fingerprint = "other"
    with pytest.raises(CheckpointError, match="trained on other pictures"):
        load_trained(data, params)


def test_initial_weights_follow_from_the_seed():
    torch.rand(3)
    first = weights(make_model(Params(base_channels=4)))
    assert torch.equal(first, weights(make_model(Params(base_channels=4))))
    assert not torch.equal(first, weights(make_model(Params(base_channels=4, seed=1))))
    assert first.isfinite().all()


def test_a_training_killed_in_the_middle_of_an_epoch_goes_on(data, params):
    """SIGKILL after the second epoch's first step, then the same command again: equal to never having been killed."""
    code = f"""
from carvana_lib import training
from carvana_lib.config import Params
from carvana_lib.data import open_data
params = Params(**{params.replace(epochs=3, run_name="killed").model_dump()!r})
loss, steps = training.LOSSES["bce_dice"], []
def counted(logits, masks):
    steps.append(len(masks))
    if steps.count(8) == 5 and len(masks) == 8:
        print("second epoch", flush=True)
        import time; time.sleep(60)
    return loss(logits, masks)
training.LOSSES["bce_dice"] = counted
training.train(open_data(params), params)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout.readline() == b"second epoch\n"
    child.kill()
    child.wait()
    killed = params.replace(epochs=3, run_name="killed")
    assert len(load_checkpoint(Run("killed").last)["history"]) == 1 and not is_trained(killed)
    resumed, history = train(data, killed)
    whole, _ = train(data, params.replace(epochs=3))
    assert torch.equal(weights(resumed), weights(whole)) and len(history) == 3
