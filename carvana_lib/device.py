"""Which device and which precision, decided once and said aloud."""

import os
import platform

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration

from carvana_lib import ParameterError
from carvana_lib.runs import keep_memory

MODES = {"float32": "no", "bf16": "bf16", "fp16": "fp16"}  # our names -> Accelerate's


def cards() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none where there is no CUDA."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.replace(" ", "").split(",") if name]
    return [str(number) for number in range(torch.cuda.device_count())]


def pick_device(params) -> str:
    """'cpu', 'cuda' or 'mps'. Raises ParameterError for a device that is asked for and not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if params.device == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if not there[params.device]:
        raise ParameterError(f"device='{params.device}' is not available on this machine; use device='auto'")
    return params.device


def pick_precision(params) -> str:
    """'float32', 'bf16' or 'fp16'. 'auto' takes bf16 where the hardware computes with it; a CPU that would only
    emulate it is faster in float32. Raises ParameterError for fp16 without CUDA: its gradients need a scaler there.
    """
    device = pick_device(params)
    if params.precision == "fp16" and device != "cuda":
        raise ParameterError(f"precision='fp16' needs device 'cuda', not '{device}'; use precision='auto'")
    if params.precision != "auto":
        return params.precision
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capable = torch.cpu.get_capabilities()
    return "bf16" if device == "cpu" and (capable.get("avx512_bf16") or capable.get("amx_bf16")) else "float32"


def make_accelerator(params) -> Accelerator:
    """Accelerate's handle on device, precision and processes, for these parameters.

    Accelerate keeps its first choice for the whole process; a notebook may choose twice, so the choice is reset.
    `batch_size` is the number of images a step, which all processes share. Raises ParameterError where it cannot be
    shared evenly, or where this machine has fewer GPUs than processes.
    """
    device = pick_device(params)
    if device == "cpu":
        keep_memory()
    check_processes(device, int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    AcceleratorState._reset_state(reset_partial_state=True)
    shared = DataLoaderConfiguration(split_batches=True)
    accelerator = Accelerator(
        mixed_precision=MODES[pick_precision(params)], cpu=device == "cpu", dataloader_config=shared
    )
    params.replace(num_processes=accelerator.num_processes)  # torchrun may have started another number
    return accelerator


def check_processes(device: str, processes: int) -> None:
    """Raise ParameterError for more processes on this machine than the device can serve: one a GPU, any on a CPU."""
    most = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, processes)
    if processes > most:
        raise ParameterError(
            f"{processes} processes on this machine, but '{device}' serves {most}; "
            f"start at most {most}, or set device='cpu'"
        )


def describe_device(params) -> str:
    """For example 'cpu (AMD EPYC, 2 threads), bf16'."""
    device = pick_device(params)
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()
        name = f"{name}, {torch.get_num_threads()} threads"
    return f"{device} ({name}), {pick_precision(params)}"
