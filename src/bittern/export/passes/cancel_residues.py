"""What straight-through estimators leave behind: a - c + c is a.

    hard.detach() - soft.detach() + soft  ->  hard,     x + (sign(x) - x).detach()  ->  sign(x)

In float arithmetic `a - c + c` is `a` up to a rounding of c's size; `a` is the value that was meant. So a number, or a
constant of one value, cancels nothing: `x + c - c` with a large c is a way to round x.
"""

from itertools import combinations

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.fold_constants import constant_value
from bittern.export.passes.value_numbers import ValueNumbers

aten = torch.ops.aten
NOTE = "a - c + c is taken as a, without the rounding between"

_SUMS = (aten.add.Tensor, aten.sub.Tensor)
Term = tuple[int, fx.Node]
"""A summand with its sign, +1 or -1."""


def cancel_residues(graph: Graph) -> None:
    if len(graph.calls(*_SUMS)) < 2:
        return
    numbers = ValueNumbers(graph)
    for node in graph.calls(*_SUMS):
        rest = None if _terms(node) is None else _cancelled(graph, numbers, node)
        if rest is None:
            continue
        graph.note(node, NOTE)
        graph.replace(node, _sum(graph, node, rest))


def _terms(node: fx.Node) -> list[Term] | None:
    """The two summands of a sum of tensors that have its shape; None for anything else."""
    if node.target not in _SUMS or arguments(node)["alpha"] != 1:
        return None
    left, right = node.args[:2]
    value = node.meta["val"]
    for operand in (left, right):
        if not isinstance(operand, fx.Node) or not isinstance(operand.meta["val"], torch.Tensor):
            return None
        if shape(operand) != shape(node) or operand.meta["val"].dtype != value.dtype or not value.is_floating_point():
            return None
    assert isinstance(left, fx.Node)
    assert isinstance(right, fx.Node)
    return [(1, left), (1 if node.target is aten.add.Tensor else -1, right)]


def _cancelled(graph: Graph, numbers: ValueNumbers, node: fx.Node) -> list[Term] | None:
    """The summands of ``node`` that are left where two cancel; None where none do, or nothing would be left."""
    terms = _terms(node)
    assert terms is not None
    left, right = terms
    for summands in ([*_expanded(left), right], [left, *_expanded(right)], [*_expanded(left), *_expanded(right)]):
        for (i, (sign, term)), (j, (other_sign, other)) in combinations(enumerate(summands), 2):
            if sign == -other_sign and numbers.of(term) == numbers.of(other) and _varies(graph, term):
                rest = [each for k, each in enumerate(summands) if k not in (i, j)]
                if rest and max(map(_sign, rest)) == 1:
                    return sorted(rest, reverse=True, key=_sign)
    return None


def _expanded(term: Term) -> list[Term]:
    sign, node = term
    return [(sign * inner_sign, inner) for inner_sign, inner in _terms(node) or [(1, node)]]


def _sign(term: Term) -> int:
    return term[0]


def _varies(graph: Graph, node: fx.Node) -> bool:
    """Whether ``node`` is computed from the input, or a constant of several values."""
    value = constant_value(graph, node)
    return value is None or bool((value != value.flatten()[0]).any())


def _sum(graph: Graph, node: fx.Node, rest: list[Term]) -> fx.Node:
    """The sum of one or two ``rest``, of which the first is added."""
    (_, first), *others = rest
    for sign, term in others:
        first = graph.call(node, _SUMS[0] if sign == 1 else _SUMS[1], (first, term), Provenance.of(node))
    return first
