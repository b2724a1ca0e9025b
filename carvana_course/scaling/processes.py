"""Several processes that train one net: how they start, and what the main one tells the rest.

torch.distributed does the work, through Hugging Face Accelerate; the loop is the library's `fit`. docs/scaling.md has
the commands for one machine and for several.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
import yaml
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from carvana_course.scaling import in_worker
from carvana_course.scaling.divergence import divergence
from carvana_course.scaling.earlier import keep_earlier
from carvana_course.scaling.search import search
from carvana_course.scaling.tracking import check_tracker, tracked
from carvana_lib import ParameterError, TrainingError, training
from carvana_lib.checkpoints import load_checkpoint, load_model
from carvana_lib.data import open_data
from carvana_lib.dataset import training_rows
from carvana_lib.device import cores, make_accelerator, pick_device
from carvana_lib.diagnosis import found_before, stopped
from carvana_lib.runs import ROOT, Run, writing
from carvana_lib.tuning import with_best

POLL_SECONDS = 0.2  # between looks at what the processes have written


def check_processes(device: str, processes: int) -> None:
    """Raise ParameterError for more processes on this machine than the device can serve: one a GPU, any on a CPU."""
    most = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, processes)
    if processes > most:
        raise ParameterError(
            f"{processes} processes on this machine, but '{device}' serves {most}; "
            f"start at most {most}, or set device='cpu'"
        )


def check_batch(data, params) -> None:
    """Raise ParameterError for training pictures that do not fill a batch for several processes to share."""
    pictures = len(training_rows(data, params))
    if params.num_processes > 1 and pictures < params.batch_size:
        raise ParameterError(
            f"{pictures} training pictures do not fill batch_size={params.batch_size}, which "
            f"{params.num_processes} processes would share; lower it, or train in one process"
        )


def check_pictures(data) -> None:
    """Raise TrainingError, in all processes, where one of them has other pictures than the main one."""
    found = gather_object([data.fingerprint])
    others = [rank for rank, fingerprint in enumerate(found) if fingerprint != found[0]]
    if others:
        raise TrainingError(
            f"process {others[0]} has other pictures in data_dir than process 0 (names or contents differ); "
            "copy those of machine 0 to every machine"
        )


@contextmanager
def process_group():
    """Part from the other processes at the end, and raise TrainingError where one of them was lost on the way."""
    try:
        yield
    except RuntimeError as error:
        if not (in_worker() and re.search(r"gloo|NCCL|process group|[Cc]onnection", str(error))):
            raise
        first = str(error).strip().splitlines()[0]
        raise TrainingError(f"another process stopped, so this one does; see that one's reason ({first})") from error
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def check_worker(data, params):
    """The parameters with the number of processes that the launcher started, which counts.

    Raises ParameterError where they cannot share a batch or this machine, TrainingError for other pictures than those
    of the main process.
    """
    processes = make_accelerator(params.device, params.precision).num_processes
    check_processes(pick_device(params.device), int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    check_pictures(data)
    params = params.replace(num_processes=processes)
    check_batch(data, params)
    return params


def train_run(params, on_epoch=None) -> pd.DataFrame | None:
    """Open the pictures and train: alone, in `num_processes` new processes, or as one of those of a launcher.

    Returns the history, in the main process only. Raises what `train` does, and in a launcher's process also
    ParameterError where learning rate and loss are open and no search has finished: a trial takes one process.
    """
    if not in_worker():
        data = open_data(params)
        return train(data, with_best(params, data, search), on_epoch)[1]
    with process_group():
        accelerator = make_accelerator(params.device, params.precision)
        is_main = accelerator.is_main_process
        with accelerator.local_main_process_first():  # the others of a machine then find the cache
            data = open_data(params)
        best = with_best(params, data, search) if is_main else None
        (best,) = broadcast_object_list([best])
        history = train(data, best, on_epoch)[1]
    return history if is_main else None


def train(data, params, on_epoch=None):
    """As `carvana_lib.training.train`, which it calls, but in `params.num_processes` processes where that is above 1.

    A net that is there and would be lost moves aside: see `earlier.keep_earlier`. A training that diverged is told.

    `on_epoch(history)` is called after each epoch, in the process that called; `params.tracker` hears of each where the
    training is. Raises TrainingError with the reason where the processes fail, ParameterError for a tracker that is not
    installed, and what `check_worker` does in a launcher's process.
    """
    check_tracker(params)
    starts_others = params.num_processes > 1 and not in_worker()
    if in_worker():
        params = check_worker(data, params)
    if starts_others:
        check_processes(pick_device(params.device), params.num_processes)
        check_batch(data, params)
    speaks = not in_worker() or PartialState().is_main_process
    if speaks:
        keep_earlier(data, params)
    if starts_others:
        start_processes(params, on_epoch)
        run = Run(params.run_name)
        model = load_model(run.last)
        history = pd.read_csv(run.history)
    else:
        with tracked(params, on_epoch) as report:
            model, history = training.train(data, params, report)
    warning = divergence(history, params)
    if warning and speaks:  # here, since what the processes print goes to a file
        print(warning)
    return model, history


def start_processes(params, on_epoch=None) -> None:
    """Train in `params.num_processes` new processes on this machine; `on_epoch(history)` is called as it grows.

    They are children of their own, not forks: CUDA and threads of a notebook's kernel survive no fork. They leave
    checkpoints and history.csv as any training does, and what they say in train.log. Raises TrainingError with the
    reason where they fail, and RunError where the run's folder cannot be written.
    """
    run = Run(params.run_name)
    environment = {"OMP_NUM_THREADS": str(max(1, cores() // params.num_processes))} | os.environ
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment.pop("JPY_SESSION_NAME", None)  # nobody watches the children themselves
    with writing(run.train_log):
        output = run.train_log.open("wb")
    with output, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(yaml.safe_dump(params.model_dump()), encoding="utf8")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={params.num_processes}", "-m", "carvana_course", "train", "-f", str(file)]
        seen = last_change(run.history)
        earlier = kept_history(run)
        if params.resume and earlier:
            print(found_before(earlier, params))
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            ended = False
            while not ended:
                time.sleep(POLL_SECONDS)
                ended = child.poll() is not None  # asked before the look at the file, so that no epoch is missed
                if on_epoch and last_change(run.history) != seen:
                    seen = last_change(run.history)
                    on_epoch(pd.read_csv(run.history))
        except KeyboardInterrupt:
            end(child)  # first: until then it may finish another epoch
            raise stopped(len(kept_history(run)), params.epochs, "epoch") from None
        finally:
            end(child)
    if child.returncode:
        why = why_stopped(run.train_log.read_text(errors="replace"))
        raise TrainingError(
            f"training in {params.num_processes} processes stopped: {why} (see {run.train_log}); "
            "checkpoints are kept, and the same command goes on from the last one"
        )


def end(child: subprocess.Popen) -> None:
    """End torchrun, which ends its processes before itself, if it still runs."""
    if child.poll() is None:
        child.terminate()
        child.wait()


def kept_history(run: Run) -> list[dict]:
    """The epochs of a run's training that are in its newest checkpoint."""
    return load_checkpoint(run.last)["history"] if run.last.exists() else []


def last_change(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def why_stopped(log: str) -> str:
    """Why torchrun's processes stopped, in a few words: what ended the first of them, or what it printed."""
    ends = [int(number) for number in re.findall(r"exitcode +: -(\d+) ", log)]  # of each process, the root cause last
    killed = [number for number in ends if number != signal.SIGTERM]  # by which torchrun ends the rest
    if killed:
        why = ", perhaps for want of memory" if killed[-1] == signal.SIGKILL else ""
        return f"one was killed ({signal.Signals(killed[-1]).name}){why}"
    said = re.search(r"^error: (?!another process)(.+)$", log, re.MULTILINE)
    raised = re.search(r"^(?:\[rank\d+\]: )?((?:\w+\.)*\w+Error\b.*)$", log, re.MULTILINE)
    reason = said or raised
    return reason[1] if reason else "no reason was given"
