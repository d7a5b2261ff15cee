"""Products of stacks of matrices as `bmm`, the form that XNNPACK takes."""

import torch

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape

aten = torch.ops.aten


def rewrite_matmul(graph: Graph) -> None:
    for node in graph.calls(aten.matmul.default):
        named, own = arguments(node), Provenance.of(node)
        factors = [named["self"], named["other"]]
        stack, other = (shape(x)[:-2] for x in factors)
        if len(stack) == 0 or other != stack:
            continue
        if len(stack) > 1:
            flat = [(x, [-1, *shape(x)[-2:]]) for x in factors]
            factors = [graph.call(node, aten.reshape.default, args, own.intermediate()) for args in flat]
        product = graph.call(node, aten.bmm.default, factors, own)
        if len(stack) > 1:
            product = graph.call(node, aten.view.default, (product, view_shape(node)), own)
        graph.replace(node, product)
