"""Concatenations of concatenations that nothing else reads become one."""

from bittern.export.graph import Graph, Provenance, sole_user
from bittern.export.passes.views import Concat, matching
from bittern.export.passes.views.aten import CAT

_MAX_PARTS = 5
"""Of one concatenation, for XNNPACK to take it."""


def merge_concats(graph: Graph) -> None:
    for concat in reversed(list(matching(graph, Concat.match))):
        outer = Concat.match(sole_user(concat.node))
        leaves = concat.leaves(sole=True)
        if (outer is not None and outer.dim == concat.dim) or len(leaves) == len(concat.parts):
            continue
        provenance = Provenance.of(concat.node)
        while len(leaves) > _MAX_PARTS:
            groups = [leaves[i : i + _MAX_PARTS] for i in range(0, len(leaves), _MAX_PARTS)]
            inner = provenance.intermediate()
            leaves = [graph.call(concat.node, CAT, (g, concat.dim), inner) if len(g) > 1 else g[0] for g in groups]
        graph.replace(concat.node, graph.call(concat.node, CAT, (leaves, concat.dim), provenance))
