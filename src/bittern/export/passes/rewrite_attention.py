"""Attention by its equation, as products of stacks of matrices.

softmax(scale * q @ k^T + mask) @ v

ExecuTorch's own form guards against rows of which everything is masked, in five slow operators more than this. So a
mask has to be constant here, and to leave something of every row.
"""

import math
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape
from bittern.export.passes.signs import MOVES

aten = torch.ops.aten
_VIEWS = (aten.view.default, aten._unsafe_view.default)
_MASKED = -1e30
"""exp of it is 0 beside anything, and no product of finite numbers and it is NaN, as one of infinity may be."""


def rewrite_attention(graph: Graph) -> None:
    for node in graph.calls(aten.scaled_dot_product_attention.default):
        named = arguments(node)
        query, key, value = (named[name] for name in ("query", "key", "value"))
        stacks = {shape(x)[:-2] for x in (query, key, value)}
        if len(stacks) != 1 or len(shape(query)) < 3 or named["enable_gqa"] or named["dropout_p"] != 0:
            continue
        mask = _mask(graph, named, shape(query)[-2], shape(key)[-2])
        if mask is not None:
            _replace(graph, node, named, mask)


def _mask(graph: Graph, named: dict[str, Any], rows: int, columns: int) -> Tensor | bool | None:
    """What is added to the scores, ``[rows, columns]``; False for nothing; None where it has another form."""
    if named["is_causal"]:
        allowed: Tensor | None = torch.ones(rows, columns, dtype=torch.bool).tril()
    elif named["attn_mask"] is None:
        return False
    else:
        allowed = graph.constant(named["attn_mask"])
    if allowed is None or allowed.numel() != math.prod(allowed.shape[-2:]):
        return None
    added = torch.zeros(allowed.shape).masked_fill(~allowed, _MASKED) if allowed.dtype == torch.bool else allowed
    added = added.float().clamp_min(_MASKED).reshape(allowed.shape[-2:]).expand(rows, columns)
    return added if bool((added > _MASKED).any(1).all()) else None


def _replace(graph: Graph, node: fx.Node, named: dict[str, Any], mask: Tensor | bool) -> None:
    part = Provenance.of(node).intermediate()

    def call(target: Any, *args: Any) -> fx.Node:
        return graph.call(node, target, args, part)

    operands = (named[name] for name in ("query", "key", "value"))
    query, key, value = (
        x if len(shape(x)) == 3 else call(aten.reshape.default, x, [-1, *shape(x)[-2:]]) for x in operands
    )
    scale = 1 / math.sqrt(shape(query)[-1]) if named["scale"] is None else named["scale"]
    scores = call(aten.bmm.default, call(aten.mul.Tensor, query, scale), call(aten.permute.default, key, [0, 2, 1]))
    if isinstance(mask, Tensor):
        scores = call(aten.add.Tensor, scores, graph.add_constant(mask.unsqueeze(0), node))
    result = call(aten.bmm.default, call(aten.softmax.int, scores, -1), value)
    if len(shape(node)) > 3:
        result = call(aten.view.default, result, view_shape(node))
    Provenance.of(node).attach(result)
    graph.replace(node, result)
    _free_views(result)


def _free_views(node: fx.Node) -> None:
    """Lets views that lie behind ``node`` copy: PyTorch's attention gives heads in an order of memory of its own."""
    for user in node.users:
        if user.target in _VIEWS:
            user.target = aten.reshape.default
        elif user.target in MOVES:
            _free_views(user)
