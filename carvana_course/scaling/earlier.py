"""Nothing is lost by a rerun: a net that another training would overwrite moves aside, and a sentence says so."""

from pathlib import Path

from carvana_lib import ParameterError
from carvana_lib.checkpoints import difference, has_ended, load_checkpoint
from carvana_lib.runs import Run, code, writing


def keep_earlier(data, params) -> None:
    """Before a training: move a net that it would overwrite aside, with all that was made from it, and say where.

    It stays where training goes on from it, or only makes it again: from the same pictures, parameters and code. Raises
    CheckpointError for a damaged one, RunError where it cannot be moved, and ParameterError where training starts from
    it.
    """
    run = Run(params.run_name)
    if not run.last.exists():
        return
    why = "resume=False"
    if params.resume:
        why = why_anew(load_checkpoint(run.last), data, params)
    if why and params.start_from == run.name:
        raise ParameterError(f"start_from='{run.name}' is the run that is trained; name another run_name")
    if why:
        print(told(run, set_aside(run), f" ({why})"))


def told(run: Run, place: Path, why: str = "") -> str:
    """The sentence on a net of a run that was set aside."""
    back = "to go back, put its files in the new ones' place"
    return f"{run.folder} held a net{why}, which is now in {place}; {back}"


def why_anew(state: dict, data, params) -> str:
    """Why a training begins anew beside this checkpoint and may end with another net; '' where it does not."""
    history = state["history"]
    other = difference(state, data, params)
    if other:
        return other
    enough = [epoch for epoch in range(1, len(history)) if has_ended(history[:epoch], params)]
    if enough:
        return f"trained for {len(history)} epochs, not {enough[0]}"
    if has_ended(history, params) and state.get("made_with", {}).get("code") != code():
        return "trained by another version of this code"
    return ""


def set_aside(run: Run) -> Path:
    """Move what a run's training left, and what was made from that, to a new folder under `run.earlier`.

    The net goes last, so that after a kill the rest is found to move. Raises RunError where that fails.
    """
    number = 1
    while (run.earlier / str(number)).exists():
        number += 1
    place = run.earlier / str(number)
    made = [run.history, run.tracking, run.train_log, run.per_image, run.review_predictions, run.metrics]
    made += [run.predictions, run.submission, run.onnx, run.onnx_int8, run.exported, run.model_card, run.report]
    made.append(run.checkpoints)
    with writing(place / "any"):
        for path in made:
            if path.exists():
                path.rename(place / path.name)
    return place
