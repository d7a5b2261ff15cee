"""Flattens images of one pixel behind the layers that XNNPACK computes in channels_last order, and shapes them again.

A 1x1 image is channels_last and contiguous at once. XNNPACK's delegate mistakes one for the other where such an image
leaves it, and the program fails with sizes out of order. Rows have one order only, which the delegate gets right.
"""

import torch

from bittern.export.graph import Graph, Provenance, shape, view_shape

_VIEW = torch.ops.aten.view.default
_CHANNELS_LAST = (
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv2d.padding,
    torch.ops.aten.max_pool2d.default,
    torch.ops.aten.avg_pool2d.default,
)


def flatten_pixels(graph: Graph) -> None:
    for node in graph.calls(*_CHANNELS_LAST):
        if len(shape(node)) != 4 or shape(node)[2:] != (1, 1):
            continue
        if all(user.target is _VIEW for user in node.users):
            continue
        own = Provenance.of(node)
        image = graph.call(node, node.target, node.args, own, node.kwargs)
        rows = graph.call(node, _VIEW, (image, view_shape(node)[:2]), own)
        graph.replace(node, graph.call(node, _VIEW, (rows, view_shape(node)), own))
