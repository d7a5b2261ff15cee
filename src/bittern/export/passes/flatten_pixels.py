"""Flattens images of one pixel behind the layers that XNNPACK computes in channels_last order, and shapes them again.

A 1x1 image is channels_last and contiguous at once. XNNPACK's delegate takes the one for the other where such an image
leaves it, and the program fails with sizes out of order. Rows have one order, and the delegate gets that one right.
"""

import operator

import torch
from torch import fx

from bittern.export.graph import Graph, Origin, shape, view_shape
from bittern.export.passes.per_channel import BATCH_NORM

_VIEW = torch.ops.aten.view.default
_CHANNELS_LAST = (
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv2d.padding,
    torch.ops.aten.max_pool2d.default,
    torch.ops.aten.avg_pool2d.default,
)


def flatten_pixels(graph: Graph) -> None:
    for node in graph.calls():
        if not _is_computed_in_channels_last(node) or len(shape(node)) != 4 or shape(node)[2:] != (1, 1):
            continue
        if all(user.target is _VIEW for user in node.users):
            continue
        origin = Origin.of(node)
        image = graph.call(node, node.target, node.args, origin, node.kwargs)  # type: ignore[arg-type]
        rows = graph.call(node, _VIEW, (image, view_shape(node)[:2]), origin)
        graph.replace(node, graph.call(node, _VIEW, (rows, view_shape(node)), origin))


def _is_computed_in_channels_last(node: fx.Node) -> bool:
    if node.target is operator.getitem:
        source, index = node.args
        return isinstance(source, fx.Node) and source.target is BATCH_NORM and isinstance(index, int) and index == 0
    return node.target in _CHANNELS_LAST
