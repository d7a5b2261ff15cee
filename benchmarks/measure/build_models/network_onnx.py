"""Networks as ONNX models for ONNX Runtime and OpenVINO, exported by PyTorch, quantized by ONNX Runtime's tool."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.measure.networks import create, example


class _Noise(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        random = np.random.default_rng(0)
        images = [random.standard_normal((1, 3, 224, 224), np.float32) for _ in range(2)]
        self._batches: Iterator[dict[str, Any]] = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def build(subject: dict[str, Any], path: Path) -> None:
    """Forms: "float", "int8": unsigned activations, signed weights with one scale a filter."""
    torch.set_num_threads(1)
    model, x = create(subject["network"]), example(subject["network"])
    exported = path.with_name(f"{path.stem}-exported.onnx")
    simple = path.with_name(f"{path.stem}-simple.onnx")
    torch.onnx.export(model, (x,), exported, input_names=["x"], dynamo=True, external_data=False)
    if subject["form"] == "float":
        exported.rename(path)
        return
    quant_pre_process(exported, simple, skip_symbolic_shape=True)
    quantize_static(
        simple,
        path,
        _Noise("x"),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    exported.unlink()
    simple.unlink()
