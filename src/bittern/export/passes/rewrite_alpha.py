"""Factors that arithmetic and matrix products take as arguments, as products: XNNPACK does not see the arguments.

x + alpha * y        x - alpha * y        alpha * y - x        beta * x + alpha * (a @ b)
"""

from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import Target

from bittern.export.graph import Graph, Provenance, arguments, shape

aten = torch.ops.aten
_SUMS = (aten.add.Tensor, aten.sub.Tensor)
_PRODUCTS: dict[Target, tuple[str, str, Any]] = {
    aten.addmm.default: ("mat1", "mat2", aten.mm.default),
    aten.baddbmm.default: ("batch1", "batch2", aten.bmm.default),
}


def rewrite_alpha(graph: Graph) -> None:
    for node in graph.calls(*_SUMS):
        named = arguments(node)
        if named["alpha"] != 1:
            _replace_sum(graph, node, named["self"], named["other"], named["alpha"])
    for node in graph.calls(aten.rsub.Scalar, aten.rsub.Tensor):
        named = arguments(node)
        if named["alpha"] != 1:
            _replace_reversed(graph, node, named)
    for node in graph.calls(*_PRODUCTS):
        named = arguments(node)
        left, right, target = _PRODUCTS[node.target]
        if (linear := _as_linear(graph, node, named)) is not None:
            graph.replace(node, linear)
        elif not _is_plain(named):
            _replace_product(graph, node, named, target, (named[left], named[right]))


def _times(graph: Graph, node: fx.Node, value: Any, factor: float) -> Any:
    """``value * factor``, in front of ``node``; a number where both are."""
    if factor == 1 or not isinstance(value, fx.Node):
        return value if factor == 1 else value * factor
    return graph.call(node, aten.mul.Tensor, (value, float(factor)), Provenance.of(node).intermediate())


def _replace_sum(graph: Graph, node: fx.Node, x: Any, y: Any, alpha: float) -> None:
    args = (x, _times(graph, node, y, alpha))
    graph.replace(node, graph.call(node, node.target, args, Provenance.of(node)))


def _replace_reversed(graph: Graph, node: fx.Node, named: dict[str, Any]) -> None:
    """rsub(x, y, alpha) = y - alpha * x."""
    x, y, own = named["self"], named["other"], Provenance.of(node)
    scaled = _times(graph, node, x, named["alpha"])
    if isinstance(y, fx.Node):
        graph.replace(node, graph.call(node, aten.sub.Tensor, (y, scaled), own))
    else:
        graph.replace(node, graph.call(node, aten.rsub.Scalar, (scaled, y), own))


def _is_plain(named: dict[str, Any]) -> bool:
    """Whether XNNPACK computes it: no factors, and a bias for each column or none at all."""
    columns = shape(named["mat2" if "mat2" in named else "batch2"])[-1]
    return bool(named["alpha"] == 1 and named["beta"] == 1 and shape(named["self"]) == (columns,))


def _as_linear(graph: Graph, node: fx.Node, named: dict[str, Any]) -> fx.Node | None:
    """A product with a constant matrix and a constant row added, as a linear layer with factors in its constants."""
    if node.target is not aten.addmm.default or _is_plain(named):
        return None
    bias, weight = graph.constant(named["self"]), graph.constant(named["mat2"])
    if bias is None or weight is None or bias.numel() not in (1, weight.shape[1]) or _has_rows(bias):
        return None
    row = torch.zeros(weight.shape[1]) if named["beta"] == 0 else bias.reshape(-1) * named["beta"]
    constants: tuple[Tensor, ...] = (weight.t() * named["alpha"], row.expand(weight.shape[1]))
    args = (named["mat1"], *(graph.add_constant(value, node) for value in constants))
    return graph.call(node, aten.linear.default, args, Provenance.of(node))


def _has_rows(bias: Tensor) -> bool:
    return bias.dim() == 2 and bias.shape[0] > 1


def _replace_product(
    graph: Graph, node: fx.Node, named: dict[str, Any], target: Any, factors: tuple[fx.Node, fx.Node]
) -> None:
    own = Provenance.of(node)
    product = graph.call(node, target, factors, own.intermediate())
    scaled = _times(graph, node, product, named["alpha"])
    if named["beta"] == 0:  # then even NaN is left out
        own.attach(scaled)
        graph.replace(node, scaled)
        return
    addend = _times(graph, node, named["self"], named["beta"])
    graph.replace(node, graph.call(node, aten.add.Tensor, (scaled, addend), own))
