"""Clamps that XNNPACK's conversion gets wrong, in forms that it gets right.

Behind a layer or a sum it makes a clamp part of it and, of two clamps in a row, keeps the bounds of the second alone:
they become one. A clamp to a single value it refuses: minimum and maximum do not.
"""

import math

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, sole_user
from bittern.export.passes.views import Clamp

aten = torch.ops.aten
_FUSED = (aten.relu.default, aten.relu6.default, aten.hardtanh.default)
_CLAMPS = (*_FUSED, aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default)


def rewrite_clamp(graph: Graph) -> None:
    for node in graph.calls(*_FUSED):
        outer = Clamp.match(node)
        inner = None if outer is None else Clamp.match(outer.input)
        if outer is None or inner is None or inner.node.target not in _FUSED or sole_user(inner.node) is not node:
            continue
        low, high = (_clamped(end, outer) for end in _bounds(inner))
        sources = Provenance.of(inner.node).absorb(node)
        graph.replace(node, graph.call(node, aten.hardtanh.default, (inner.input, low, high), sources))
    for node in graph.calls(*_CLAMPS):
        clamp = Clamp.match(node)
        if clamp is None:
            continue
        low, high = _bounds(clamp)
        if low >= high:
            _replace_by_extrema(graph, node, clamp.input, low, high)
        elif node.target is aten.hardtanh.default and arguments(node)["max_val"] == 1 and low != -1:
            # Torch leaves out arguments of their default value, and the conversion reads both or none.
            graph.replace(node, graph.call(node, aten.clamp.default, (clamp.input, low, high), Provenance.of(node)))


def _bounds(clamp: Clamp) -> tuple[float, float]:
    low = -math.inf if clamp.low is None else clamp.low
    return low, math.inf if clamp.high is None else clamp.high


def _clamped(value: float, clamp: Clamp) -> float:
    low, high = _bounds(clamp)
    return min(max(value, low), high)


def _replace_by_extrema(graph: Graph, node: fx.Node, x: fx.Node, low: float, high: float) -> None:
    own = Provenance.of(node)
    lower, upper = (graph.add_constant(torch.full((1,), end), node) for end in (low, high))
    raised = graph.call(node, aten.maximum.default, (x, lower), own.intermediate())
    graph.replace(node, graph.call(node, aten.minimum.default, (raised, upper), own))
