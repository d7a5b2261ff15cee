"""Convolutions, linear layers and products of matrices, of floats: sums of products, each rounded twice."""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from bittern.export.c.lowering import Lowering, images
from bittern.export.c.operators.row import Row
from bittern.export.c.operators.window import rows_as_images, window
from bittern.export.c.program import Struct
from bittern.export.graph import shape
from bittern.export.passes.views.aten import ConvLayer, Layer, LinearLayer, Pad, PaddedInput

BLOCK = 4
"""Filters that lie side by side."""


def padding_is_part_of(node: fx.Node) -> bool:
    """Whether all that reads a padded image are convolutions, which pad with zeros themselves."""
    pad = Pad.match(node)
    return pad is not None and pad.value == 0 and all(ConvLayer.match(user) is not None for user in node.users)


def _conv(lowering: Lowering, node: fx.Node) -> None:
    layer = ConvLayer.match(node)
    assert layer is not None
    images(layer.input, lowering)
    absorbed = padding_is_part_of(layer.input)
    padded = PaddedInput.of(layer) if absorbed else PaddedInput.own(layer)
    assert padded.padding is not None
    n, channels, height, width = images(padded.source, lowering)
    top, _, left, _ = padded.padding
    out = shape(node)[2:]
    place = window(n, (height, width), out, layer.kernel_size, layer.stride, layer.dilation, (top, left))
    source, result = lowering.read(padded.source), lowering.result(node)
    struct = _struct(lowering, layer, place, channels)
    lowering.call(node, "bittern_conv2d_f32", struct, (source, result), (result,))
    lowering.bind(node, result)


def _linear(lowering: Lowering, node: fx.Node) -> None:
    layer = LinearLayer.match(node)
    assert layer is not None
    size = shape(layer.input)
    source, result = lowering.rows(layer.input, node), lowering.result(node)
    struct = _struct(lowering, layer, rows_as_images(torch.Size(size[:-1]).numel()), size[-1])
    lowering.call(node, "bittern_conv2d_f32", struct, (source, result), (result,))
    lowering.bind(node, lowering.from_rows(node, result))


def _struct(lowering: Lowering, layer: Layer, place: Struct, channels: int) -> Struct:
    weight = lowering.constant(layer.weight)
    if weight is None or (layer.bias is not None and lowering.constant(layer.bias) is None):
        lowering.refuse(layer.node, "has weights that are computed from the input, which the C kernels cannot read")
    assert weight is not None
    filters = weight.flatten(2).transpose(1, 2) if weight.dim() == 4 else weight.unsqueeze(1)  # [O, taps, C/groups]
    blocks = F.pad(filters, (0, 0, 0, 0, 0, -len(filters) % BLOCK)).unflatten(0, (-1, BLOCK))
    fields = {
        "window": place,
        "in_channels": channels,
        "out_channels": len(weight),
        "groups": layer.groups,
        "weight": blocks.movedim(1, -1).contiguous(),
        "bias": lowering.constant(layer.bias),
    }
    return Struct("bittern_conv2d_f32_t", fields)


def _conv_reference(node: fx.Node, values: dict[str, Any]) -> Tensor:
    layer = ConvLayer.match(node)
    assert layer is not None
    x, weight = values["input"], values["weight"]
    top, bottom, left, right = layer.padding
    x = F.pad(x, (left, right, top, bottom)).unflatten(1, (layer.groups, -1))
    n, _, height, width = shape(node)
    filters = weight.unflatten(0, (layer.groups, -1)).unsqueeze(-1).unsqueeze(-1)  # [G, O/G, C/G, kh, kw, 1, 1]
    start = _start(values["bias"], (n, len(weight), height, width), 1)
    total: Tensor = start.unflatten(1, (layer.groups, -1))
    (stride_y, stride_x), (dilation_y, dilation_x) = layer.stride, layer.dilation
    for i, j in product(*map(range, layer.kernel_size)):
        rows = slice(i * dilation_y, i * dilation_y + (height - 1) * stride_y + 1, stride_y)
        columns = slice(j * dilation_x, j * dilation_x + (width - 1) * stride_x + 1, stride_x)
        for c in range(weight.shape[1]):
            total = total + x[:, :, c, rows, columns].unsqueeze(2) * filters[:, :, c, i, j]
    return total.flatten(1, 2)


def _linear_reference(node: fx.Node, values: dict[str, Any]) -> Tensor:
    x, weight = values["input"], values["weight"]
    total = _start(values["bias"], (*x.shape[:-1], len(weight)), -1)
    for c in range(x.shape[-1]):
        total = total + x[..., c : c + 1] * weight[:, c]
    return total


def _start(bias: Tensor | None, size: tuple[int, ...], channel_dim: int) -> Tensor:
    """What the sums start from."""
    if bias is None:
        return torch.zeros(size)
    ones = [1] * len(size)
    ones[channel_dim] = -1
    return bias.reshape(ones).expand(size)


def _bmm(lowering: Lowering, node: fx.Node) -> None:
    left, right = (operand for operand in node.args if isinstance(operand, fx.Node))
    batch, rows, depth = shape(left)
    result = lowering.result(node)
    fields = {"batch": batch, "rows": rows, "depth": depth, "columns": shape(right)[2]}
    operands = (lowering.read(left), lowering.read(right), result)
    lowering.call(node, "bittern_bmm", Struct("bittern_bmm_t", fields), operands, (result,))
    lowering.bind(node, result)


def _bmm_reference(node: fx.Node, values: dict[str, Any]) -> Tensor:
    x, y = values["self"], values["mat2"]
    total = torch.zeros(*x.shape[:2], y.shape[2])
    for k in range(x.shape[2]):
        total = total + x[:, :, k : k + 1] * y[:, k : k + 1]
    return total


ROWS = {
    "aten::conv2d": Row(_conv, _conv_reference),
    "aten::linear": Row(_linear, _linear_reference),
    "aten::bmm": Row(_bmm, _bmm_reference),
}
