"""Layers as ONNX models for ONNX Runtime: float32, and int8 in and out with one scale a filter.

The int8 convolution is the operator that ONNX Runtime itself makes of a quantized model, in the layout that its
kernels read (channels last), so that nothing is left to convert.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.measure.layers import LayerCase

_DOMAIN = "com.microsoft"


def _shapes(layer: LayerCase, *, channels_last: bool) -> tuple[list[int], list[int]]:
    if layer.op == "linear":
        return [layer.size, layer.inputs], [layer.size, layer.outputs]
    sides, out_sides = [layer.size] * 2, [layer.out_size] * 2
    if channels_last:
        return [1, *sides, layer.inputs], [1, *out_sides, layer.outputs]
    return [1, layer.inputs, *sides], [1, layer.outputs, *out_sides]


def _float(layer: LayerCase) -> tuple[Any, list[Any]]:
    random = np.random.default_rng(0)
    if layer.op == "linear":
        weight = random.standard_normal((layer.inputs, layer.outputs), np.float32)
        return helper.make_node("MatMul", ["x", "w"], ["y"]), [numpy_helper.from_array(weight, "w")]
    weight = random.standard_normal((layer.outputs, layer.inputs, layer.kernel, layer.kernel), np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[layer.padding] * 4, strides=[layer.stride] * 2)
    return node, [numpy_helper.from_array(weight, "w")]


def _int8(layer: LayerCase) -> tuple[Any, list[Any]]:
    random = np.random.default_rng(0)
    linear = layer.op == "linear"
    shape = (layer.inputs, layer.outputs) if linear else (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
    operands = {
        "x_scale": np.float32(0.1),
        "x_zero": np.uint8(128),
        "w": random.integers(-100, 100, shape).astype(np.int8),
        "w_scale": np.full(layer.outputs, 0.1, np.float32),
        "w_zero": np.zeros(layer.outputs, np.int8),
        "y_scale": np.float32(9.0),
        "y_zero": np.uint8(128),
    }
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in operands.items()]
    names = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"]
    if linear:
        names.insert(6, "")  # no bias
        return helper.make_node("QGemm", names, ["y"], domain=_DOMAIN), constants
    options: dict[str, Any] = {"channels_last": 1, "pads": [layer.padding] * 4, "strides": [layer.stride] * 2}
    return helper.make_node("QLinearConv", names, ["y"], domain=_DOMAIN, **options), constants


def build(subject: dict[str, Any], path: Path) -> None:
    """Forms: "float", "int8"."""
    layer, int8 = LayerCase(**subject["layer"]), subject["form"] == "int8"
    node, constants = _int8(layer) if int8 else _float(layer)
    kind = TensorProto.UINT8 if int8 else TensorProto.FLOAT
    shapes = _shapes(layer, channels_last=int8)
    (x, y) = (helper.make_tensor_value_info(name, kind, shape) for name, shape in zip("xy", shapes, strict=True))
    graph = helper.make_graph([node], "layer", [x], [y], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_DOMAIN, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
