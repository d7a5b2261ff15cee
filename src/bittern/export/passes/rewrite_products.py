"""Products of rows with a matrix of signs as the linear layers that they are.

x @ W^T,  mm(x, W^T),  addmm(b, x, W^T)  ->  linear(x, W, b)        where W holds +-s for each of its rows
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.binary import why_not_binary_weight

aten = torch.ops.aten
_OPERANDS: dict[Any, tuple[str, str, str]] = {
    aten.matmul.default: ("self", "other", ""),
    aten.mm.default: ("self", "mat2", ""),
    aten.addmm.default: ("mat1", "mat2", "self"),
}


def rewrite_products(graph: Graph) -> None:
    for node in graph.calls(*_OPERANDS):
        if why_not(graph, node) is not None:
            continue
        x, matrix, bias = _operands(node)
        weight = graph.constant(matrix)
        assert weight is not None
        args = (x, graph.add_constant(weight.t(), node), bias)
        graph.replace(node, graph.call(node, aten.linear.default, args, Provenance.of(node)))


def why_not(graph: Graph, node: fx.Node) -> str | None:
    """None if ``node`` multiplies rows by a constant matrix of signs, and adds a bias at most, else why not."""
    rows, matrix, addend = _operands(node)
    weight, bias, named = graph.constant(matrix), graph.constant(addend), arguments(node)
    if weight is None or weight.dim() != 2 or weight.dtype != torch.float32:
        return "its right operand is no constant matrix"
    if named.get("alpha", 1) != 1 or named.get("beta", 1) != 1 or (addend is not None and bias is None):
        return "what it adds is no bias"
    if bias is not None and bias.shape != weight.shape[1:]:
        return "what it adds is no bias"
    return "its left operand has no rows" if len(shape(rows)) < 2 else why_not_binary_weight(weight.t())


def _operands(node: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node | None]:
    """Rows, matrix, and what is added."""
    named = arguments(node)
    rows, matrix, addend = _OPERANDS[node.target]
    return named[rows], named[matrix], named[addend] if addend else None
