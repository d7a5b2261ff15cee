"""Integers that a network gives: where one differs, was it a tie that rounding errors decide?

The index of the largest value may become another where two values are as large; a comparison may turn where both sides
are equal. How far the values lie apart is what `verify` compares with its margin.
"""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import arguments
from bittern.export.verify.differences import largest_of

aten = torch.ops.aten
_SAME = (
    *(aten.view.default, aten._unsafe_view.default, aten.reshape.default, aten.unsqueeze.default),
    *(aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims),
    *(aten.clone.default, aten.alias.default, aten.detach.default, aten._to_copy.default),
)
"""The same numbers in the same order."""
_ARG = (aten.argmax.default, aten.argmin.default)
_WITH_INDICES = (aten.max.dim, aten.min.dim, aten.topk.default, aten.sort.default)
_COMPARISONS = tuple(
    getattr(getattr(aten, name), overload)
    for name in ("gt", "ge", "lt", "le", "eq", "ne")
    for overload in ("Tensor", "Scalar")
)


def read_by(node: fx.Node) -> set[str]:
    """The nodes whose values `distances` needs."""
    source = _decision(node)
    return {each.name for each in source.all_input_nodes} if source is not None else set()


def distances(node: fx.Node, actual: Tensor, expected: Tensor, values: Mapping[str, Any]) -> Tensor:
    """How far apart the values lie between which ``node`` decides, as a share of the largest, in ``actual``'s shape.

    0 where ``actual`` is as expected, infinity where no decision explains that it is not.
    """
    different = actual != expected
    unexplained = torch.where(different, torch.inf, 0.0)
    source = _decision(node)
    if source is None:
        return unexplained
    named = arguments(source)
    operands = [values[x.name][: len(actual)] if isinstance(x, fx.Node) else x for x in _operands(source, named)]
    if source.target in _COMPARISONS:
        left, right = (torch.as_tensor(operand, dtype=torch.float64) for operand in operands)
        apart, scale = (left - right).abs(), max(largest_of(left), largest_of(right))
        if apart.numel() != actual.numel():
            return unexplained
    else:
        (x,), dim = operands, named["dim"]
        if dim is None or not x.is_floating_point():
            return unexplained
        kept = list(x.shape)
        kept[dim] = actual.numel() * kept[dim] // x.numel()
        indices = [index.long().reshape(kept) for index in (actual, expected)]
        if any(bool(((index < 0) | (index >= x.shape[dim])).any()) for index in indices):
            return unexplained
        ours, theirs = (x.gather(dim, index) for index in indices)
        apart, scale = (ours - theirs).abs(), largest_of(x)
    found = (apart / scale).nan_to_num(nan=torch.inf, posinf=torch.inf).float().reshape(actual.shape)
    return torch.where(different, found, 0.0)


def _decision(node: fx.Node) -> fx.Node | None:
    """The call that decides about the integers of ``node``; None if it is not known."""
    while node.target in _SAME:
        source = node.all_input_nodes[0]
        if source.meta["val"].dtype.is_floating_point:
            return None
        node = source
    if node.target is operator.getitem:
        source = node.all_input_nodes[0]
        return source if source.target in _WITH_INDICES and node.args[1] == 1 else None
    return node if node.target in (*_ARG, *_COMPARISONS) else None


def _operands(node: fx.Node, named: Mapping[str, Any]) -> list[Any]:
    return [named["self"], named["other"]] if node.target in _COMPARISONS else [named["self"]]
