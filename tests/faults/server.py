"""A warm process that forks victims: each begins in milliseconds, with torch and the library imported.

Nothing computes here before a fork and every process has one thread, which makes forking safe and training exact.
Orders come as lines of JSON, `{"operation": "train", "kill_after": 0.3, ...}`, and outcomes go back in the same way.
"""

import ctypes
import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from carvana_lib import CarvanaError

ROOT = Path(__file__).resolve().parent.parent.parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CAP_DAC_OVERRIDE = 1  # what lets root write where nobody may (linux/capability.h)


class Outcome(NamedTuple):
    """How a victim ended: 'done', 'refused' (in a sentence of the course's own), 'crashed', 'killed' or 'hung'."""

    ended: str
    says: str  # the sentence, or the traceback
    value: object  # what the operation returned
    seconds: float
    peak_mb: float


class Server:
    """The warm process as seen by the tests: call it with an operation's name to have one victim do it."""

    def __init__(self, log: Path):
        environment = os.environ | ONE_THREAD
        environment.pop("JPY_SESSION_NAME", None)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.server"],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True,
            )  # fmt: skip

    def __call__(self, operation: str, **order) -> Outcome:
        return self.together({"operation": operation, **order})[0]

    def together(self, *orders: dict) -> list[Outcome]:
        """Start a victim for each order at the same moment, and wait for all.

        An order has `operation`, its arguments and, where wanted, runs (folder of runs), kill_after (seconds),
        file_limit (bytes that a file may have), heed_permissions (as if root were anyone), timeout (seconds).
        """
        self.start(*orders)
        return self.wait()

    def start(self, *orders: dict) -> None:
        """As `together`, without waiting."""
        print(json.dumps(orders, default=str), file=self.process.stdin, flush=True)

    def wait(self) -> list[Outcome]:
        """The outcomes of what was started."""
        answer = self.process.stdout.readline()
        assert answer, "the server of victims is gone; see its log"
        return [Outcome(*outcome) for outcome in json.loads(answer)]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def serve() -> None:
    """Take orders from stdin until it ends; whatever victims print goes to stderr."""
    import torch._dynamo  # noqa: F401  what the first optimizer would import, for two seconds

    from . import operations

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        victims = [start(operations, order) for order in json.loads(line)]
        outcomes = [None] * len(victims)
        while None in outcomes:
            for number, victim in enumerate(victims):
                outcomes[number] = outcomes[number] or look(*victim)
            time.sleep(0.001)
        print(json.dumps(outcomes), file=answers, flush=True)


def start(operations, order: dict) -> tuple:
    """Fork a victim: (its process, the pipe with its answer, when it began, when to kill it, when it has hung)."""
    kill_after, timeout = order.pop("kill_after", None), order.pop("timeout", 120)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        faulthandler.dump_traceback_later(0.8 * timeout)  # to the log, should it hang
        obey(operations, order, writing)
    os.close(writing)
    return pid, reading, time.perf_counter(), kill_after, timeout


def look(pid: int, reading: int, began: float, kill_after: float | None, timeout: float) -> Outcome | None:
    """The outcome of a victim that has ended; kills one whose time has come."""
    seconds = time.perf_counter() - began
    ended, status, usage = os.wait4(pid, os.WNOHANG)
    if not ended:
        if seconds > min(timeout, timeout if kill_after is None else kill_after):
            os.kill(pid, signal.SIGKILL)
        return None
    with os.fdopen(reading, encoding="utf8") as pipe:
        answer = pipe.read()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        how = "crashed" if number != signal.SIGKILL else "killed" if kill_after is not None else "hung"
        return Outcome(how, signal.Signals(number).name, None, seconds, 0.0)
    return Outcome(*(json.loads(answer) if answer else ("crashed", "no answer", None)), seconds, usage.ru_maxrss / 1024)


def obey(operations, order: dict, writing: int) -> None:
    """In the victim: do what was ordered, answer, and be gone without the interpreter's goodbyes."""
    os.environ["CARVANA_RUNS"] = str(order.pop("runs", ""))
    if limit := order.pop("file_limit", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # Python ignores SIGXFSZ, so writing raises OSError
    if order.pop("heed_permissions", False):
        heed_permissions()
    try:
        answer = "done", "", getattr(operations, order.pop("operation"))(**order)
    except CarvanaError as error:
        answer = "refused", str(error), None
    except Exception:
        answer = "crashed", traceback.format_exc(), None
    with os.fdopen(writing, "w", encoding="utf8") as pipe:
        json.dump(answer, pipe, default=str)
    sys.stdout.flush()
    os._exit(0)


def heed_permissions() -> None:
    """Give up root's right to write anywhere, so that folders may be made read-only for it too."""
    if os.geteuid() != 0:
        return
    libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)  # effective, permitted, inheritable; then the same for capabilities above 31
    sets[0] &= ~(1 << CAP_DAC_OVERRIDE)
    libc.capset(header, sets)


if __name__ == "__main__":
    serve()
