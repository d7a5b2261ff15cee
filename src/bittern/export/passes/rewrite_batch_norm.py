"""BatchNorm that is still there as what it is in evaluation mode: a product and a sum per channel.

On images that is a 1x1 depthwise convolution. (XNNPACK's own conversion gives the constants of all BatchNorms of a
delegate the same name.)
"""

import torch

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.views import BatchNorm, matching

aten = torch.ops.aten


def rewrite_batch_norm(graph: Graph) -> None:
    for norm in matching(graph, BatchNorm.match):
        node = norm.node
        g, h = (value.float() for value in norm.affine(graph))
        provenance, channels, rank = Provenance.of(node), len(g), len(shape(node))
        if rank == 4:
            factor = graph.add_constant(g.reshape(channels, 1, 1, 1), node)
            convolution = (norm.input, factor, graph.add_constant(h, node), [1, 1], [0, 0], [1, 1], channels)
            y = graph.call(node, aten.conv2d.default, convolution, provenance)
        else:
            form = [1, channels, *[1] * (rank - 2)]
            factor, addend = (graph.add_constant(value.reshape(form), node) for value in (g, h))
            scaled = graph.call(node, aten.mul.Tensor, (norm.input, factor), provenance)
            y = graph.call(node, aten.add.Tensor, (scaled, addend), provenance)
        graph.replace(node, y)
