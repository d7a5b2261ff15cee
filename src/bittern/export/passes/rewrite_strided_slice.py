"""Every n-th pixel of an image as a 1x1 depthwise convolution of ones with that stride: XNNPACK slices without steps.

Residual networks for CIFAR shorten their shortcuts so (`x[:, :, ::2, ::2]`), others by pooling windows of one pixel.
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.views.aten import Pair, pair

aten = torch.ops.aten
_POOLS = (aten.max_pool2d.default, aten.avg_pool2d.default)


def rewrite_strided_slice(graph: Graph) -> None:
    for node in graph.calls(*_POOLS):
        named = arguments(node)
        stride = pair(named["stride"] or named["kernel_size"])
        if why_not(node) is None and pair(named["kernel_size"]) == (1, 1) and not any(named["padding"]):
            graph.replace(node, _pick(graph, node, named["self"], stride))
    for node in graph.calls(aten.slice.Tensor):
        found, user = _step(node), sole_user(node)
        if found is None or (user is not None and _other_axis(user, found[0])):
            continue
        axis, stride = found
        named = arguments(node)
        source = named["self"]
        if source.target is aten.slice.Tensor and sole_user(source) is node and _other_axis(source, axis):
            inner = arguments(source)
            _, other = _step(source) or (axis, stride)
            stride = (max(stride[0], other[0]), max(stride[1], other[1]))
            source = _narrowed(graph, node, inner["self"], inner)
        graph.replace(node, _pick(graph, node, _narrowed(graph, node, source, named), stride))


def why_not(node: fx.Node) -> str | None:
    """None if ``node`` gives an image of floats with known sizes, else why not."""
    if len(shape(node)) != 4 or node.meta["val"].dtype != torch.float32:
        return "it gives no image of floats"
    sizes = (*shape(node)[1:], *shape(node.all_input_nodes[0])[1:])
    return None if all(isinstance(size, int) for size in sizes) else "its sizes are known only when it runs"


def _step(node: fx.Node) -> tuple[int, Pair] | None:
    """Axis and stride of a slice of pixels with a step; None of anything else."""
    if node.target is not aten.slice.Tensor or why_not(node) is not None:
        return None
    named = arguments(node)
    axis, step = named["dim"] % 4, named["step"]
    return None if axis < 2 or step == 1 else (axis, (step, 1) if axis == 2 else (1, step))


def _other_axis(node: fx.Node, axis: int) -> bool:
    """Whether ``node`` is such a slice along the other axis of pixels."""
    found = _step(node)
    return found is not None and found[0] != axis


def _narrowed(graph: Graph, before: fx.Node, source: fx.Node, named: dict[str, Any]) -> fx.Node:
    """``source`` from where the slice starts, without its step, and up to its end if another pixel follows there."""
    axis, step = named["dim"] % 4, named["step"]
    size = shape(source)[axis]
    start, end, _ = slice(named["start"], named["end"]).indices(size)
    if start == 0 and -(-end // step) == -(-size // step):
        return source
    args = (source, axis, start, end)
    return graph.call(before, aten.slice.Tensor, args, Provenance.of(before).intermediate())


def _pick(graph: Graph, before: fx.Node, image: fx.Node, stride: Pair) -> fx.Node:
    channels = shape(image)[1]
    ones = graph.add_constant(torch.ones(channels, 1, 1, 1), before)
    args = (image, ones, None, list(stride), [0, 0], [1, 1], channels)
    return graph.call(before, aten.conv2d.default, args, Provenance.of(before))
