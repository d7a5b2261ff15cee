"""A slice of a concatenation that starts and ends where parts do is those parts.

Networks that improve the channels they appended last (MeliusNet) then add to that part alone, in a layer's epilogue.
"""

from torch import fx

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.views import Concat, Slice, matching
from bittern.export.passes.views.aten import CAT


def slice_concat(graph: Graph) -> None:
    for piece in matching(graph, Slice.match):
        concat = Concat.match(piece.input)
        parts = [] if concat is None or concat.dim != piece.dim else _parts_between(concat, piece.start, piece.end)
        if len(parts) == 1:
            graph.replace(piece.node, parts[0])
        elif parts:
            joined = graph.call(piece.node, CAT, (parts, piece.dim), Provenance.of(piece.node))
            graph.replace(piece.node, joined)


def _parts_between(concat: Concat, first: int, end: int) -> list[fx.Node]:
    """The parts that make up ``[first, end)`` of the axis; none if it starts or ends within one."""
    chosen, at = [], 0
    for part in concat.leaves():
        size = shape(part)[concat.dim]
        if first <= at and at + size <= end:
            chosen.append(part)
        elif at < end and first < at + size:
            return []
        at += size
    return chosen
