"""The ONNX file with weights and activations in 8 bits: a quarter of the size, and faster where the processor helps."""

from pathlib import Path

import numpy as np

from carvana_course.deployment.export import INPUT, check_input, load_onnx
from carvana_lib import CheckpointError
from carvana_lib.runs import atomic


def to_int8(source: Path, path: Path, pictures: np.ndarray) -> None:
    """Write an ONNX file with weights and activations in 8 bits, from the float32 one that `to_onnx` wrote.

    Ranges of the activations are measured on `pictures` (N, 3, H, W) uint8, of the training set. (Jacob et al. 2018,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", section 2.) Raises
    CheckpointError where there is no `source`.
    """
    if not Path(source).exists():
        raise CheckpointError(f"{source} does not exist; write it with to_onnx first")
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    _, stride = load_onnx(source)

    class Reader(CalibrationDataReader):
        """Gives one picture after another, and None when all were given."""

        inputs = iter([{INPUT: picture[None]} for picture in check_input(pictures, stride)])

        def get_next(self):
            return next(self.inputs, None)

    with atomic(path) as temporary:
        quant_pre_process(source, temporary, skip_symbolic_shape=True)
        quantize_static(
            temporary,
            temporary,
            Reader(),
            per_channel=True,  # a scale for each filter: one for all would be set by the widest
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,  # this pair is what x86 processors multiply in one instruction (VNNI)
        )
