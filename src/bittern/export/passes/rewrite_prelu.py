"""PReLU of rows, tokens and other tensors that are no images: XNNPACK takes it for images alone.

prelu(x) = relu(x) - slope * relu(-x)
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape

aten = torch.ops.aten


def rewrite_prelu(graph: Graph) -> None:
    for node in graph.calls(aten.prelu.default):
        x, slope = node.args
        constant = graph.constant(slope)
        if len(shape(node)) == 4 or constant is None or not isinstance(x, fx.Node):
            continue
        own = Provenance.of(node)
        part = own.intermediate()
        slopes = constant if constant.numel() == 1 else constant.view(-1, *(1,) * (len(shape(node)) - 2))
        above = graph.call(node, aten.relu.default, (x,), part)
        below = graph.call(node, aten.relu.default, (graph.call(node, aten.neg.default, (x,), part),), part)
        scaled = graph.call(node, aten.mul.Tensor, (below, graph.add_constant(slopes, node)), part)
        graph.replace(node, graph.call(node, aten.sub.Tensor, (above, scaled), own))
