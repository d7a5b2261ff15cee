"""Whether a value computed from the input may be exactly 0, and whether it may be negative: what `sign` depends on.

A value is 0 with measure zero if it is shifted by a learned number, unless it is a whole number of steps before: the
dot products of signs are integers, so they are asked one by one.
"""

from collections.abc import Callable

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, arguments, operator_name, shape
from bittern.export.passes.binary import why_not_binary_weight
from bittern.export.passes.per_channel import ChannelAffine
from bittern.export.passes.signs import BINARIZE, MAX_POOLS, MOVES
from bittern.export.passes.split_sets import ShiftedSigns
from bittern.export.passes.views import Clamp, Layer, PaddedInput, PRelu, match_layer

aten = torch.ops.aten

_MEANS = (
    aten.avg_pool2d.default,
    aten.avg_pool1d.default,
    aten.adaptive_avg_pool2d.default,
    aten.adaptive_avg_pool1d.default,
    aten.mean.dim,
)
_KEEP_SIGN = (aten.tanh.default, aten.erf.default, aten.asinh.default, aten.atan.default, aten.neg.default)
_ALWAYS_POSITIVE = (aten.sigmoid.default, aten.softmax.int, aten._softmax.default, aten.exp.default)
_NEVER_NEGATIVE = (
    *_ALWAYS_POSITIVE,
    aten.hardsigmoid.default,
    aten.abs.default,
    aten.sqrt.default,
    aten.square.default,
    aten.softplus.default,
)
_STEPS_APART = 2.0**-22
"""Rounding errors of a float32 that is computed in two operations, relative to its size."""


def why_not_rare(graph: Graph, x: fx.Node) -> str | None:
    """None if ``x`` is 0 for no input or almost none, else why not."""
    return _Zeros(graph).why_not(x)


def never_negative(x: fx.Node) -> fx.Node | None:
    """The operator that makes all values of ``x`` 0 or positive; None if some may be negative."""
    while x.target in (*MOVES, *MAX_POOLS, *_MEANS) and len(x.all_input_nodes) == 1:
        x = x.all_input_nodes[0]
    clamp = Clamp.match(x)
    clamped = clamp is not None and clamp.low is not None and clamp.low >= 0
    squared = x.target is aten.pow.Tensor_Scalar and x.args[1] == 2
    return x if clamped or squared or x.target in _NEVER_NEGATIVE else None


class _Zeros:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[fx.Node, str | None] = {}

    def why_not(self, x: fx.Node) -> str | None:
        if x not in self._known:
            try:
                self._known[x] = self._ask(x)
            except RecursionError:
                self._known[x] = "too many operators come before it to tell"
        return self._known[x]

    def _ask(self, x: fx.Node) -> str | None:
        if x.op == "placeholder":
            return "the model's input may be 0"
        if x.target is BINARIZE:
            return None
        if (layer := match_layer(x)) is not None:
            return self._ask_layer(layer, None, None)
        if (affine := self._affine(x)) is not None:
            return self._ask_affine(affine)
        if x.target in (aten.add.Tensor, aten.sub.Tensor):
            return self._first_reason(x, any)
        if x.target is aten.mul.Tensor or x.target in (*MOVES, *MAX_POOLS, *_MEANS, *_KEEP_SIGN):
            return self._first_reason(x, all)
        return self._ask_activation(x)

    def _first_reason(self, x: fx.Node, enough: Callable[[list[bool]], bool]) -> str | None:
        """None if ``enough`` of the operands of ``x`` that are computed are rarely 0."""
        reasons = [self.why_not(each) for each in x.all_input_nodes if self._graph.constant(each) is None]
        fine = bool(reasons) and enough([reason is None for reason in reasons])
        return None if fine else next(filter(None, reasons), f"{operator_name(x)} may give 0")

    def _affine(self, x: fx.Node) -> ChannelAffine | None:
        """All scales and shifts from a layer, or another operator, to ``x`` as one."""
        for channel_dim in (1, -1):
            joined, step = None, x
            while len(shape(step)) > 1 and (found := ChannelAffine.match(self._graph, step, channel_dim)) is not None:
                joined, step = found if joined is None else _behind(found, joined), found.input
            if joined is not None:
                return joined
        return None

    def _ask_affine(self, affine: ChannelAffine) -> str | None:
        if affine.factor is not None and bool((affine.factor == 0).any()):
            return "a factor of 0 makes it 0"
        if affine.addend is None or bool((affine.addend == 0).any()):
            reason = self.why_not(affine.input)
            return reason and f"{reason}, and no shift comes behind"
        zero_at = -affine.addend if affine.factor is None else -affine.addend / affine.factor
        if affine.input.op == "placeholder" and bool((zero_at == zero_at[0]).all()):
            return f"the model's input may be {float(zero_at[0]):.4g}"  # pixels are steps apart
        layer = match_layer(affine.input)
        return None if layer is None else self._ask_layer(layer, affine.factor, affine.addend)

    def _ask_layer(self, layer: Layer, factor: Tensor | None, addend: Tensor | None) -> str | None:
        """Of ``layer * factor + addend``."""
        weight, bias = self._graph.constant(layer.weight), self._graph.constant(layer.bias)
        if weight is None or self._graph.why_not_constant(layer.node, "bias") is not None:
            return "its weights are computed from the input"
        if bias is not None:
            offset = bias.double() if factor is None else bias.double() * factor
            addend = offset if addend is None else offset + addend
        padded = PaddedInput.of(layer)
        if (signs := ShiftedSigns.of(self._graph, padded.source)) is None:
            shifted = addend is not None and bool((addend != 0).all())
            return None if shifted else self.why_not(padded.source)
        if why_not_binary_weight(weight) is not None:
            return None  # sums of +-w over real-valued w
        filters = weight.double().flatten(1)
        if addend is None:
            odd = filters.shape[1] % 2 == 1 and (padded.value != 0 or not any(padded.padding or ())) and signs.b == 0
            return None if odd else "sums of signs are whole numbers, 0 among them"
        step = filters.abs().amax(1) * signs.a * (1.0 if factor is None else factor)
        at = -addend / step - signs.b / signs.a * filters.sign().sum(1)
        near = (at - at.round()).abs() <= _STEPS_APART * at.abs()
        hit = near & (at.abs() <= filters.shape[1])
        return f"{int(hit.sum())} of its shifts are as large as a sum of signs can be" if bool(hit.any()) else None

    def _ask_activation(self, x: fx.Node) -> str | None:
        clamp = Clamp.match(x)
        if clamp is not None and (clamp.low is None or clamp.low < 0) and (clamp.high is None or clamp.high > 0):
            return self.why_not(clamp.input)
        if (prelu := PRelu.match(x)) is not None:
            slope = self._graph.constant(prelu.slope) if isinstance(prelu.slope, fx.Node) else prelu.slope
            if slope is not None and bool((torch.as_tensor(slope) != 0).all()):
                return self.why_not(prelu.input)
        if x.target in (aten.layer_norm.default, aten.group_norm.default):
            bias = self._graph.constant(arguments(x)["bias"])
            shifted = bias is not None and bool((bias != 0).all())
            return None if shifted else self.why_not(x.all_input_nodes[0])
        if x.target in _ALWAYS_POSITIVE:
            return None
        return f"{operator_name(x)} may give 0"


def _behind(first: ChannelAffine, second: ChannelAffine) -> ChannelAffine:
    """``second`` of ``first``."""
    factor, addend = first.factor, first.addend
    if second.factor is not None:
        factor = second.factor if factor is None else factor * second.factor
        addend = None if addend is None else addend * second.factor
    if second.addend is not None:
        addend = second.addend if addend is None else addend + second.addend
    return ChannelAffine(first.input, factor, addend)
