"""Functions of one tensor that take few values, in whichever operators they are spelled.

Comparisons, signs and roundings cut the numbers at a few places. What is computed from their results and from numbers
alone is constant between the cuts, so a handful of samples tells the whole function, exactly.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, arguments, shape
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.views.aten import Clamp

aten = torch.ops.aten

_COMPARISONS = tuple(
    getattr(getattr(aten, name), form) for name in ("lt", "le", "gt", "ge", "eq", "ne") for form in ("Scalar", "Tensor")
)
_SIGNS = (aten.sign.default, aten.sgn.default, aten.signbit.default, aten.heaviside.default, BINARIZE)
_ROUNDINGS = (aten.round.default, aten.floor.default, aten.ceil.default, aten.trunc.default)
_POINTWISE = (
    aten.where.self,
    aten.where.ScalarOther,
    aten.where.ScalarSelf,
    aten.where.Scalar,
    aten.masked_fill.Scalar,
    aten.masked_fill.Tensor,
    aten.index_put.default,
    aten._to_copy.default,
    aten.clone.default,
    aten.detach.default,
    aten.alias.default,
    aten.hardtanh.default,
    aten.relu6.default,
    aten.prelu.default,
)
"""One number in, one number out, though torch does not tag all of them so."""
_FILLS = {
    aten.ones_like.default: 1,
    aten.zeros_like.default: 0,
    aten.full_like.default: "fill_value",
    aten.ones.default: 1,
    aten.zeros.default: 0,
    aten.full.default: "fill_value",
    aten.scalar_tensor.default: "s",
    aten.new_ones.default: 1,
    aten.new_zeros.default: 0,
    aten.new_full.default: "fill_value",
}
"""Operators that fill a tensor with a number, or with the argument of that name."""
_MEMORY = ("memory_format", "layout", "device", "pin_memory", "non_blocking")
_MOST_CUTS = 8


@dataclass(frozen=True)
class CutValue:
    """What is cut: ``x``, or ``x - y`` where ``y`` is given, which is never computed."""

    x: fx.Node
    y: fx.Node | None = None


@dataclass(frozen=True)
class _Cut:
    """What is known of a node: the one source that it is cut from, and where. No source: it is the number ``value``."""

    source: CutValue | None
    cuts: frozenset[float] = frozenset()
    value: Tensor | None = None
    respelled: bool = True


@dataclass(frozen=True)
class Sign:
    """``low`` where ``source < cut``, ``high`` where it is above, ``at_cut`` where it equals ``cut``.

    ``at_cut``: None where -0.0 and +0.0 differ. ``at_nan``: for NaN. ``operator``: the one that cuts. ``respelled``: it
    is more than `binarize` and arithmetic. ``nodes``: those that compute it, in order.
    """

    node: fx.Node
    source: CutValue
    cut: float
    low: float
    high: float
    at_cut: float | None
    at_nan: float
    operator: fx.Node
    respelled: bool
    nodes: tuple[fx.Node, ...]


class StepFunctions:
    """All nodes of ``graph`` that take finitely many values, as functions of what they are cut from."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[fx.Node, _Cut | None] = {}
        for node in graph.module.graph.nodes:
            self._known[node] = self._look(node)

    def sign(self, node: fx.Node) -> Sign | None:
        """``node`` as a function of two values with one cut; None for anything else."""
        known = self._known.get(node)
        if known is None or known.source is None or not _is_float(node):
            return None
        nodes = self._expression(node)
        points = sorted(known.cuts)
        low, high = _bounds(known.source)
        between = [
            points[0] - 1 - abs(points[0]),
            *(a / 2 + b / 2 for a, b in pairwise(points)),
            points[-1] + 1 + abs(points[-1]),
        ]
        regions = [min(max(value, low), high) for value in between]
        samples = torch.tensor([*regions, *points, -0.0, math.nan], dtype=torch.float32)
        try:
            values = self._evaluate(nodes, known.source, samples)
        except Exception:  # an operator that does not take a row of numbers
            return None
        if values.shape != samples.shape:
            return None
        found: list[float] = values.tolist()
        return self._as_sign(node, known, found, points, nodes)

    def _as_sign(
        self, node: fx.Node, known: _Cut, found: list[float], points: list[float], nodes: tuple[fx.Node, ...]
    ) -> Sign | None:
        count = len(points)
        regions, at_points, at_negative_zero, at_nan = found[: count + 1], found[count + 1 : -2], found[-2], found[-1]
        first, last = regions[0], regions[-1]
        switch = next((i for i, value in enumerate(regions) if value != first), None)
        if switch is None or any(value != last for value in regions[switch:]) or not math.isfinite(first + last):
            return None
        at = switch - 1
        if any(value != regions[i] for i, value in enumerate(at_points) if i != at):
            return None
        value: float | None = at_points[at]
        if 0.0 in points and not _same(at_negative_zero, at_points[points.index(0.0)]):
            if points[at] != 0:
                return None
            value = None
        assert known.source is not None
        operator = next(each for each in nodes if self._cuts(each))
        return Sign(node, known.source, points[at], first, last, value, at_nan, operator, known.respelled, nodes)

    def _cuts(self, node: fx.Node) -> bool:
        """Whether the operands of ``node`` are not cut yet."""
        return any(self._known[x] is None for x in node.all_input_nodes)

    def _expression(self, node: fx.Node) -> tuple[fx.Node, ...]:
        """The nodes that compute ``node`` from its source, in order."""
        found, waiting = {node}, [node]
        while waiting:
            for x in waiting.pop().all_input_nodes:
                known = self._known[x]
                if x not in found and known is not None and known.source is not None:
                    found.add(x)
                    waiting.append(x)
        return tuple(sorted(found))

    def _evaluate(self, nodes: tuple[fx.Node, ...], source: CutValue, samples: Tensor) -> Tensor:
        values: dict[fx.Node, Tensor] = {}

        def operand(x: fx.Node) -> Any:
            if x in values:
                return values[x]
            known = self._known[x]
            if known is not None and known.value is not None:
                return known.value
            if source.y is not None:
                # x against y is x - y against 0.
                return samples if x is source.x else torch.zeros_like(samples)
            return samples if x is source.x else samples.abs()

        for node in nodes:
            args, kwargs = fx.map_arg((node.args, node.kwargs), operand)
            kwargs = {name: value for name, value in kwargs.items() if name not in _MEMORY}
            target: Any = node.target
            if target is aten.index_put.default:  # which does not broadcast what it writes into
                into: Any = args[0]
                args = (into.expand(samples.shape), *args[1:])
            values[node] = target(*args, **kwargs)
        return values[nodes[-1]]

    def _look(self, node: fx.Node) -> _Cut | None:
        if (constant := self._graph.constant(node)) is not None:
            return _number(constant)
        if node.op != "call_function" or not isinstance(node.meta.get("val"), Tensor):
            return None
        if node.target in _FILLS:
            fill = _FILLS[node.target]
            number = arguments(node)[fill] if isinstance(fill, str) else fill
            return _Cut(None, value=torch.tensor(number, dtype=node.meta["val"].dtype))
        if (cut := self._look_at_cut(node)) is not None:
            return cut
        if not _is_pointwise(node):
            return None
        known = [each for x in node.all_input_nodes if (each := self._known[x]) is not None]
        if len(known) < len(node.all_input_nodes):
            return None
        sources = {each.source for each in known if each.source is not None}
        if not sources:
            return self._number_of(node)
        if len(sources) > 1:
            return None
        cuts = frozenset().union(*(each.cuts for each in known))
        spelled = any(each.respelled for each in known if each.source is not None)
        return _Cut(next(iter(sources)), cuts, None, spelled) if len(cuts) <= _MOST_CUTS else None

    def _number_of(self, node: fx.Node) -> _Cut | None:
        """Of arithmetic with numbers alone, some of them in tensors that are filled with one."""
        args, kwargs = fx.map_arg((node.args, node.kwargs), self._value)
        target: Any = node.target
        return _number(target(*args, **{name: each for name, each in kwargs.items() if name not in _MEMORY}))

    def _value(self, x: fx.Node) -> Tensor | None:
        known = self._known[x]
        return None if known is None else known.value

    def _look_at_cut(self, node: fx.Node) -> _Cut | None:
        """Of an operator that makes few values of many."""
        reals = [x for x in node.all_input_nodes if self._known[x] is None]
        if not reals or not all(map(self._is_real, reals)):
            return None
        if node.target in _COMPARISONS:
            return self._compared(node, reals)
        if node.target in _SIGNS and reals == [node.args[0]]:
            return _Cut(CutValue(reals[0]), frozenset({0.0}), None, node.target is not BINARIZE)
        if node.target is aten.copysign.Tensor and reals == [node.args[1]]:
            return _Cut(CutValue(reals[0]), frozenset({0.0}))
        if node.target is aten.div.Tensor and (x := _over_its_size(node)) is not None:
            return _Cut(CutValue(x), frozenset({0.0}))
        if node.target in _ROUNDINGS and (cuts := _rounded(node)) is not None:
            return _Cut(CutValue(reals[0]), cuts)
        return None

    def _is_real(self, x: fx.Node) -> bool:
        constant = self._graph.constant(x)
        return _is_float(x) if constant is None else constant.dtype == torch.float32

    def _compared(self, node: fx.Node, reals: list[fx.Node]) -> _Cut | None:
        left, right = node.args[:2]
        if len(reals) == 2:
            assert isinstance(left, fx.Node)
            assert isinstance(right, fx.Node)
            return _Cut(CutValue(left, right), frozenset({0.0}))
        other = right if left is reals[0] else left
        if isinstance(other, fx.Node):
            known = self._known[other]
            other = None if known is None or known.value is None else known.value.item()
        if not isinstance(other, (int, float)) or not math.isfinite(other):
            return None
        # As torch: a number is compared in the precision of the tensor. Adding 0 makes +0.0 of -0.0.
        return _Cut(CutValue(reals[0]), frozenset({float(torch.tensor(float(other), dtype=torch.float32)) + 0.0}))


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _number(constant: Tensor) -> _Cut | None:
    """A constant of one value as that number, whatever its shape."""
    if constant.numel() == 0 or bool((constant != constant.flatten()[0]).any()):
        return None
    return _Cut(None, value=constant.flatten()[0])


def _is_pointwise(node: fx.Node) -> bool:
    if node.target is aten.index_put.default:  # x[mask] = number
        named = arguments(node)
        index = named["indices"][0]
        same = isinstance(index, fx.Node) and shape(index) == shape(node)
        return same and index.meta["val"].dtype == torch.bool and not named["accumulate"]
    return torch.Tag.pointwise in getattr(node.target, "tags", ()) or node.target in _POINTWISE


def _is_float(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor) and node.meta["val"].dtype == torch.float32


def _over_its_size(node: fx.Node) -> fx.Node | None:
    """x of ``x / abs(x)`` and of ``abs(x) / x``."""
    left, right = node.args[:2]
    for x, size in ((left, right), (right, left)):
        if isinstance(size, fx.Node) and size.target is aten.abs.default and size.args[0] is x:
            return size.all_input_nodes[0]
    return None


def _rounded(node: fx.Node) -> frozenset[float] | None:
    """Where the rounding ``node`` cuts its input, whose values are bounded by a clamp in front of it or behind it."""
    clamp = Clamp.match(node.args[0])
    margin = 0.0
    if clamp is None:
        clamps = [Clamp.match(user) for user in node.users]
        clamp = clamps[0] if len(clamps) == 1 else None
        margin = 1.0
    if clamp is None or clamp.low is None or clamp.high is None or clamp.high - clamp.low > _MOST_CUTS - 2:
        return None
    half = 0.5 if node.target is aten.round.default else 0.0
    first, last = math.floor(clamp.low - margin), math.ceil(clamp.high + margin)
    low, high = clamp.low - margin, clamp.high + margin
    cuts = frozenset(k + half for k in range(first, last + 1) if low <= k + half <= high)
    return cuts or None


def _bounds(source: CutValue) -> tuple[float, float]:
    """Between which numbers the values of ``source`` lie."""
    clamp = Clamp.match(source.x) if source.y is None else None
    low, high = (None, None) if clamp is None else (clamp.low, clamp.high)
    return -math.inf if low is None else low, math.inf if high is None else high
