"""Layers as OpenVINO models: float32, int8 (in and out), and BinaryConvolution (float in and out, as Bittern's).

Images are channels last outside, as the plugin's kernels want them, so that its transposes cost nothing. It takes int8
kernels where it finds the patterns of a quantized model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset1, opset8

from benchmarks.measure.layers import LayerCase

_TO_NCHW, _TO_NHWC = np.array([0, 3, 1, 2]), np.array([0, 2, 3, 1])


def _scalar(value: float, dims: int = 4) -> Any:
    return opset8.constant(np.full([1] * dims, value, np.float32))


def _linear(layer: LayerCase, x: Any, *, int8: bool) -> Any:
    random, shape = np.random.default_rng(0), (layer.outputs, layer.inputs)
    if not int8:
        return opset8.matmul(x, opset8.constant(random.standard_normal(shape, np.float32)), False, True)
    x = opset8.multiply(opset8.convert(x, "f32"), _scalar(0.1, 2))
    weight = opset8.constant(random.integers(-127, 128, shape).astype(np.int8))
    scale = opset8.constant(np.full((layer.outputs, 1), 0.1, np.float32))
    y = opset8.matmul(x, opset8.multiply(opset8.convert(weight, "f32"), scale), False, True)
    return opset8.convert(_requantize(y, 2), "u8")


def _requantize(y: Any, dims: int) -> Any:
    low, high = _scalar(0, dims), _scalar(255 * 9.0, dims)
    return opset8.fake_quantize(opset8.relu(y), low, high, low, _scalar(255, dims), 256)


def _convolution(layer: LayerCase, x: Any, form: str) -> Any:
    random = np.random.default_rng(0)
    shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
    window = ([layer.stride] * 2, [layer.padding] * 2, [layer.padding] * 2, [1, 1])
    if form == "int8":
        x = opset8.multiply(opset8.convert(x, "f32"), _scalar(0.1))
        weight = opset8.constant(random.integers(-127, 128, shape).astype(np.int8))
        scale = opset8.constant(np.full((layer.outputs, 1, 1, 1), 0.1, np.float32))
        weight = opset8.multiply(opset8.convert(weight, "f32"), scale)
        y = _requantize(opset8.convolution(opset8.transpose(x, _TO_NCHW), weight, *window), 4)
        return opset8.convert(opset8.transpose(y, _TO_NHWC), "u8")
    x = opset8.transpose(x, _TO_NCHW)
    if form == "float":
        y = opset8.convolution(x, opset8.constant(random.standard_normal(shape, np.float32)), *window)
    else:
        signs = opset8.fake_quantize(x, _scalar(0), _scalar(0), _scalar(-1), _scalar(1), 2)
        bits = random.integers(0, 2, int(np.prod(shape))).tolist()
        weight = ov.op.Constant(ov.Type.u1, ov.Shape(shape), bits)
        y = opset1.binary_convolution(signs, weight, *window, "xnor-popcount", -1.0)
    return opset8.transpose(y, _TO_NHWC)


def build(subject: dict[str, Any], path: Path) -> None:
    """Forms: "float", "int8", "binary"."""
    layer, form = LayerCase(**subject["layer"]), subject["form"]
    kind = np.uint8 if form == "int8" else np.float32
    if layer.op == "linear" and form == "binary":  # it has no binary MatMul: a 1x1 convolution
        x = opset8.parameter([1, layer.size, 1, layer.inputs], kind)
        y = _convolution(layer, x, form)
    elif layer.op == "linear":
        x = opset8.parameter([layer.size, layer.inputs], kind)
        y = _linear(layer, x, int8=form == "int8")
    else:
        x = opset8.parameter([1, layer.size, layer.size, layer.inputs], kind)
        y = _convolution(layer, x, form)
    ov.save_model(ov.Model([y], [x]), path, compress_to_fp16=False)
