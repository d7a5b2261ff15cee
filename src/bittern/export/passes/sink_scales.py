"""Moves factors and addends of signs behind whatever moves the signs, where layers take them into their weights.

view(a * binarize(x) + b) = a * view(binarize(x)) + b,      cat alike for the same a and b;  max pooling for a > 0
"""

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.signs import MOVES, holds_signs
from bittern.export.passes.split_sets import scaling
from bittern.export.passes.views.aten import MAX_POOL

aten = torch.ops.aten


@dataclass(frozen=True)
class _Scaled:
    """``signs * a + b``."""

    signs: fx.Node
    a: float
    b: float


def sink_scales(graph: Graph) -> None:
    for node in graph.calls(*MOVES, MAX_POOL):
        tensors = [x for x in node.all_input_nodes if isinstance(x.meta.get("val"), Tensor)]
        found = {x: _scaled(graph, x) for x in tensors}
        scaled = [each for each in found.values() if each is not None]
        if why_not(node, scaled, len(found)) is not None:
            continue
        own, a, b = Provenance.of(node), scaled[0].a, scaled[0].b
        moved = {x: x if each is None else each.signs for x, each in found.items()}
        moved |= {x: x for x in node.all_input_nodes if x not in moved}  # sizes
        args, kwargs = fx.map_arg((node.args, node.kwargs), moved.__getitem__)
        result = graph.call(node, node.target, args, own.intermediate(), kwargs)
        if a != 1:
            provenance = Provenance((), own.path, own.outputs if b == 0 else [None])
            result = graph.call(node, aten.mul.Tensor, (result, a), provenance)
        if b != 0:
            result = graph.call(node, aten.add.Tensor, (result, b), Provenance((), own.path, own.outputs))
        graph.replace(node, result)


def why_not(node: fx.Node, scaled: list[_Scaled], operands: int) -> str | None:
    """None if ``node`` moves or pools scaled signs alone, all with one factor and addend, else why not."""
    if not scaled or len(scaled) < operands or node.meta["val"].dtype != torch.float32:
        return "it moves other values than scaled signs"
    if len({(each.a, each.b) for each in scaled}) > 1:
        return "it joins signs of different scales"
    if node.target is MAX_POOL and scaled[0].a <= 0:
        return "the largest value is that of the lower sign"
    return None


def _scaled(graph: Graph, x: fx.Node) -> _Scaled | None:
    """None where nothing scales or shifts the signs."""
    a, b, signs = 1.0, 0.0, x
    while not holds_signs(signs):
        if (step := scaling(graph, signs)) is None:
            return None
        a, b, signs = a * step.a, a * step.b + b, step.signs
    return _Scaled(signs, a, b) if signs is not x else None
