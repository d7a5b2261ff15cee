"""Maxima along axes of images, and adaptive max pooling, as max pooling over windows, the form that XNNPACK takes.

min(x) = -max(-x)
"""

import operator
from itertools import pairwise

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape

aten = torch.ops.aten
_EXTREMES = (aten.amax.default, aten.amin.default, aten.max.dim, aten.min.dim)
_NEGATED = (aten.amin.default, aten.min.dim)


def rewrite_max(graph: Graph) -> None:
    for node in graph.calls(aten.adaptive_max_pool2d.default, *_EXTREMES):
        if why_not(node) is not None:
            continue
        result = _pooled(graph, node) if node.target is aten.adaptive_max_pool2d.default else _extreme(graph, node)
        for user in list(node.users):
            if user.target is operator.getitem:
                Provenance.of(user).attach(result)
                graph.replace(user, result)
        if node.users:
            graph.replace(node, result)
        else:
            graph.module.graph.erase_node(node)


def why_not(node: fx.Node) -> str | None:
    """None if ``node`` gives maxima of an image's pixels or channels, and nobody reads where they are, else why not."""
    x = arguments(node)["self"]
    if len(shape(x)) != 4 or x.meta["val"].dtype != torch.float32:
        return "it reads no image of floats"
    if not all(isinstance(size, int) for size in shape(x)[1:]):
        return "its sizes are known only when it runs"
    if any(user.target is operator.getitem and user.args[1] != 0 for user in node.users):
        return "the places of the maxima are read"
    if node.target in _EXTREMES and _axes(node) not in ([1], [2], [3], [2, 3]):
        return "it mixes images, or channels with pixels"
    return None


def _axes(node: fx.Node) -> list[int]:
    dim = arguments(node)["dim"]
    return sorted(axis % 4 for axis in ([dim] if isinstance(dim, int) else dim))


def _extreme(graph: Graph, node: fx.Node) -> fx.Node:
    named, own = arguments(node), Provenance.of(node)
    part, axes = own.intermediate(), _axes(node)
    x = named["self"]
    if node.target in _NEGATED:
        x = graph.call(node, aten.neg.default, (x,), part)
    if axes == [1]:
        x, axes = graph.call(node, aten.permute.default, (x, [0, 2, 3, 1]), part), [3]
    window = [shape(x)[axis] if axis in axes else 1 for axis in (2, 3)]
    result = _pool(graph, node, x, window, window)
    if node.target in _NEGATED:
        result = graph.call(node, aten.neg.default, (result,), part)
    return graph.call(node, aten.reshape.default, (result, _value_shape(node)), own)


def _value_shape(node: fx.Node) -> list[int]:
    """The shape of the values that ``node`` gives, as an argument of `view`."""
    value = node.meta["val"]
    values = value[0] if isinstance(value, (tuple, list)) else value
    return [size if isinstance(size, int) else -1 for size in values.shape]


def _pooled(graph: Graph, node: fx.Node) -> fx.Node:
    """Adaptive pooling: one axis after the other, or both at once where all windows are alike and evenly spaced."""
    named = arguments(node)
    x: fx.Node = named["self"]
    outputs = named["output_size"]
    windows = [_windows(shape(x)[axis], outputs[axis - 2]) for axis in (2, 3)]
    rows, columns = (_even(spans) for spans in windows)
    if rows is not None and columns is not None:
        return _pool(graph, node, x, [rows[0], columns[0]], [rows[1], columns[1]])
    for axis, spans in zip((2, 3), windows, strict=True):
        own = Provenance.of(node).intermediate()
        parts = []
        for start, end in spans:
            piece = graph.call(node, aten.slice.Tensor, (x, axis, start, end), own)
            window = [end - start, 1] if axis == 2 else [1, end - start]
            parts.append(_pool(graph, node, piece, window, window))
        x = parts[0] if len(parts) == 1 else graph.call(node, aten.cat.default, (parts, axis), own)
    Provenance.of(node).attach(x)
    return x


def _windows(size: int, outputs: int) -> list[tuple[int, int]]:
    return [(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]


def _even(spans: list[tuple[int, int]]) -> tuple[int, int] | None:
    """Size and stride of the windows; None if they differ, or leave gaps."""
    sizes = {end - start for start, end in spans}
    steps = {second[0] - first[0] for first, second in pairwise(spans)} or set(sizes)
    return (sizes.pop(), steps.pop()) if len(sizes) == len(steps) == 1 and max(steps) <= max(sizes) else None


def _pool(graph: Graph, before: fx.Node, x: fx.Node, window: list[int], stride: list[int]) -> fx.Node:
    """``x`` itself for windows of one pixel, which XNNPACK refuses."""
    if window == stride == [1, 1]:
        return x
    return graph.call(before, aten.max_pool2d.default, (x, window, stride), Provenance.of(before).intermediate())
