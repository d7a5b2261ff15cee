"""BatchNorm that is still there as what it is in evaluation mode: a product and a sum per channel.

On images that is a 1x1 depthwise convolution. (XNNPACK's own conversion gives the constants of all BatchNorms of a
delegate the same name.)
"""

import torch

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.per_channel import BATCH_NORM, batch_norm_affine, item, why_not_affine

aten = torch.ops.aten


def rewrite_batch_norm(graph: Graph) -> None:
    for norm in graph.calls(BATCH_NORM):
        result = item(norm, 0)
        if result is None or why_not_affine(graph, norm) is not None:
            continue
        channels, axes = shape(norm.args[0])[1], len(shape(norm.args[0]))  # type: ignore[arg-type]
        g, h = batch_norm_affine(graph, norm, channels)
        origin = Provenance(Provenance.of(norm).sources, Provenance.of(norm).path, Provenance.of(result).outputs)
        form = [channels, 1, 1, 1] if axes == 4 else [1, channels, *[1] * (axes - 2)]
        factor = graph.add_constant(g.float().reshape(form), norm)
        addend = graph.add_constant(h.float() if axes == 4 else h.float().reshape(form), norm)
        if axes == 4:
            convolution = (norm.args[0], factor, addend, [1, 1], [0, 0], [1, 1], channels)
            y = graph.call(norm, aten.conv2d.default, convolution, origin)
        else:
            scaled = graph.call(norm, aten.mul.Tensor, (norm.args[0], factor), origin)
            y = graph.call(norm, aten.add.Tensor, (scaled, addend), origin)
        graph.replace(result, y)
        graph.module.graph.erase_node(norm)
