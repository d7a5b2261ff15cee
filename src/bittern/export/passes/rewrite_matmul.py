"""Products of stacks of matrices as `bmm`, the form that XNNPACK takes."""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape, view_shape

aten = torch.ops.aten


def rewrite_matmul(graph: Graph) -> None:
    for node in graph.calls(aten.matmul.default):
        left, right = node.args[:2]
        assert isinstance(left, fx.Node)
        assert isinstance(right, fx.Node)
        stack = shape(left)[:-2]
        if len(stack) == 0 or shape(right)[:-2] != stack:
            continue
        origin = Provenance(Provenance.of(node).sources, Provenance.of(node).path, [None])
        if len(stack) > 1:
            flat = ((x, [-1, *shape(x)[-2:]]) for x in (left, right))
            left, right = (graph.call(node, aten.reshape.default, arguments, origin) for arguments in flat)
        product = graph.call(node, aten.bmm.default, (left, right), Provenance.of(node))
        if len(stack) > 1:
            product = graph.call(node, aten.view.default, (product, view_shape(node)), Provenance.of(node))
        graph.replace(node, product)
