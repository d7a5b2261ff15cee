"""Shifts, scales, BatchNorm and clamps in front of a `binarize` as one threshold per channel.

    binarize(f(x)) = -1  where  x < t(c),      or where  x > t(c)  if f falls with x,     for f monotone per channel

``x <= t`` and ``x >= t`` where f(x) = 0 is -1 too (`positive_part`): the next float32 above t is the threshold then.

The thresholds are computed in float64. A shift alone is exact, as the rounded sum of two floats has the sign of the
sum; behind other steps a value within rounding error of its threshold may get the other sign, as it may from BatchNorm
itself on another machine.

For values that are not finite, no comparison with one number gives the sign that PyTorch gives in every case. What
differs:

    f falls:                                    NaN      gives -1, not +1
    f is negative whatever x is, by a clamp:    infinity gives +1, not -1
    f is negative whatever x is, by a 0:       -infinity gives -1, not +1     (0 * infinity is NaN)
"""

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.per_channel import ChannelAffine
from bittern.export.passes.signs import positive_part
from bittern.export.passes.views import Clamp

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
    """``bit = x < t`` for each channel, or ``x > t`` where ``falls``; float64 and bool ``[C]``.

    ``inclusive``: ``x <= t`` and ``x >= t``.
    """

    t: Tensor
    falls: Tensor
    inclusive: bool

    def scale(self, factor: Tensor) -> None:
        """From a condition on ``x * factor`` to one on ``x``."""
        # What a factor of 0 gives, whatever x is.
        always = torch.where(self.falls, self.t < 0, self.t > 0) | (self.inclusive & (self.t == 0))
        zero = factor == 0
        self.t = torch.where(zero, torch.where(always, _INF, -_INF), self.t / torch.where(zero, 1.0, factor))
        self.falls = torch.where(zero, False, self.falls ^ (factor < 0))

    def shift(self, addend: Tensor) -> None:
        self.t = self.t - addend

    def clamp(self, low: float, high: float) -> None:
        low = min(low, high)  # as in torch, where `high` decides
        below = self.falls ^ self.inclusive  # whether t itself belongs to the values above it
        beyond_low = torch.where(below, self.t < low, self.t <= low)
        beyond_high = torch.where(below, self.t >= high, self.t > high)
        self.t = torch.where(beyond_low, -_INF, torch.where(beyond_high, _INF, self.t))


def find_threshold(graph: Graph, binarize: fx.Node, channel_dim: int) -> Threshold:
    """Walks from ``binarize`` to the tensor whose bits it takes, past every step that nothing else reads."""
    x = binarize.all_input_nodes[0]
    channels = shape(x)[channel_dim]
    positive = positive_part(binarize)
    condition = _Condition(
        torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.bool), positive is not None
    )
    sources: tuple[str, ...] = ()
    passable = all(user.target is binarize.target for user in x.users)
    if positive is not None:
        x, passable = positive, len(positive.users) == 1
    while passable and (before := _step(graph, x, channel_dim, condition)) is not None:
        sources = (*Provenance.of(x).sources, *sources)
        x = before
        passable = len(x.users) == 1
    return Threshold(x, *_round(condition), sources)


def _round(condition: _Condition) -> tuple[Tensor | None, Tensor | None]:
    """Float32 thresholds that divide all float32 values as the float64 ones do, and the channels to negate."""
    # A condition that always holds or never does rises, so that NaN is +1 and no channel is negated for it.
    decided = condition.t.isinf()
    always = condition.falls == (condition.t < 0)
    condition = _Condition(
        torch.where(decided, torch.where(always, _INF, -_INF), condition.t),
        condition.falls & ~decided,
        condition.inclusive,
    )
    nearest = condition.t.float()
    up, down = torch.tensor(_INF), torch.tensor(-_INF)
    # x < t is x < (the smallest float32 >= t); x <= t is x < (the smallest float32 > t); x > t and x >= t are not.
    at_least = torch.where(nearest.double() < condition.t, torch.nextafter(nearest, up), nearest)
    at_most = torch.where(nearest.double() > condition.t, torch.nextafter(nearest, down), nearest)
    above = (condition.falls ^ condition.inclusive) & ~decided
    threshold = torch.where(above, torch.nextafter(at_most, up), at_least)
    plain = bool((threshold == 0).all())
    return None if plain else threshold, condition.falls if bool(condition.falls.any()) else None


def _step(graph: Graph, x: fx.Node, channel_dim: int, condition: _Condition) -> fx.Node | None:
    """Moves ``condition`` from ``x`` to what it is computed from, and returns that; None if ``x`` is no such step."""
    if (clamp := Clamp.match(x)) is not None:
        condition.clamp(-_INF if clamp.low is None else clamp.low, _INF if clamp.high is None else clamp.high)
        return clamp.input
    affine = ChannelAffine.match(graph, x, channel_dim)
    if affine is None or not affine.is_finite:
        return None
    if affine.addend is not None:
        condition.shift(affine.addend)
    if affine.factor is not None:
        condition.scale(affine.factor)
    return affine.input
