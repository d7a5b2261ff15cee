"""Rounding of numbers that are known to be small as two additions: XNNPACK has no `round`.

round(x) = (x + c) - c,   c = 1.5 * 2^23        for |x| <= 2^22: float32 has no fractions around c, ties go to even
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.views import Clamp, PackedLayer

aten = torch.ops.aten
_SHIFT = 1.5 * 2**23
_LARGEST = 2**22
_CLAMPS = (["dot_min", "dot_max"], ["act_min", "act_max"])


def rewrite_round(graph: Graph) -> None:
    for node in graph.calls(aten.round.default):
        source, provenance = node.all_input_nodes[0], Provenance.of(node)
        if (bound := bound_of(graph, source)) is None or bound > _LARGEST:
            continue
        up = graph.call(node, aten.add.Tensor, (source, _SHIFT), provenance)
        graph.replace(node, graph.call(node, aten.sub.Tensor, (up, _SHIFT), provenance))


def bound_of(graph: Graph, value: object) -> float | None:
    """A bound of the absolute values of a node or number; None where nothing is known."""
    if isinstance(value, (int, float)):
        return abs(float(value))
    if not isinstance(value, fx.Node):
        return None
    if (constant := graph.constant(value)) is not None:
        return float(constant.abs().max()) if constant.numel() else None
    if value.target in (aten.sigmoid.default, aten.tanh.default):
        return 1.0
    if (layer := PackedLayer.match(value)) is not None:
        # The clamp may have become the last step of a layer's epilogue.
        last = list(layer.epilogue)[-2:]
        return max(abs(float(layer.epilogue[end])) for end in last) if last in _CLAMPS else None
    if (clamp := Clamp.match(value)) is not None and clamp.low is not None and clamp.high is not None:
        return max(abs(clamp.low), abs(clamp.high))
    if value.target in (aten.mul.Tensor, aten.add.Tensor, aten.sub.Tensor) and not value.kwargs:
        left, right = (bound_of(graph, argument) for argument in value.args[:2])
        if left is None or right is None:
            return None
        return left * right if value.target is aten.mul.Tensor else left + right
    return None
