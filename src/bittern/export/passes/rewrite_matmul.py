"""Products of stacks of matrices as `bmm`, the form that XNNPACK takes."""

import torch
from torch import fx

from bittern.export.graph import Graph, Origin, shape, view_shape

aten = torch.ops.aten


def rewrite_matmul(graph: Graph) -> None:
    for node in graph.calls(aten.matmul.default):
        left, right = node.args[:2]
        assert isinstance(left, fx.Node)
        assert isinstance(right, fx.Node)
        stack = shape(left)[:-2]
        if len(stack) == 0 or shape(right)[:-2] != stack:
            continue
        origin = Origin(Origin.of(node).sources, Origin.of(node).path, [None])
        if len(stack) > 1:
            flat = ((x, [-1, *shape(x)[-2:]]) for x in (left, right))
            left, right = (graph.call(node, aten.reshape.default, arguments, origin) for arguments in flat)
        product = graph.call(node, aten.bmm.default, (left, right), Origin.of(node))
        if len(stack) > 1:
            product = graph.call(node, aten.view.default, (product, view_shape(node)), Origin.of(node))
        graph.replace(node, product)
