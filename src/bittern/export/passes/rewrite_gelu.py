"""The approximate GELU by its equation: XNNPACK computes the exact one whatever the argument says.

gelu(x) = x * (1/2 + 1/2 * tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
"""

import math

import torch

from bittern.export.graph import Graph, Provenance, arguments

aten = torch.ops.aten
_FACTOR, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def rewrite_gelu(graph: Graph) -> None:
    for node in graph.calls(aten.gelu.default):
        named, own = arguments(node), Provenance.of(node)
        if named["approximate"] != "tanh":
            continue
        x, part = named["self"], own.intermediate()
        square = graph.call(node, aten.mul.Tensor, (x, x), part)
        factor = graph.call(node, aten.mul.Tensor, (square, _FACTOR * _CUBIC), part)
        slope = graph.call(node, aten.add.Tensor, (factor, _FACTOR), part)
        tanh = graph.call(node, aten.tanh.default, (graph.call(node, aten.mul.Tensor, (x, slope), part),), part)
        half = graph.call(node, aten.mul.Tensor, (x, 0.5), part)
        share = graph.call(node, aten.mul.Tensor, (half, tanh), part)
        graph.replace(node, graph.call(node, aten.add.Tensor, (half, share), own))
