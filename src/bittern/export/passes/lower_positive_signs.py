"""Signs that are -1 at 0, where floats are read, without the smallest float32: XNNPACK takes that for 0.

binarize(x - smallest)  ->  -binarize(-x)
"""

import torch

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.signs import BINARIZE, positive_part

aten = torch.ops.aten


def lower_positive_signs(graph: Graph) -> None:
    for node in graph.calls(BINARIZE):
        if (x := positive_part(node)) is None:
            continue
        own = Provenance.of(node)
        negative = graph.call(node, aten.neg.default, (x,), own.auxiliary())
        signs = graph.call(node, BINARIZE, (negative,), own.intermediate())
        graph.replace(node, graph.call(node, aten.neg.default, (signs,), Provenance((), own.path, own.outputs)))
