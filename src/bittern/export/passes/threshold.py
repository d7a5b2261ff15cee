"""What stands in front of a `binarize` and moves each channel's threshold: shifts, scales, BatchNorm, clamps.

    binarize(f(x)) = -1  where  x < t(c),      or where  x > t(c)  if f falls with x,     for f monotone per channel

The thresholds are computed in float64. A shift alone is exact, as the rounded sum of two floats has the sign of the
sum; behind other steps a value within rounding error of its threshold may get the other sign, as it may from BatchNorm
itself on another machine.

Of values that are not finite, no comparison with one number gives all signs that PyTorch gives. What differs:

    f falls:                                    NaN      gives -1, not +1
    f is negative whatever x is, by a clamp:    infinity gives +1, not -1
    f is negative whatever x is, by a 0:       -infinity gives -1, not +1     (0 * infinity is NaN)
"""

import operator
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.per_channel import BATCH_NORM, batch_norm_affine, clamp_bounds, per_channel, why_not_affine

aten = torch.ops.aten
_INF = float("inf")


@dataclass(frozen=True)
class Threshold:
    """``binarize(...)`` as bits of ``source``: ``bit = (source < threshold(c)) != negated(c)``.

    ``threshold``: float32 ``[C]``; None is 0. ``negated``: bool ``[C]``; None is False. ``sources``: the training
    graph's nodes that it stands for.
    """

    source: fx.Node
    threshold: Tensor | None
    negated: Tensor | None
    sources: tuple[str, ...]


@dataclass
class _Condition:
    """``bit = x < t`` per channel, or ``x > t`` where ``falls``; float64 and bool ``[C]``."""

    t: Tensor
    falls: Tensor

    def scale(self, factor: Tensor) -> None:
        """From a condition on ``x * factor`` to one on ``x``."""
        always = torch.where(self.falls, self.t < 0, self.t > 0)  # what a factor of 0 gives, whatever x is
        zero = factor == 0
        self.t = torch.where(zero, torch.where(always, _INF, -_INF), self.t / torch.where(zero, 1.0, factor))
        self.falls = torch.where(zero, False, self.falls ^ (factor < 0))

    def shift(self, addend: Tensor) -> None:
        self.t = self.t - addend

    def clamp(self, low: float, high: float) -> None:
        low = min(low, high)  # as in torch, where `high` decides
        least = torch.where(self.falls, self.t < low, self.t <= low)
        most = torch.where(self.falls, self.t >= high, self.t > high)
        self.t = torch.where(least, -_INF, torch.where(most, _INF, self.t))


def find_threshold(graph: Graph, binarize: fx.Node, channel_dim: int) -> Threshold:
    """Walks from ``binarize`` to the tensor whose bits it takes, past everything that nothing else reads."""
    x = binarize.args[0]
    assert isinstance(x, fx.Node)
    channels = shape(x)[channel_dim]
    condition = _Condition(torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.bool))
    sources: tuple[str, ...] = ()
    passable = all(user.target is binarize.target for user in x.users)
    while passable and (before := _step(graph, x, channel_dim, condition)) is not None:
        # A BatchNorm is the call that the item is of.
        sources = (*Provenance.of(x if hasattr(x.target, "_schema") else x.args[0]).sources, *sources)  # type: ignore[arg-type]
        x = before
        passable = len(x.users) == 1
    return Threshold(x, *_round(condition), sources)


_ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar, aten.mul.Tensor, aten.div.Tensor)


def _round(condition: _Condition) -> tuple[Tensor | None, Tensor | None]:
    """Float32 thresholds that divide all float32 values as the float64 ones do, and the channels to negate."""
    # A condition that always holds or never does rises, so that NaN is +1 and no channel is negated for it.
    decided = condition.t.isinf()
    always = condition.falls == (condition.t < 0)
    condition = _Condition(
        torch.where(decided, torch.where(always, _INF, -_INF), condition.t), condition.falls & ~decided
    )
    nearest = condition.t.float()
    up, down = torch.tensor(_INF), torch.tensor(-_INF)
    # x < t is x < (the least float32 >= t); x > t is not x < (the least float32 > t).
    least = torch.where(nearest.double() < condition.t, torch.nextafter(nearest, up), nearest)
    below = torch.where(nearest.double() > condition.t, torch.nextafter(nearest, down), nearest)
    threshold = torch.where(condition.falls, torch.nextafter(below, up), least)
    plain = bool((threshold == 0).all())
    return None if plain else threshold, condition.falls if bool(condition.falls.any()) else None


def _step(graph: Graph, x: fx.Node, channel_dim: int, condition: _Condition) -> fx.Node | None:
    """Moves ``condition`` from ``x`` to what ``x`` is computed from, and gives that; None if ``x`` is no such step."""
    if x.op != "call_function":
        return None
    channels = shape(x)[channel_dim]
    if x.target is operator.getitem:
        norm, index = x.args
        if index != 0 or not isinstance(norm, fx.Node) or norm.target is not BATCH_NORM:
            return None
        if (channel_dim == -1 and len(shape(x)) != 2) or why_not_affine(graph, norm) is not None:
            return None
        g, h = batch_norm_affine(graph, norm, channels)
        condition.shift(h)
        condition.scale(g)
        return norm.args[0]  # type: ignore[return-value]
    named = arguments(x)
    if x.target in _ARITHMETIC and named.get("alpha", 1) == 1:
        return _arithmetic(graph, x, channel_dim, condition)
    if (bounds := clamp_bounds(x, named)) is not None:
        low, high = bounds
        condition.clamp(-_INF if low is None else low, _INF if high is None else high)
        return x.args[0]  # type: ignore[return-value]
    return None


def _arithmetic(graph: Graph, x: fx.Node, channel_dim: int, condition: _Condition) -> fx.Node | None:
    left, right = x.args[:2]
    constant_first = graph.constant(left) is not None
    source, operand = (right, left) if constant_first else (left, right)
    if not isinstance(source, fx.Node) or shape(source) != shape(x) or source.meta["val"].dtype != torch.float32:
        return None
    value = per_channel(graph, operand, x, channel_dim)
    if value is None or not bool(torch.isfinite(value).all()):
        return None
    minus = torch.full_like(value, -1.0)
    match x.target:
        case aten.add.Tensor:
            condition.shift(value)
        case aten.mul.Tensor:
            condition.scale(value)
        case aten.div.Tensor if not constant_first and bool((value != 0).all()):
            condition.scale(1 / value)
        case aten.sub.Tensor if not constant_first:
            condition.shift(-value)
        case aten.sub.Tensor | aten.rsub.Scalar:  # value - source
            condition.shift(value)
            condition.scale(minus)
        case _:
            return None
    return source
