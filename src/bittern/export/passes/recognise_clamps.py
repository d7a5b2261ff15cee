"""Clamps that are spelled as choices: `where(x > c, c, x)` is `clamp(x, max=c)`, with NaN as it is.

The bound is one number, in whichever shape that leaves the shape of `x`.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape

aten = torch.ops.aten

_ABOVE = (aten.gt.Scalar, aten.ge.Scalar, aten.gt.Tensor, aten.ge.Tensor)
_BELOW = (aten.lt.Scalar, aten.le.Scalar, aten.lt.Tensor, aten.le.Tensor)


def recognise_clamps(graph: Graph) -> None:
    for node in graph.calls(aten.where.self, aten.where.ScalarSelf):
        if (found := _bound(graph, node)) is not None:
            x, end, bound = found
            own = Provenance.of(node).behind(*Provenance.of(node.all_input_nodes[0]).sources)
            graph.replace(node, graph.call(node, aten.clamp.default, (x,), own, {end: bound}))


def _bound(graph: Graph, node: fx.Node) -> tuple[fx.Node, str, float] | None:
    """What is clamped, ``"min"`` or ``"max"``, and the bound."""
    condition, chosen, x = node.args
    assert isinstance(condition, fx.Node)
    assert isinstance(x, fx.Node)
    if condition.target not in (*_ABOVE, *_BELOW) or condition.args[0] is not x or shape(x) != shape(node):
        return None
    number, bound = _number(graph, condition.args[1]), _number(graph, chosen)
    if bound is None or number != bound or x.meta["val"].dtype != torch.float32:
        return None
    return x, "max" if condition.target in _ABOVE else "min", bound


def _number(graph: Graph, value: object) -> float | None:
    if isinstance(value, int | float):
        return float(torch.tensor(float(value)))  # as torch compares it
    constant = graph.constant(value)
    return None if constant is None or constant.numel() != 1 else float(constant)
