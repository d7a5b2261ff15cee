"""Standard layers of Keras 2 and Larq as operators of a graph: one function for each kind of layer.

Kernels become [O, I, H, W]; Keras has convolutions [H, W, I, O], depthwise ones [H, W, C, M] and dense ones [I, O].
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from bittern._fields import short
from bittern.importers.keras_call import LayerCall, Traced, flattened, settled
from bittern.importers.keras_quantizers import QuantizedKernel, activate, quantize_activation, quantize_kernel
from bittern.models.graph_operators import Sides

Converter = Callable[[LayerCall], Traced]


# Layers with kernels


def _convolution(call: LayerCall) -> Traced:
    _check_padding_of_convolution(call)
    x, channels, groups = call.image(), call.shape()[1], call.config.get("groups", 1)
    filters, kernel = call.fields.integer("filters"), call.pair("kernel_size")
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise call.error(f"has {short(groups)} groups for {channels} channels")
    w = call.weight("kernel", (*kernel, channels // groups, filters))
    quantized = _filters_first(quantize_kernel(w, call.config.get("kernel_quantizer"), call.name))
    x = quantize_activation(call.graph, x, call.config.get("input_quantizer"), call.name)
    return _activated(call, _conv(call, call.name, x, quantized, kernel, groups, _bias(call, filters)))


def _depthwise(call: LayerCall) -> Traced:
    _check_padding_of_convolution(call)
    x, channels = call.image(), call.shape()[1]
    kernel, multiplier = call.pair("kernel_size"), call.config.get("depth_multiplier", 1)
    w = _depthwise_kernel(call, kernel, channels, multiplier)
    x = quantize_activation(call.graph, x, call.config.get("input_quantizer"), call.name)
    return _activated(call, _conv(call, call.name, x, w, kernel, channels, _bias(call, channels * multiplier)))


def _separable(call: LayerCall) -> Traced:
    _check_padding_of_convolution(call)
    x, channels = call.image(), call.shape()[1]
    kernel, multiplier = call.pair("kernel_size"), call.config.get("depth_multiplier", 1)
    filters = call.fields.integer("filters")
    w = _depthwise_kernel(call, kernel, channels, multiplier)
    x = quantize_activation(call.graph, x, call.config.get("input_quantizer"), call.name)
    x = _conv(call, f"{call.name}_depthwise", x, w, kernel, channels, None)
    point = call.weight("pointwise_kernel", (1, 1, channels * multiplier, filters))
    quantized = _filters_first(quantize_kernel(point, call.config.get("pointwise_quantizer"), call.name))
    weights = _weights(quantized, _bias(call, filters))
    return _activated(call, call.graph.add(call.name, "conv2d", x, weights=weights, binary=quantized.binary))


def _filters_first(kernel: QuantizedKernel) -> QuantizedKernel:
    return replace(kernel, weight=kernel.weight.permute(3, 2, 0, 1))


def _depthwise_kernel(call: LayerCall, kernel: tuple[int, int], channels: int, multiplier: object) -> QuantizedKernel:
    if not isinstance(multiplier, int) or isinstance(multiplier, bool) or not 0 < multiplier < 2**31:
        raise call.error(f"has depth_multiplier {short(multiplier)}, expected a positive integer")
    w = call.weight("depthwise_kernel", (*kernel, channels, multiplier))
    quantized = quantize_kernel(w, call.config.get("depthwise_quantizer"), call.name)
    weight = quantized.weight.permute(2, 3, 0, 1).flatten(0, 1)[:, None]
    magnitude = None if quantized.magnitude is None else quantized.magnitude.repeat(channels)
    return QuantizedKernel(weight, quantized.binary, magnitude)


def _weights(kernel: QuantizedKernel, bias: Tensor | None) -> dict[str, Tensor | None]:
    return {"weight": kernel.weight, "magnitude": kernel.magnitude, "bias": bias}


def _conv(
    call: LayerCall, name: str, x: str, w: QuantizedKernel, kernel: tuple[int, int], groups: int, bias: Tensor | None
) -> str:
    stride, dilation = call.pair("strides"), call.pair("dilation_rate")
    return call.graph.add(
        name,
        "conv2d",
        x,
        weights=_weights(w, bias),
        binary=w.binary,
        stride=stride,
        padding=_same(call, x, kernel, stride, dilation),
        dilation=dilation,
        groups=groups,
        pad_value=_pad_value(call),
    )


def _check_padding_of_convolution(call: LayerCall) -> None:
    call.check_channels_last()
    call.text("padding", "valid", ("valid", "same"))


def _pad_value(call: LayerCall) -> float:
    value = call.config.get("pad_values", 0.0)
    if not isinstance(value, int | float) or value not in (-1, 0, 1):
        raise call.error(f"has pad_values {short(value)}; borders of 0, 1 and -1 are imported")
    return float(value)


def _same(
    call: LayerCall, x: str, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Sides:
    """Keras' padding on each side: stride s turns n pixels into ceil(n / s), and an odd pixel is at the far side."""
    if call.text("padding", "valid", ("valid", "same")) == "valid":
        return (0, 0, 0, 0)
    sides: list[int] = []
    for size, k, s, d in zip(call.graph.shape(x)[2:], kernel, stride, dilation, strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        sides += [total // 2, total - total // 2]
    return tuple(sides)


def _bias(call: LayerCall, filters: int) -> Tensor | None:
    return call.weight("bias", (filters,)) if call.config.get("use_bias", True) else None


def _dense(call: LayerCall) -> Traced:
    value, shape, units = call.only(), call.shape(), call.fields.integer("units")
    w = call.weight("kernel", (shape[1], units))
    quantized = quantize_kernel(w, call.config.get("kernel_quantizer"), call.name)
    x = quantize_activation(call.graph, value.name, call.config.get("input_quantizer"), call.name)
    w = quantized.weight if value.order is None else quantized.weight[value.order]
    # Keras applies a dense layer to the channels of each pixel of an image.
    w, operator = (w.T[:, :, None, None], "conv2d") if len(shape) == 4 else (w.T, "linear")
    weights = _weights(replace(quantized, weight=w), _bias(call, units))
    return _activated(call, call.graph.add(call.name, operator, x, weights=weights, binary=quantized.binary))


def _activated(call: LayerCall, value: str) -> Traced:
    return Traced(activate(call.graph, value, call.config.get("activation"), call.name))


def _batch_norm(call: LayerCall) -> Traced:
    value, shape = call.only(), call.shape()
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, len(shape) - 1):
        raise call.error(f"normalizes axis {short(axis)}; only the last one, of channels or features, is imported")
    size = (shape[1],)
    names = {"mean": "moving_mean", "variance": "moving_variance"}
    names |= {"weight": "gamma"} if call.config.get("scale", True) else {}
    names |= {"bias": "beta"} if call.config.get("center", True) else {}
    weights = {ours: call.weight(theirs, size) for ours, theirs in names.items()}
    if value.order is not None:
        weights = {key: numbers[value.order] for key, numbers in weights.items()}
    epsilon = call.fields.number("epsilon") if "epsilon" in call.config else 1e-3
    if bool((weights["variance"] + epsilon <= 0).any()):
        raise call.error("has a variance that is not positive: the file is damaged")
    return Traced(call.graph.add(call.name, "batch_norm", value.name, weights=weights, epsilon=epsilon), value.order)


def _prelu(call: LayerCall) -> Traced:
    value, shape = call.only(), call.shape()
    shared = call.config.get("shared_axes")
    if len(shape) == 2:
        alpha = call.weight("alpha", (shape[1],))
        alpha = alpha if value.order is None else alpha[value.order]
    elif isinstance(shared, list) and sorted(str(axis) for axis in shared) == ["1", "2"]:
        alpha = call.weight("alpha", (1, 1, shape[1])).flatten()
    else:
        raise call.error("has a slope for each pixel; PReLU(shared_axes=[1, 2]), one for each channel, is imported")
    return Traced(call.graph.add(call.name, "prelu", value.name, weights={"weight": alpha}), value.order)


# Layers without weights


def _max_pool(call: LayerCall) -> Traced:
    return _pool(call, "max_pool2d")


def _avg_pool(call: LayerCall) -> Traced:
    return _pool(call, "avg_pool2d")


def _pool(call: LayerCall, operator: str) -> Traced:
    call.check_channels_last()
    x, kernel = call.image(), call.pair("pool_size", 2)
    stride = kernel if call.config.get("strides") is None else call.pair("strides")
    padding = _same(call, x, kernel, stride)
    return Traced(call.graph.add(call.name, operator, x, kernel=kernel, stride=stride, padding=padding))


def _global_pool(call: LayerCall, operator: str) -> Traced:
    call.check_channels_last()
    return Traced(call.graph.add(call.name, operator, call.image(), dims=(2, 3), keep=call.fields.flag("keepdims")))


def _zero_padding(call: LayerCall) -> Traced:
    call.check_channels_last()
    value = call.config.get("padding")
    pairs = [[value, value]] * 2 if isinstance(value, int) else value
    if isinstance(pairs, list) and len(pairs) == 2:
        pairs = [[each, each] if isinstance(each, int) else each for each in pairs]
        sides = [side for pair in pairs if isinstance(pair, list) and len(pair) == 2 for side in pair]
        if len(sides) == 4 and all(isinstance(side, int) and 0 <= side < 2**16 for side in sides):
            return Traced(call.graph.add(call.name, "pad", call.image(), padding=tuple(sides)))
    raise call.error(f"has padding {short(value)}, expected ((top, bottom), (left, right))")


def _upsampling(call: LayerCall) -> Traced:
    call.check_channels_last()
    if call.config.get("interpolation", "nearest") != "nearest":
        raise call.error(f"interpolates by {short(call.config['interpolation'])}; nearest is imported")
    return Traced(call.graph.add(call.name, "upsample", call.image(), factors=call.pair("size", 2)))


def _merge(call: LayerCall, operator: str) -> Traced:
    if len(call.inputs) < 2:
        raise call.error("takes several inputs, got one")
    order = _shared_order(call)
    names = [value.name if order is not None else settled(call.graph, value) for value in call.inputs]
    total = names[0]
    for index, name in enumerate(names[1:], 2):
        suffix = "" if index == len(names) else f"_{index}"
        total = call.graph.add(call.name + suffix, operator, total, name)
    return Traced(total, order)


def _shared_order(call: LayerCall) -> Tensor | None:
    orders = [value.order for value in call.inputs]
    first = orders[0]
    same = first is not None and all(order is not None and torch.equal(order, first) for order in orders)
    return first if same else None


def _concatenate(call: LayerCall) -> Traced:
    if len(call.inputs) < 2:
        raise call.error("takes several inputs, got one")
    axis, rank = call.config.get("axis", -1), len(call.shape())
    if axis not in range(-rank + 1, rank) or axis == 0:
        raise call.error(f"joins along axis {short(axis)} of {rank}")
    dim = {1: 2, 2: 3, 3: 1}[axis % 4] if rank == 4 else 1
    orders: list[Tensor] = []
    offset = 0
    for value in call.inputs:
        size = call.graph.shape(value.name)[1]
        orders.append(offset + (torch.arange(size) if value.order is None else value.order))
        offset += size
    moved = any(value.order is not None for value in call.inputs)
    joined = call.graph.add(call.name, "concatenate", *(value.name for value in call.inputs), dim=dim)
    return Traced(joined, torch.cat(orders) if moved else None)


def _flatten(call: LayerCall) -> Traced:
    call.check_channels_last()
    return flattened(call.graph, call.name, call.only())


def _reshape(call: LayerCall) -> Traced:
    value, shape = call.only(), call.shape()
    target = call.config.get("target_shape")
    if not isinstance(target, list) or not all(isinstance(size, int) for size in target) or len(target) not in (1, 3):
        raise call.error(f"has target_shape {short(target)}; (H, W, C) and (features,) are imported")
    if len(target) == 1:
        return flattened(call.graph, call.name, value)
    x = settled(call.graph, value)
    if len(shape) == 4:
        x = call.graph.add(f"{call.name}_from", "permute", x, dims=(0, 2, 3, 1))
    x = call.graph.add(f"{call.name}_pixels", "reshape", x, shape=tuple(target))
    return Traced(call.graph.add(call.name, "permute", x, dims=(0, 3, 1, 2)))


def _nothing(call: LayerCall) -> Traced:
    """What acts in training alone."""
    return call.only()


def _activation(call: LayerCall) -> Traced:
    value = call.only()
    return Traced(activate(call.graph, value.name, call.config.get("activation"), call.name), value.order)


def _quantizer(call: LayerCall) -> Traced:
    value = call.only()
    quantizer = {"class_name": call.kind, "config": dict(call.config)}
    return Traced(quantize_activation(call.graph, value.name, quantizer, call.name), value.order)


def _softmax(call: LayerCall) -> Traced:
    value = call.only()
    if call.config.get("axis", -1) not in (-1, len(call.shape()) - 1):
        raise call.error(f"is over axis {short(call.config['axis'])}; only the last one is imported")
    return Traced(call.graph.add(call.name, "softmax", value.name, dim=1), value.order)


def _relu(call: LayerCall) -> Traced:
    value = call.only()
    slope, top, threshold = (call.config.get(key) for key in ("negative_slope", "max_value", "threshold"))
    if slope or threshold:
        raise call.error("has a slope or a threshold; LeakyReLU and ReLU(max_value) are imported")
    if top is None:
        return Traced(call.graph.add(call.name, "relu", value.name), value.order)
    return Traced(
        call.graph.add(call.name, "clamp", value.name, low=0.0, high=call.fields.number("max_value")), value.order
    )


def _leaky_relu(call: LayerCall) -> Traced:
    value, slope = call.only(), call.fields.number("alpha")
    return Traced(call.graph.add(call.name, "leaky_relu", value.name, slope=slope), value.order)


def _elu(call: LayerCall) -> Traced:
    value = call.only()
    return Traced(call.graph.add(call.name, "elu", value.name, alpha=call.fields.number("alpha")), value.order)


def _rescaling(call: LayerCall) -> Traced:
    value, fields = call.only(), call.fields
    x = call.graph.add(f"{call.name}_scale", "multiply_number", value.name, value=fields.number("scale"))
    return Traced(call.graph.add(call.name, "add_number", x, value=fields.number("offset")), value.order)


def _python_operation(call: LayerCall) -> Traced:
    """``x + y`` and its like, which Keras stores as layers of class TFOpLambda."""
    function = call.config.get("function")
    operators = {"add": "add", "__add__": "add", "multiply": "multiply", "subtract": "subtract", "relu": "relu"}
    name = function.rpartition(".")[2] if isinstance(function, str) else ""
    if name not in operators or set(call.arguments) - {"y"}:
        raise call.error(f"calls {short(function)}; of Python's operations +, - and * of layers are imported")
    number = call.arguments.get("y")
    if isinstance(number, int | float) and not isinstance(number, bool) and len(call.inputs) == 1:
        value = call.only()
        operator = "multiply_number" if operators[name] == "multiply" else "add_number"
        number = -float(number) if operators[name] == "subtract" else float(number)
        return Traced(call.graph.add(call.name, operator, value.name, value=number), value.order)
    if operators[name] == "relu":
        value = call.only()
        return Traced(call.graph.add(call.name, "relu", value.name), value.order)
    return _merge(call, operators[name])


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(("Conv2D", "QuantConv2D"), _convolution),
    **dict.fromkeys(("DepthwiseConv2D", "QuantDepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv2D", "QuantSeparableConv2D"), _separable),
    **dict.fromkeys(("Dense", "QuantDense"), _dense),
    **dict.fromkeys(("BatchNormalization", "SyncBatchNormalization"), _batch_norm),
    **dict.fromkeys(("MaxPooling2D", "MaxPool2D"), _max_pool),
    **dict.fromkeys(("AveragePooling2D", "AvgPool2D"), _avg_pool),
    **dict.fromkeys(("GlobalAveragePooling2D", "GlobalAvgPool2D"), partial(_global_pool, operator="mean")),
    **dict.fromkeys(("GlobalMaxPooling2D", "GlobalMaxPool2D"), partial(_global_pool, operator="amax")),
    **{kind: partial(_merge, operator=kind.lower()) for kind in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")},
    **dict.fromkeys(
        ("Dropout", "SpatialDropout2D", "GaussianDropout", "AlphaDropout", "GaussianNoise", "ActivityRegularization"),
        _nothing,
    ),
    **dict.fromkeys(("SteSign", "ApproxSign", "SwishSign", "SteHeaviside", "DoReFa", "NoOp", "SteTern"), _quantizer),
    "PReLU": _prelu,
    "ZeroPadding2D": _zero_padding,
    "UpSampling2D": _upsampling,
    "Concatenate": _concatenate,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Activation": _activation,
    "Softmax": _softmax,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "Rescaling": _rescaling,
    "TFOpLambda": _python_operation,
}
"""Class of a Keras layer -> what makes operators of it."""
