"""Several processes that train one net: how they start, what each takes of a batch, what the main one tells the rest.

torch.distributed does the work, through Hugging Face Accelerate. docs/scaling.md has the commands for one machine and
for several.
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
from accelerate.utils import broadcast_object_list, gather_object

from carvana_lib import RunError, TrainingError
from carvana_lib.device import check_processes, make_accelerator, pick_device
from carvana_lib.runs import ROOT, Run, cores

POLL = 0.2  # seconds between looks at what the processes have written


def in_worker() -> bool:
    """True in a process that torchrun or accelerate launch started."""
    return "WORLD_SIZE" in os.environ


def is_main() -> bool:
    """True in the one process that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"


def from_main(make):
    """What `make()` returns in the main process, told to every process; alone, simply what it returns."""
    if not in_worker():
        return make()
    return broadcast_object_list([make() if is_main() else None])[0]


@contextmanager
def one_first(params):
    """Let one process of each machine run the block before the others, which then find its work done."""
    if in_worker():
        with make_accelerator(params).local_main_process_first():
            yield
    else:
        yield


def check_pictures(data) -> None:
    """Raise TrainingError, in all processes, where one of them has other pictures than the main one."""
    if in_worker():
        found = gather_object([data.fingerprint])
        others = [rank for rank, fingerprint in enumerate(found) if fingerprint != found[0]]
        if others:
            raise TrainingError(
                f"process {others[0]} has other pictures in data_dir than process 0 (names or contents differ); "
                "copy those of machine 0 to every machine"
            )


@contextmanager
def together():
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


def parts(loader, accelerator):
    """Yield this process's part of each batch: images, masks, rows, weight.

    Accelerate fills a last, short batch up with pictures from the beginning, which would then count twice; here they
    are cut off again. `weight` makes the mean of weight * loss over processes the mean over the batch's pictures; it
    is 1 but in a short batch. A process with no part in that keeps one picture at weight 0 (and no row), because no
    process may miss a step.
    """
    for images, masks, rows in loader:
        weight = 1.0
        if loader.end_of_dataloader and loader.remainder > 0:
            share, size = len(rows), loader.remainder
            ours = min(max(size - accelerator.process_index * share, 0), share)
            images, masks, rows = images[: max(ours, 1)], masks[: max(ours, 1)], rows[:ours]
            weight = ours * accelerator.num_processes / size
        yield images, masks, rows, weight


def share_statistics(model, accelerator) -> None:
    """Let BatchNorm normalise by the whole batch instead of this process's part, where torch can: on GPUs."""
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)


def train_in_processes(params, on_epoch=None) -> None:
    """Train a run in `params.num_processes` new processes on this machine; `on_epoch(history)` is called as it grows.

    They are children of their own, not forks: CUDA and threads of a notebook's kernel survive no fork. They leave
    checkpoints and history.csv as any training does, and what they say in train.log. Raises TrainingError with the
    reason where they fail, and RunError where the run's folder cannot be written.
    """
    check_processes(pick_device(params), params.num_processes)
    run, threads = Run(params.run_name), max(1, cores() // params.num_processes)
    environment = {"OMP_NUM_THREADS": str(threads)} | os.environ
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment.pop("JPY_SESSION_NAME", None)  # nobody watches the children themselves
    with tempfile.TemporaryDirectory() as folder, new_log(run.train_log) as output:
        file = Path(folder) / "params.yaml"
        file.write_text(yaml.safe_dump(params.model_dump()), encoding="utf8")
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={params.num_processes}", "-m", "carvana_course", "train", "-f", str(file)]
        seen = last_change(run.history)
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            ended = False
            while not ended:
                time.sleep(POLL)
                ended = child.poll() is not None  # asked before the look at the file, so that no epoch is missed
                if on_epoch and last_change(run.history) != seen:
                    seen = last_change(run.history)
                    on_epoch(pd.read_csv(run.history))
        finally:
            if child.poll() is None:
                child.terminate()  # torchrun ends its processes before itself
                child.wait()
    if child.returncode:
        raise TrainingError(
            f"training in {params.num_processes} processes stopped: "
            f"{reason(run.train_log.read_text(errors='replace'))} (see {run.train_log}); "
            "checkpoints are kept, and the same command goes on from the last one"
        )


def new_log(path: Path):
    """Open a log to be written from its beginning. Raises RunError where it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}; free or change that place and run again") from None


def last_change(path: Path) -> int:
    """When a file was last written, in nanoseconds; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def reason(log: str) -> str:
    """Why torchrun's processes stopped, in a few words: what ended the first of them, or what it printed."""
    ends = re.findall(r"exitcode +: -(\d+) ", log)  # of each process, the root cause last
    killed = [number for number in map(int, ends) if number != signal.SIGTERM]  # by which torchrun ends the rest
    said = re.search(r"^error: (?!another process)(.+)$", log, re.MULTILINE)
    raised = re.search(r"^(?:\[rank\d+\]: )?((?:\w+\.)*\w+Error\b.*)$", log, re.MULTILINE)
    if killed:
        why = ", perhaps for want of memory" if killed[-1] == signal.SIGKILL else ""
        return f"one was killed ({signal.Signals(killed[-1]).name}){why}"
    return (said or raised or [None, "no reason was given"])[1]
