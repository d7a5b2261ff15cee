"""Moves `binarize` behind whatever moves values: signs of moved values are moved signs.

    view(binarize(x)) = binarize(view(x)),   cat(binarize(a), binarize(b)) = binarize(cat(a, b))

Layers then find their input's `binarize` right in front of them, however it was reshaped, split or joined.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.binary import BINARIZE, MAX_POOL
from bittern.export.passes.signs import MOVES

aten = torch.ops.aten


def sink_binarize(graph: Graph) -> None:
    for node in graph.calls(*MOVES, aten.cat.default, MAX_POOL):
        # Pooled signs that go straight to a layer are pooled as bits.
        if node.target is MAX_POOL and not any(user.target in (*MOVES, aten.cat.default) for user in node.users):
            continue
        joined = node.target is aten.cat.default
        inputs = list(node.args[0]) if joined else [node.args[0]]  # type: ignore[arg-type]
        if not all(isinstance(x, fx.Node) and x.target is BINARIZE for x in inputs):
            continue
        if node.meta["val"].dtype != torch.float32:
            continue
        values = [x.args[0] for x in inputs]  # type: ignore[union-attr]
        origin = Provenance.of(node)
        moved = graph.call(
            node,
            node.target,  # type: ignore[arg-type]
            (values if joined else values[0], *node.args[1:]),
            Provenance(origin.sources, origin.path, [None]),
            node.kwargs,
        )
        signs = tuple(source for x in inputs for source in Provenance.of(x).sources)  # type: ignore[arg-type]
        graph.replace(node, graph.call(node, BINARIZE, (moved,), Provenance(signs, origin.path, origin.outputs)))
