"""Operations of ONNX and QONNX as operators of a graph: one function for each kind."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bittern.importers.onnx_call import OnnxCall, Operand
from bittern.importers.onnx_constants import FLOATS, axes_of, limits
from bittern.models.graph_operators import Sides

Converter = Callable[[OnnxCall], Operand]


# Layers with weights


def _conv(call: OnnxCall) -> Operand:
    w, bias = call.constant(1), call.optional(2)
    if w.dim() != 4 or len(call.shape()) != 4:
        raise call.error(f"has a kernel {list(w.shape)}; convolutions of images are imported")
    kernel = (w.shape[2], w.shape[3])
    stride, dilation = call.integers("strides", (1, 1), 2), call.integers("dilations", (1, 1), 2)
    return call.graph.add(
        call.node.name,
        "conv2d",
        call.value(),
        weights={**_signs_and_magnitudes(w), "bias": bias},
        binary=_is_binary(w),
        stride=stride,
        padding=_padding(call, kernel, stride, dilation),
        dilation=dilation,
        groups=call.integer("group", 1),
    )


def _padding(call: OnnxCall, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Sides:
    auto = call.text("auto_pad", "NOTSET", ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"))
    if not auto.startswith("SAME"):
        top, left, bottom, right = call.integers("pads", (0, 0, 0, 0), 4) if auto == "NOTSET" else (0, 0, 0, 0)
        if min(top, left, bottom, right) < 0:
            raise call.error("cuts off pixels (negative pads), which is not imported")
        return (top, bottom, left, right)
    sides: list[int] = []
    for size, k, s, d in zip(call.shape()[2:], kernel, stride, dilation, strict=True):
        if s < 1:
            raise call.error(f"has strides {list(stride)}, expected positive integers")
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        small, large = total // 2, total - total // 2
        sides += [small, large] if auto == "SAME_UPPER" else [large, small]
    return tuple(sides)


def _gemm(call: OnnxCall) -> Operand:
    if call.integer("transA", 0):
        raise call.error("transposes its input (transA), which is not imported")
    w = call.constant(1) * call.real("alpha", 1.0)
    bias = call.optional(2)
    if bias is not None:
        bias = bias.expand(w.shape[0] if call.integer("transB", 0) else w.shape[1]) * call.real("beta", 1.0)
    return _linear(call, w if call.integer("transB", 0) else w.T, bias)


def _matmul(call: OnnxCall) -> Operand:
    return _linear(call, call.constant(1).T, None)


def _linear(call: OnnxCall, w: Tensor, bias: Tensor | None) -> Operand:
    if w.dim() != 2:
        raise call.error(f"multiplies by {list(w.shape)}; matrices are imported")
    weights = {**_signs_and_magnitudes(w), "bias": bias}
    return call.graph.add(call.node.name, "linear", call.value(), weights=weights, binary=_is_binary(w))


def _is_binary(w: Tensor) -> bool:
    """Whether every filter is +s and -s with one s: a filter of one number says nothing."""
    sizes = w.flatten(1).abs()
    return sizes.shape[1] > 1 and bool((sizes == sizes[:, :1]).all()) and bool((sizes > 0).all())


def _signs_and_magnitudes(w: Tensor) -> dict[str, Tensor | None]:
    if not _is_binary(w):
        return {"weight": w}
    magnitude = w.flatten(1)[:, 0].abs()
    return {"weight": w.sign(), "magnitude": None if bool((magnitude == 1).all()) else magnitude}


def _batch_norm(call: OnnxCall) -> Operand:
    if call.integer("training_mode", 0):
        raise call.error("is in training mode; export the network with model.eval()")
    weight, bias, mean, variance = (call.constant(index) for index in range(1, 5))
    epsilon = call.real("epsilon", 1e-5)
    if bool((variance + epsilon <= 0).any()):
        raise call.error("has a variance that is not positive: the file is damaged")
    weights: dict[str, Tensor | None] = {"weight": weight, "bias": bias, "mean": mean, "variance": variance}
    return call.graph.add(call.node.name, "batch_norm", call.value(), weights=weights, epsilon=epsilon)


def _prelu(call: OnnxCall) -> Operand:
    slope, channels = call.constant(1), call.shape()[1]
    if slope.numel() not in (1, channels):
        raise call.error(f"has {slope.numel()} slopes for {channels} channels")
    return call.graph.add(call.node.name, "prelu", call.value(), weights={"weight": slope.flatten()})


# Signs and quantized activations


def _bipolar(call: OnnxCall) -> Operand:
    """``scale * (1 if x >= 0 else -1)``."""
    signs = call.graph.add(f"{call.node.name}_sign", "binarize", call.value())
    return _scaled(call, signs, call.constant(1))


def _quant(call: OnnxCall) -> Operand:
    """``(round(clamp(x / scale + zero, low, high)) - zero) * scale`` with one scale."""
    call.text("rounding_mode", "ROUND", ("ROUND",))
    low, high = limits(call)
    scale, zero = call.constant(1), call.number(2)
    graph, name = call.graph, call.node.name
    x = _scaled(call, call.value(), scale.reciprocal(), "_in")
    x = graph.add(f"{name}_zero", "add_number", x, value=zero) if zero else x
    x = graph.add(f"{name}_round", "round", x)
    x = graph.add(f"{name}_clip", "clamp", x, low=low, high=high)
    x = graph.add(f"{name}_from_zero", "add_number", x, value=-zero) if zero else x
    return _scaled(call, x, scale)


def _scaled(call: OnnxCall, value: str, factor: Tensor, suffix: str = "") -> str:
    """``value * factor``; one factor or one for each channel."""
    name = call.node.name + suffix
    if factor.numel() > 1:
        return call.graph.add(name, "scale", value, weights={"factor": factor.float()})
    number = float(factor)
    return value if number == 1 else call.graph.add(name, "multiply_number", value, value=number)


# Arithmetic


def _add(call: OnnxCall) -> Operand:
    return _with_constant(call, "add", lambda value, constant: _shifted(call, value, constant))


def _multiply(call: OnnxCall) -> Operand:
    return _with_constant(call, "multiply", lambda value, constant: _scaled(call, value, constant))


def _with_constant(call: OnnxCall, operator: str, combine: Callable[[str, Tensor], str]) -> Operand:
    match call.inputs:
        case (str() as a, str() as b):
            return call.graph.add(call.node.name, operator, a, b)
        case (str() as value, Tensor() as constant) | (Tensor() as constant, str() as value):
            return combine(value, constant)
    raise call.error(f"has {len(call.inputs)} inputs, expected two")


def _shifted(call: OnnxCall, value: str, offset: Tensor) -> str:
    if offset.numel() > 1:
        return call.graph.add(call.node.name, "shift", value, weights={"offset": offset.float()})
    number = float(offset)
    return value if number == 0 else call.graph.add(call.node.name, "add_number", value, value=number)


def _subtract(call: OnnxCall) -> Operand:
    match call.inputs:
        case (str() as value, Tensor() as constant):
            return _shifted(call, value, -constant)
        case (Tensor() as constant, str() as value):
            return _shifted(
                call, call.graph.add(f"{call.node.name}_neg", "multiply_number", value, value=-1.0), constant
            )
    return call.graph.add(call.node.name, "subtract", call.value(0), call.value(1))


def _divide(call: OnnxCall) -> Operand:
    match call.inputs:
        case (str() as value, Tensor() as constant):
            return _scaled(call, value, constant.float().reciprocal())
    return call.graph.add(call.node.name, "divide", call.value(0), call.value(1))


def _unary(operator: str, **attributes: Any) -> Converter:
    return lambda call: call.graph.add(call.node.name, operator, call.value(), **attributes)


def _clip(call: OnnxCall) -> Operand:
    low = call.node.attributes.get("min") if call.optional(1) is None else call.number(1)
    high = call.node.attributes.get("max") if call.optional(2) is None else call.number(2)
    # The largest float32 is how some exporters write that there is no limit.
    both = (("low", low), ("high", high))
    bounds: dict[str, Any] = {key: float(v) for key, v in both if v is not None and abs(v) < 3e38}
    return call.graph.add(call.node.name, "clamp", call.value(), **bounds) if bounds else call.value()


def _leaky_relu(call: OnnxCall) -> Operand:
    return call.graph.add(call.node.name, "leaky_relu", call.value(), slope=call.real("alpha", 0.01))


def _elu(call: OnnxCall) -> Operand:
    return call.graph.add(call.node.name, "elu", call.value(), alpha=call.real("alpha", 1.0))


def _softmax(call: OnnxCall) -> Operand:
    return call.graph.add(call.node.name, "softmax", call.value(), dim=call.integer("axis", -1))


def _same(call: OnnxCall) -> Operand:
    return call.value()


def _cast(call: OnnxCall) -> Operand:
    if call.integer("to", 1) not in FLOATS:
        raise call.error("makes integers of the network's values; floats are imported")
    return call.value()


# Pooling


def _max_pool(call: OnnxCall) -> Operand:
    return _pool(call, "max_pool2d")


def _avg_pool(call: OnnxCall) -> Operand:
    return _pool(call, "avg_pool2d", count_padding=bool(call.integer("count_include_pad", 0)))


def _pool(call: OnnxCall, operator: str, **attributes: Any) -> Operand:
    if call.integer("ceil_mode", 0) or call.integers("dilations", (1, 1), 2) != (1, 1):
        raise call.error("rounds sizes up or is dilated (ceil_mode, dilations), which is not imported")
    kernel, stride = call.integers("kernel_shape", (), 2), call.integers("strides", (1, 1), 2)
    padding = _padding(call, kernel, stride, (1, 1))
    return call.graph.add(
        call.node.name, operator, call.value(), kernel=kernel, stride=stride, padding=padding, **attributes
    )


def _global(operator: str) -> Converter:
    return lambda call: call.graph.add(call.node.name, operator, call.value(), dims=(2, 3), keep=True)


def _reduce_mean(call: OnnxCall) -> Operand:
    rank = len(call.shape())
    dims = tuple(axis % rank for axis in axes_of(call))
    if not dims or 0 in dims:
        raise call.error(f"takes the mean over {list(dims)}; means over other axes than the batch are imported")
    return call.graph.add(call.node.name, "mean", call.value(), dims=dims, keep=bool(call.integer("keepdims", 1)))


# Shapes


def _reshaped(call: OnnxCall, target: tuple[int, ...]) -> Operand:
    """``target`` with the batch, which must stay the first dimension."""
    shape = tuple(torch.empty(call.shape(), device="meta").reshape(target).shape)
    if shape[:1] != (1,):
        raise call.error(f"moves {list(call.shape())} to {list(shape)}, which joins images of a batch")
    return call.graph.add(call.node.name, "reshape", call.value(), shape=shape[1:])


def _reshape(call: OnnxCall) -> Operand:
    shape, target = call.shape(), [int(size) for size in call.constant(1).flatten()]
    if len([size for size in target if size == 0]) and call.integer("allowzero", 0):
        raise call.error("asks for a size of 0 (allowzero), which no network needs")
    return _reshaped(call, tuple(shape[i] if size == 0 and i < len(shape) else size for i, size in enumerate(target)))


def _flatten(call: OnnxCall) -> Operand:
    if call.integer("axis", 1) != 1:
        raise call.error(f"joins images of a batch (axis {call.integer('axis', 1)})")
    return call.graph.add(call.node.name, "flatten", call.value())


def _squeeze(call: OnnxCall) -> Operand:
    shape = call.shape()
    axes = {axis % len(shape) for axis in axes_of(call)} or {i for i, size in enumerate(shape) if size == 1 and i}
    return _reshaped(call, tuple(size for i, size in enumerate(shape) if i not in axes))


def _unsqueeze(call: OnnxCall) -> Operand:
    shape = list(call.shape())
    rank = len(shape) + len(axes_of(call))
    for axis in sorted(axis % rank for axis in axes_of(call)):
        shape.insert(axis, 1)
    return _reshaped(call, tuple(shape))


def _transpose(call: OnnxCall) -> Operand:
    rank = len(call.shape())
    dims = call.integers("perm", tuple(reversed(range(rank))), rank)
    if dims[0] != 0:
        raise call.error(f"moves the batch (perm {list(dims)})")
    return call.graph.add(call.node.name, "permute", call.value(), dims=dims)


def _concat(call: OnnxCall) -> Operand:
    axis = call.integer("axis", 1) % len(call.shape())
    if axis == 0:
        raise call.error("joins batches (axis 0)")
    names = [call.value(index) for index in range(len(call.inputs))]
    return call.graph.add(call.node.name, "concatenate", *names, dim=axis)


def _pad(call: OnnxCall) -> Operand:
    call.text("mode", "constant", ("constant",))
    pads = call.integers("pads", ()) if "pads" in call.node.attributes else call.constant(1).flatten().tolist()
    value = call.real("value", 0.0) if call.optional(2) is None else call.number(2)
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or min(pads) < 0:
        raise call.error(f"pads by {list(pads)[:8]}; borders of images, of 0 or more pixels, are imported")
    padding = (int(pads[2]), int(pads[6]), int(pads[3]), int(pads[7]))
    return call.graph.add(call.node.name, "pad", call.value(), padding=padding, value=value)


def _shape(call: OnnxCall) -> Operand:
    """A constant: the batch counts as 1, as ``_reshaped`` expects it."""
    return torch.tensor(call.shape(), dtype=torch.int64)


CONVERTERS: dict[str, Converter] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "PRelu": _prelu,
    "BipolarQuant": _bipolar,
    "Quant": _quant,
    "IntQuant": _quant,
    "Sign": _unary("sign"),
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Neg": _unary("multiply_number", value=-1.0),
    "Relu": _unary("relu"),
    "Sigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Softmax": _softmax,
    "Identity": _same,
    "Dropout": _same,
    "Cast": _cast,
    "MaxPool": _max_pool,
    "AveragePool": _avg_pool,
    "GlobalAveragePool": _global("mean"),
    "GlobalMaxPool": _global("amax"),
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Pad": _pad,
    "Shape": _shape,
}
"""Operation -> what makes an operator of it."""
