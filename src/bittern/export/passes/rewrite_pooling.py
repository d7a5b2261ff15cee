"""Average pooling in the spellings that XNNPACK takes.

Over the whole image: a mean over height and width that keeps both axes. Over windows: without `ceil_mode`, and without
padding: the image is padded, and the result multiplied where torch divides by less than the window's size. Over windows
of several sizes: a matrix product for each axis.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape
from bittern.export.passes.per_axis import fits, multiply_axes
from bittern.export.passes.views.aten import pair

_MEAN = torch.ops.aten.mean.dim
_AVERAGE = torch.ops.aten.avg_pool2d.default
_PAD = torch.ops.aten.constant_pad_nd.default


def rewrite_pooling(graph: Graph) -> None:
    for node in graph.calls(torch.ops.aten.adaptive_avg_pool2d.default):
        x, outputs = node.all_input_nodes[0], shape(node)[-2:]
        sizes = shape(x)[-2:]
        if list(outputs) == [1, 1]:
            graph.replace(node, graph.call(node, _MEAN, (x, [-1, -2], True), Provenance.of(node)))
        elif len(shape(x)) == 4 and all(size % output == 0 for size, output in zip(sizes, outputs, strict=True)):
            window = [size // output for size, output in zip(sizes, outputs, strict=True)]
            graph.replace(node, graph.call(node, _AVERAGE, (x, window, window), Provenance.of(node)))
        elif len(shape(x)) == 4 and fits(*(matrices := [_means(*axis) for axis in zip(sizes, outputs, strict=True)])):
            multiply_axes(graph, node, x, *matrices)
    for node in graph.calls(_MEAN):
        named, own = arguments(node), Provenance.of(node)
        image = shape(named["self"])
        axes = sorted(axis % len(image) for axis in named["dim"] or ())
        if len(image) == 4 and axes == [2, 3] and len(shape(node)) == 2:
            pooled = graph.call(node, _MEAN, (named["self"], [-1, -2], True), own)
            graph.replace(node, graph.call(node, torch.ops.aten.view.default, (pooled, view_shape(node)), own))
    for node in graph.calls(_AVERAGE):
        named = arguments(node)
        if len(shape(node)) == 4 and named["divisor_override"] is None:
            _average(graph, node, named)


def _average(graph: Graph, node: fx.Node, named: dict[str, Any]) -> None:
    x, own = named["self"], Provenance.of(node)
    kernel, padding = pair(named["kernel_size"]), pair(named["padding"])
    stride = pair(named["stride"]) if named["stride"] else kernel
    border, factors = [], []
    for axis in (0, 1):
        size, output = shape(x)[2 + axis], shape(node)[2 + axis]
        behind = (output - 1) * stride[axis] + kernel[axis] - size - padding[axis]
        border.append((padding[axis], behind))
        options = (stride[axis], padding[axis], named["ceil_mode"], named["count_include_pad"])
        expected = F.avg_pool1d(torch.ones(1, 1, size, dtype=torch.float64), kernel[axis], *options)
        ones = F.pad(torch.ones(1, 1, size, dtype=torch.float64), border[-1])
        factors.append((expected / F.avg_pool1d(ones, kernel[axis], stride[axis])).flatten())
    factor = factors[0][:, None] * factors[1]
    even, plain = bool((factor == 1).all()), own if bool((factor == 1).all()) else own.intermediate()
    if any(width > 0 for widths in border for width in widths):
        # What no window reaches need not be cut off.
        widths = [max(width, 0) for widths in reversed(border) for width in widths]
        x = graph.call(node, _PAD, (x, widths, 0.0), own.auxiliary())
    result = x
    if kernel != (1, 1) or stride != (1, 1):
        result = graph.call(node, _AVERAGE, (x, list(kernel), list(stride), [0, 0], False, False), plain)
    if not even:
        constant = graph.add_constant(factor.float(), node)
        result = graph.call(node, torch.ops.aten.mul.Tensor, (result, constant), own)
    graph.replace(node, result)


def _means(size: int, outputs: int) -> Tensor:
    """``[outputs, size]``: the matrix of adaptive pooling along one axis."""
    return F.adaptive_avg_pool1d(torch.eye(size).unsqueeze(0), outputs)[0].T.contiguous()
