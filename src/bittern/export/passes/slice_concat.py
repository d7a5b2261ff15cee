"""A slice of a concatenation that starts and ends where parts do is those parts.

Networks that improve the channels they appended last (MeliusNet) then add to that part alone, in a layer's epilogue.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.distribute_concat import CAT, axis_of, leaves_of

_SLICE = torch.ops.aten.slice.Tensor


def slice_concat(graph: Graph) -> None:
    for node in graph.calls(_SLICE):
        named = arguments(node)
        cat = named["self"]
        if cat.target is not CAT or named["step"] != 1 or axis_of(cat) != named["dim"] % len(shape(cat)):
            continue
        parts = _parts_between(cat, *slice(named["start"], named["end"]).indices(shape(cat)[axis_of(cat)])[:2])
        if not parts:
            continue
        if len(parts) == 1:
            graph.replace(node, parts[0])
        else:
            graph.replace(node, graph.call(node, CAT, (parts, axis_of(cat)), Provenance.of(node)))


def _parts_between(cat: fx.Node, first: int, end: int) -> list[fx.Node]:
    """The parts that make up ``[first, end)`` of the axis; none if it starts or ends within one."""
    chosen, at = [], 0
    for part in leaves_of(cat):
        size = shape(part)[axis_of(cat)]
        if first <= at and at + size <= end:
            chosen.append(part)
        elif at < end and first < at + size:
            return []
        at += size
    return chosen
