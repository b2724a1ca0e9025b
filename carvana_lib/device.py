"""The machine: its cores and memory, which device and which precision, and whether somebody watches it."""

import ctypes
import os
import platform
import sys

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration

from carvana_lib import ParameterError


def cores() -> int:
    """How many cores this process may use, under taskset or SLURM for example. Used by `open_data` in 01."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Let glibc keep what this process frees (mallopt(3)), for a sixth more memory: clearing pages of large blocks anew
    takes 7 to 17 % of a full net's training step on a CPU. Used by `open_data` in 01.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def pick_device(device: str) -> str:
    """'cuda', 'mps' or 'cpu'. Raises ParameterError for one that is not there. Used by `make_accelerator` in 02."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name in there if there[name])
    if not there.get(device):
        raise ParameterError(f"device='{device}' is not available on this machine; use device='auto'")
    return device


def capabilities() -> dict:
    """What the CPU computes with, and its name; nothing before torch 2.11. Used by `describe_device` in 04."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def pick_precision(precision: str, device: str, net: torch.nn.Module | None = None) -> str:
    """'float32', 'bf16' or 'fp16'; 'auto' takes bf16 where the hardware computes with it, not where a CPU emulates it,
    nor for a net of depthwise convolutions on a CPU, which took 4 to 13 % longer so. Raises ParameterError for fp16
    without CUDA, whose gradients need a scaler. Used by `make_accelerator` in 02.
    """
    if precision == "fp16" and device != "cuda":
        raise ParameterError(f"precision='fp16' needs device 'cuda', not '{device}'; use precision='auto'")
    if precision != "auto":
        return precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    depthwise = net is not None and any(getattr(layer, "groups", 1) > 1 for layer in net.modules())
    if device != "cpu" or depthwise:
        return "float32"
    capable = capabilities()
    return "bf16" if capable.get("avx512_bf16") or capable.get("amx_bf16") else "float32"


def make_accelerator(device: str = "auto", precision: str = "auto", net: torch.nn.Module | None = None) -> Accelerator:
    """Accelerate's handle on device, precision and processes, which share each batch; `net` is what it is for. It has
    no public way to choose again, as a notebook may, so its state is reset. Raises ParameterError for what this machine
    lacks. Taught in 02.
    """
    device = pick_device(device)
    precision = pick_precision(precision, device, net)
    if device == "cpu":
        keep_memory()
    AcceleratorState._reset_state(reset_partial_state=True)
    shared = DataLoaderConfiguration(split_batches=True)
    mode = "no" if precision == "float32" else precision  # as Accelerate calls it
    return Accelerator(mixed_precision=mode, cpu=device == "cpu", dataloader_config=shared)


def describe_device(params, net: torch.nn.Module | None = None) -> str:
    """For example 'cpu (AMD EPYC, 2 threads), bf16', the precision for `net`. Taught in 04."""
    device = pick_device(params.device)
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = capabilities().get("cpu_name") or platform.processor() or platform.machine()
        name = f"{name}, {torch.get_num_threads()} threads"
    return f"{device} ({name}), {pick_precision(params.precision, device, net)}"


def is_live() -> bool:
    """True where Jupyter's server, Voila or VS Code shows the notebook to a person. Used by `open_data` in 01."""
    by_voila = os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")
    return by_voila or "JPY_SESSION_NAME" in os.environ or hasattr(sys.modules["__main__"], "__vsc_ipynb_file__")


def progress(iterable, description: str, total: int | None = None, unit: str = "step"):
    """A tqdm bar over `iterable` where somebody watches, once it takes longer than a second; the bare iterable
    elsewhere, and in all processes but the first. Taught in 02.
    """
    if os.environ.get("RANK", "0") != "0" or not (is_live() or sys.stderr.isatty()):
        return iterable
    from tqdm import notebook, tqdm

    bar = notebook.tqdm if is_live() else tqdm
    return bar(iterable, desc=description, total=total, unit=unit, leave=False, delay=1)


def show_loss(steps, loss: torch.Tensor) -> None:
    """Say the loss of a step in the bar of `progress`, if it is one. Used by `fit` in 04."""
    if hasattr(steps, "set_postfix"):
        steps.set_postfix(loss=f"{loss.item():.4f}")
