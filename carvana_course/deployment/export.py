"""The net as a file that other programs run, ONNX or torch.export, each compared with PyTorch before it is used.

All of them take plain pictures (B, 3, H, W) uint8 RGB, any number of them, sides divisible by the net's stride and at
least twice that, and give the probability of car, (B, 1, H, W) float32: normalisation and sigmoid are inside the file.
"""

import copy
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from carvana_lib import CheckpointError, ParameterError, __version__
from carvana_lib.frame import Frame
from carvana_lib.runs import atomic, commit

OPSET = 20  # ONNX Runtime reads it from 1.17 (January 2024) on
LEAST_STRIDES = 2  # of a side; torch.export takes a size of 1 (at the bottleneck) for a constant
TOLERANCE = 1e-3  # of a probability; in float32 the order of additions alone makes about 1e-6
INPUT = "images"
OUTPUT = "probability"
FACTS_FILE = "facts.json"  # name of the facts inside a file of torch.export


class Probability(nn.Module):
    """What goes into the file: a frozen copy of the net in float32 on the CPU, and the sigmoid behind it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.float().cpu().eval().requires_grad_(False)

    def forward(self, images):
        return self.model(images).sigmoid()


def stride_of(model: nn.Module) -> int:
    """What the sides of a net's pictures must be divisible by. Raises CheckpointError for a net that does not say."""
    stride = getattr(model, "stride", None)
    if not isinstance(stride, int):
        raise CheckpointError(
            f"{type(model).__name__} does not say by what the sides of its pictures must be divisible; "
            "give it an integer attribute `stride`, as UNet has it"
        )
    return stride


def describe_file(model: nn.Module, frame: Frame) -> dict[str, str]:
    """What both kinds of file say about themselves: how they were made, and what they take and give."""
    stride = stride_of(model)
    values = {name: importlib.metadata.version(name) for name in ("torch", "onnx", "onnxscript")}
    values["carvana_lib"] = __version__
    values["commit"] = commit()
    values["opset"] = OPSET
    values["stride"] = stride
    values["height"] = frame.height  # trained at this size: others run too, less well
    values["width"] = frame.width
    values["resize"] = "pad" if frame.pad else "stretch"  # how photos were brought to it
    values[INPUT] = f"(B, 3, H, W) uint8 RGB, sides divisible by {stride}"
    values[OUTPUT] = "(B, 1, H, W) float32, of car; the mask is where it is at least 0.5"
    values.update(getattr(model, "architecture", {}))
    return {name: str(value) for name, value in values.items()}


def stride_in(said: dict[str, str], path: Path) -> int:
    """The stride that a file says. Raises CheckpointError where they do not."""
    if "stride" not in said:
        raise CheckpointError(
            f"{path} does not say by what the sides of its pictures must be divisible; export the net again"
        )
    return int(said["stride"])


def dynamic_shapes(stride: int) -> tuple[dict]:
    """Names of the sizes that may vary: how many pictures, and how many strides high and wide they are."""
    height = torch.export.Dim(f"height_{stride}", min=LEAST_STRIDES)
    width = torch.export.Dim(f"width_{stride}", min=LEAST_STRIDES)
    return ({0: torch.export.Dim("batch"), 2: stride * height, 3: stride * width},)


def example(frame: Frame, stride: int) -> tuple[torch.Tensor]:
    """Two black pictures to trace with: of one, its number would be taken for a constant.

    Raises ParameterError for a size that the exported net could not take.
    """
    for side in (frame.height, frame.width):
        if side % stride or side < LEAST_STRIDES * stride:
            raise ParameterError(
                f"image_size={side} does not fit this net: an export takes sides divisible by {stride} and at "
                f"least {LEAST_STRIDES * stride}"
            )
    return (torch.zeros(2, 3, frame.height, frame.width, dtype=torch.uint8),)


def to_onnx(model: nn.Module, path: Path, frame: Frame) -> None:
    """Write the net as one ONNX file; the same weights give the same bytes.

    Raises CheckpointError for a net without a stride, ParameterError for a size that does not fit it, and RunError
    where the file cannot be written.
    """
    import onnx

    stride = stride_of(model)
    program = torch.onnx.export(
        Probability(model),
        example(frame, stride),
        dynamo=True,
        dynamic_shapes=dynamic_shapes(stride),
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        verbose=False,
    )
    proto = program.model_proto
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]  # stack traces with this machine's folders in them
    onnx.helper.set_model_props(proto, describe_file(model, frame))
    onnx.checker.check_model(proto, full_check=True)
    with atomic(path) as temporary:
        onnx.save_model(proto, temporary)


def to_torch_export(model: nn.Module, path: Path, frame: Frame) -> None:
    """Write the net for `torch.export.load`, which needs PyTorch and not this library. Raises as `to_onnx` does.

    Such a file may hold pickles, so load only those you trust; ONNX holds none.
    """
    stride = stride_of(model)
    program = torch.export.export(Probability(model), example(frame, stride), dynamic_shapes=dynamic_shapes(stride))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    program.example_inputs = None
    with atomic(path) as temporary:
        torch.export.save(program, temporary, extra_files={FACTS_FILE: json.dumps(describe_file(model, frame))})


def check_input(pictures: np.ndarray, stride: int) -> np.ndarray:
    """Contiguous (B, 3, H, W) uint8. Raises CheckpointError for anything else, and for sides that do not fit."""
    least = LEAST_STRIDES * stride
    is_batch = pictures.ndim == 4 and pictures.shape[1] == 3 and pictures.dtype == np.uint8
    if not is_batch or any(side < least or side % stride for side in pictures.shape[2:]):
        raise CheckpointError(
            f"pictures must be (B, 3, H, W) uint8 with sides divisible by {stride} and at least {least}, "
            f"these are {pictures.shape} {pictures.dtype}; resize or pad them"
        )
    return np.ascontiguousarray(pictures)


def predictor(source):
    """A function from pictures (B, 3, H, W) uint8 to probabilities (B, 1, H, W) float32, arrays both.

    `source` is a net, or a file .onnx or .pt2. ONNX Runtime gets as many threads as PyTorch has, and lets them sleep
    between pictures, so that the two can be timed side by side. Raises CheckpointError for a file that is missing or is
    no such net.
    """
    if isinstance(source, nn.Module):
        return with_torch(Probability(source).to(memory_format=torch.channels_last), stride_of(source))
    try:
        if Path(source).suffix == ".onnx":
            return with_onnx(*load_onnx(source))
        return with_torch(*load_torch_export(source))
    except CheckpointError:
        raise
    except Exception as error:  # each library has its own kinds
        raise CheckpointError(f"{source} cannot be loaded ({type(error).__name__}); export the net again") from None


def load_onnx(path: Path):
    """(the session of an ONNX file, its stride). Raises CheckpointError for another net, and what ONNX Runtime does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = [value.name for value in session.get_inputs()]
    if inputs != [INPUT]:
        raise CheckpointError(f"{path} takes {', '.join(inputs)} and not {INPUT}: another net; export this one again")
    return session, stride_in(session.get_modelmeta().custom_metadata_map, path)


def load_torch_export(path: Path):
    """(the net of a .pt2 file, its stride). Raises CheckpointError for another net, and what PyTorch does."""
    extra_files = {FACTS_FILE: ""}
    program = torch.export.load(path, extra_files=extra_files)
    return program.module(), stride_in(json.loads(extra_files[FACTS_FILE] or "{}"), path)


def with_torch(net: nn.Module, stride: int):
    """The function that `predictor` gives for a net in PyTorch."""

    @torch.inference_mode()
    def predict(pictures):
        return net(torch.from_numpy(check_input(pictures, stride))).numpy()

    return predict


def with_onnx(session, stride: int):
    """The function that `predictor` gives for a session of ONNX Runtime."""

    def predict(pictures):
        (probability,) = session.run([OUTPUT], {INPUT: check_input(pictures, stride)})
        return probability

    return predict


def parity(model: nn.Module, path: Path, pictures: np.ndarray, tolerance: float = TOLERANCE) -> dict:
    """Compare an exported file with the net it came from, on pictures (B, 3, H, W) uint8.

    Returns the largest difference in probability, how many pixels of the masks (probability at least 0.5) differ, and
    how many of the net's probabilities lie within TOLERANCE of 0.5, where a difference that is allowed could turn
    them. Raises CheckpointError where the largest difference is not below `tolerance`; 1 only measures.
    """
    expected = predictor(model)(pictures)
    exported = predictor(path)(pictures)
    if exported.shape != expected.shape:
        raise CheckpointError(
            f"{path} gives {exported.shape}, the net {expected.shape}: it is not the file of this net"
        )
    difference = float(np.abs(exported - expected).max())
    if not difference < tolerance and tolerance < 1:  # NaN is not below anything either
        raise CheckpointError(
            f"{path} differs from the net by up to {difference:.2g} in probability, {tolerance:g} is allowed; "
            "export it again from this net"
        )
    return {
        "pictures": len(pictures),
        "largest_difference": difference,
        "mask_pixels": expected.size,
        "pixels_that_differ": int(((exported >= 0.5) != (expected >= 0.5)).sum()),
        "pixels_that_could": int((np.abs(expected - 0.5) < TOLERANCE).sum()),
    }
