"""One net trained by 1, 2 and 4 processes on the cores of this machine: the step, and its exchange of gradients.

Core-seconds are counted beside images/s: what else runs on the machine changes the latter, and not evenly, since the
scheduler gives more to more processes.
"""

import os
import socket
import statistics
import time
from datetime import timedelta

import torch
from torch.multiprocessing import get_context, start_processes

from benchmarks.measure import Findings, Plan, fresh
from benchmarks.training import BATCH, make_batch, make_trainer
from carvana_lib.device import cores
from carvana_lib.model import UNet, count_parameters

WARMUPS, PATIENCE = 1, timedelta(minutes=10)


def member(rank: int, count: int, port: int, work, arguments: tuple, seconds) -> None:
    """What torchrun would start: one of `count` processes that share the cores, and tell their seconds of a round."""
    threads = max(1, cores() // count)
    torch.set_num_threads(threads)
    os.environ |= {"OMP_NUM_THREADS": str(threads), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    step, rounds = work(count, *arguments)
    for number in range(WARMUPS + rounds):
        if number == WARMUPS:
            torch.distributed.barrier()
            started, computed = time.perf_counter(), time.process_time()
        step()
    torch.distributed.barrier()
    seconds.put(((time.perf_counter() - started) / rounds, (time.process_time() - computed) / rounds))
    torch.distributed.destroy_process_group()


def training_step(count: int, size: int, base_channels: int, rounds: int):
    """This process's part of a step on a batch in memory, and how often to make it."""
    train, _ = make_trainer(base_channels, device="cpu")
    images, masks = make_batch(size, BATCH // count)
    return (lambda: train(images, masks)), rounds


def all_reduce(count: int, parameters: int, rounds: int):
    """The sum over processes of as many float32 numbers as a net has gradients."""
    numbers = torch.ones(parameters)
    return (lambda: torch.distributed.all_reduce(numbers)), rounds


def timed(count: int, work, *arguments) -> tuple[float, float]:
    """(seconds, core-seconds of all) of one round of `work` in so many processes that know of each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seconds = get_context("forkserver").SimpleQueue()
    start_processes(member, (count, port, work, arguments, seconds), count, start_method="forkserver")
    each, of_cores = zip(*(seconds.get() for _ in range(count)), strict=True)
    return max(each), sum(of_cores)


def in_turn(counts, rounds: int, work, *arguments) -> dict[int, tuple[float, float]]:
    """The medians of `timed` for each number of processes, which take turns in new processes."""
    turns = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            turns[count].append(fresh(timed, count, work, *arguments)[0])
    return {count: tuple(map(statistics.median, zip(*pairs, strict=True))) for count, pairs in turns.items()}


def measure(plan: Plan) -> Findings:
    """Images/s for each number of processes, beside one; bytes of gradient a step; the time that their sum takes."""
    found, counts = Findings(), plan.pick((1, 2, 4), (1, 2, 4, 8), (1, 2))
    nets = plan.pick([(16, 128, 20), (64, 256, 1)], [(16, 128, 60), (64, 256, 1)], [(2, 32, 1)])
    turns = plan.pick(3, 3, 1)
    for channels, size, rounds in nets:
        seconds = in_turn(counts, turns, training_step, size, channels, rounds)
        for count in counts:
            what, one = f"{count} process(es), base_channels {channels}, {size} px", seconds[1]
            rate, spent = BATCH / seconds[count][0], seconds[count][1] / BATCH
            found.row(f"training step in {what}", "images/s", rate, limit=BATCH / one[0], limit_is="one process")
            found.row(f"core-seconds a picture, {what}", "s", spent, limit=one[1] / BATCH, limit_is="one process")
        parameters = count_parameters(UNet(channels))
        found.row(f"gradient of a step, base_channels {channels}", "MB", 4 * parameters / 1e6)
        seconds = in_turn(counts[1:], turns, all_reduce, parameters, max(3, rounds))
        for count in counts[1:]:
            sent = 2 * (count - 1) / count * 4 * parameters / 1e6
            what = f"all-reduce of that gradient over gloo, {count} processes"
            found.row(what, "ms", 1000 * seconds[count][0], sent_mb=sent)
    return found
