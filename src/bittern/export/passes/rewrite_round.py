"""Rounding of numbers that are known to be small as two additions, which XNNPACK takes where it does not take `round`.

round(x) = (x + c) - c,   c = 1.5 * 2^23        for |x| <= 2^22: float32 has no fractions around c, ties go to even
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments
from bittern.export.passes.absorb_epilogue import LAYERS
from bittern.export.passes.per_channel import clamp_bounds
from bittern.ops import epilogue

aten = torch.ops.aten
_SHIFT = 1.5 * 2**23
_MOST = 2**22
_CLAMPS = (["dot_min", "dot_max"], ["act_min", "act_max"])


def rewrite_round(graph: Graph) -> None:
    for node in graph.calls(aten.round.default):
        source = node.args[0]
        if not isinstance(source, fx.Node) or (bound := largest(graph, source)) is None or bound > _MOST:
            continue
        origin = Provenance.of(node)
        up = graph.call(node, aten.add.Tensor, (source, _SHIFT), origin)
        graph.replace(node, graph.call(node, aten.sub.Tensor, (up, _SHIFT), origin))


def largest(graph: Graph, node: Any) -> float | None:
    """A bound of the absolute values of ``node``; None where nothing is known."""
    if isinstance(node, (int, float)):
        return abs(float(node))
    if not isinstance(node, fx.Node):
        return None
    if (constant := graph.constant(node)) is not None:
        return float(constant.abs().max()) if constant.numel() else None
    if node.op != "call_function":
        return None
    if node.target in (aten.sigmoid.default, aten.tanh.default):
        return 1.0
    if not hasattr(node.target, "_schema"):
        return None
    if node.target in LAYERS:
        # The clamp may have become the last step of a layer's epilogue.
        given = [field for field in epilogue.FIELDS if node.kwargs.get(field) is not None]
        ends = [node.kwargs[field] for field in given[-2:]]
        return max(abs(float(end)) for end in ends) if given[-2:] in _CLAMPS else None  # type: ignore[arg-type]
    bounds = clamp_bounds(node, arguments(node))
    if bounds is not None and None not in bounds:
        return max(abs(bound) for bound in bounds if bound is not None)
    if node.target in (aten.mul.Tensor, aten.add.Tensor, aten.sub.Tensor):
        left, right = (largest(graph, argument) for argument in node.args[:2])
        if left is None or right is None:
            return None
        return left * right if node.target is aten.mul.Tensor else left + right
    return None
