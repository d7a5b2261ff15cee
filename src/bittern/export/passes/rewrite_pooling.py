"""Average pooling in the spellings that XNNPACK takes.

Over the whole image: a mean over height and width that keeps both axes. Over windows: without `ceil_mode` where that
adds no window, and without counting a padding that is not there.
"""

import torch

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape

_MEAN = torch.ops.aten.mean.dim
_AVERAGE = torch.ops.aten.avg_pool2d.default


def rewrite_pooling(graph: Graph) -> None:
    for node in graph.calls(torch.ops.aten.adaptive_avg_pool2d.default):
        if list(shape(node)[2:]) == [1, 1]:
            graph.replace(node, graph.call(node, _MEAN, (node.args[0], [-1, -2], True), Provenance.of(node)))
    for node in graph.calls(_MEAN):
        named, own = arguments(node), Provenance.of(node)
        image = shape(named["self"])
        axes = sorted(axis % len(image) for axis in named["dim"] or ())
        if len(image) == 4 and axes == [2, 3] and len(shape(node)) == 2:
            pooled = graph.call(node, _MEAN, (named["self"], [-1, -2], True), own)
            graph.replace(node, graph.call(node, torch.ops.aten.view.default, (pooled, view_shape(node)), own))
    for node in graph.calls(_AVERAGE):
        named = arguments(node)
        if any(named["padding"]):
            continue
        plain = {**named, "ceil_mode": False, "count_include_pad": False}
        rewritten = graph.call(node, _AVERAGE, list(plain.values()), Provenance.of(node))
        if shape(rewritten) == shape(node):
            graph.replace(node, rewritten)
        else:
            graph.module.graph.erase_node(rewritten)
