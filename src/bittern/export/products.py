"""The multiply-accumulates (MACs) of an operator call: of the training graph, or of the deployed one.

convolution            MACs = values of the output * weights of one filter
transposed             MACs = values of the input * weights of one input channel
linear, mm, bmm        MACs = values of the output * columns of the left operand
attention              MACs = queries * keys * (channels of a query + channels of a value)
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import arguments, operator_name
from bittern.export.passes.views import PackedLayer
from bittern.export.passes.views.packed import PACKED_CONV2D, PACKED_LINEAR

_CONVOLUTIONS = {"aten::conv1d", "aten::conv2d", "aten::conv3d"}
_TRANSPOSED = {"aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d"}
_MATRICES = {
    "aten::matmul": ("self", "other"),
    "aten::mm": ("self", "mat2"),
    "aten::bmm": ("self", "mat2"),
    "aten::mv": ("self", "vec"),
    "aten::addmm": ("mat1", "mat2"),
    "aten::baddbmm": ("batch1", "batch2"),
}
"""Operator -> its two operands."""
_ATTENTION = "scaled_dot_product"  # in the names of attention's operators, which take query, key, value first


@dataclass(frozen=True)
class Product:
    """``form``: "conv", "pointwise" (1x1), "depthwise", "grouped" or "linear". ``packed``: both operands are bits.

    ``x``, ``weight``: the operands; the weight is the one that is constant, if one is.
    """

    form: str
    macs: int
    packed: bool
    x: fx.Node
    weight: fx.Node

    @property
    def precision(self) -> str:
        return "binary" if self.packed else "float"


def product(node: fx.Node, batch: int) -> Product | None:
    """What ``node`` multiplies and adds up; None for an operator that does no such thing.

    ``batch``: number of images, where the graph leaves it open.
    """
    if node.op != "call_function" or not hasattr(node.target, "_schema"):
        return None
    if (layer := PackedLayer.match(node)) is not None:
        return _packed(layer, batch)
    name, named = operator_name(node), arguments(node)

    def sizes(operand: fx.Node) -> tuple[int, ...]:
        return tensor_shape(operand.meta["val"], batch)

    if name in _CONVOLUTIONS:
        x, weight = named["input"], named["weight"]
        form = _form(sizes(x)[-len(sizes(weight)) + 1], sizes(weight)[2:], named["groups"])
        return Product(form, prod(sizes(node)) * prod(sizes(weight)[1:]), False, x, weight)
    if name in _TRANSPOSED:
        x, weight = named["input"], named["weight"]
        form = _form(sizes(weight)[0], sizes(weight)[2:], named["groups"])
        return Product(form, prod(sizes(x)) * prod(sizes(weight)[1:]), False, x, weight)
    if name == "aten::linear":
        x, weight = named["input"], named["weight"]
        return Product("linear", prod(sizes(node)) * sizes(weight)[-1], False, x, weight)
    if name in _MATRICES:
        left, right = (named[operand] for operand in _MATRICES[name])
        macs = prod(sizes(node)) * sizes(left)[-1]
        # A weight may stand on the left, as in W @ x.
        x, weight = (right, left) if left.op == "get_attr" else (left, right)
        return Product("linear", macs, False, x, weight)
    if _ATTENTION in name:
        query, key, value = named["query"], named["key"], named["value"]
        rows = prod(sizes(query)[:-1]) * sizes(key)[-2]
        return Product("linear", rows * (sizes(query)[-1] + sizes(value)[-1]), False, query, key)
    return None


def tensor_shape(value: Tensor, batch: int) -> tuple[int, ...]:
    """The shape of a fake tensor, with ``batch`` images where the batch is dynamic."""
    return tuple(size if isinstance(size, int) else _evaluated(size, batch) for size in value.shape)


def _evaluated(size: Any, batch: int) -> int:
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, batch)))


def _packed(layer: PackedLayer, batch: int) -> Product:
    outputs = layer.node.meta["val"]
    value = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
    shape, geometry = tensor_shape(value, batch), layer.geometry
    # Channels are in words, the last dimension, of packed results.
    pixels = prod(shape[:-1]) if value.dtype == torch.int32 else prod(shape) // layer.channels
    linear = layer.channel_dim == -1
    form = "linear" if linear else _form(geometry.in_channels, geometry.kernel_size, geometry.groups)
    binary = layer.forms in (PACKED_CONV2D, PACKED_LINEAR)
    return Product(form, pixels * layer.channels * geometry.depth, binary, layer.input, layer.weight)


def _form(channels: int, kernel: tuple[int, ...], groups: int) -> str:
    if groups > 1:
        return "depthwise" if groups == channels else "grouped"
    return "pointwise" if prod(kernel) == 1 else "conv"
