"""Layers on two values that are not -1 and +1 become layers on signs: AdaBin's sets (arXiv:2208.08084), {0, 1}.

Inputs of one set {b - a, b + a}, weights +-s:

    f(a * x + b, W) + c  ->  f(x, a * W) + (c + b * sum of W over each filter)             x in {-1, +1}

Weights of a set per filter, {m - s, m + s}, inputs binary or of one set:

    f(x, W) + c          ->  f(x, W - m) + c + m * f(x, 1)                  f(x, 1): one filter of ones for each group

`f` is a convolution or a linear layer. A border of v is the sign (v - b) / a of the set, which must be 0, -1 or +1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments
from bittern.export.passes.binary import is_packable, why_not_binary_weight
from bittern.export.passes.views import Arithmetic, ConvLayer, Layer, Pad, PaddedInput, match_layer, matching

aten = torch.ops.aten


@dataclass(frozen=True)
class ShiftedSigns:
    """A tensor ``a * signs + b``; ``signs`` are perhaps padded."""

    signs: fx.Node
    a: float
    b: float

    @staticmethod
    def match(graph: Graph, node: fx.Node) -> "ShiftedSigns | None":
        """None for anything else, signs themselves too."""
        a, b, x = 1.0, 0.0, node
        while not _is_sign(x):
            if (step := _step(graph, x)) is None:
                return None
            a, b, x = a * step.a, a * step.b + b, step.signs
        return ShiftedSigns(x, a, b) if x is not node and a != 0 and math.isfinite(a + b) else None


def split_sets(graph: Graph) -> None:
    for layer in matching(graph, match_layer):
        if why_not(layer, graph) is not None:
            continue
        weight = graph.constant(layer.weight)
        assert weight is not None
        middle = _middle(weight)
        parts = [layer.node] if middle is None else _split_weight(graph, layer, weight, middle)
        for part in filter(None, map(match_layer, parts)):
            if (shifted := ShiftedSigns.match(graph, PaddedInput.of(part).source)) is not None:
                _split_input(graph, part, shifted)


def why_not(layer: Layer, graph: Graph) -> str | None:
    """None if ``layer`` has two-valued weights or inputs and can have signs instead, else why not."""
    weight, padded = graph.constant(layer.weight), PaddedInput.of(layer)
    shifted = ShiftedSigns.match(graph, padded.source)
    if weight is None or (shifted is None and not _is_sign(padded.source)):
        return "its input is neither signs nor scaled and shifted signs"
    reason = why_not_binary_weight(weight)
    if shifted is None and reason is None:
        return "its input and weights are signs already"
    if reason is not None and _middle(weight) is None:
        return reason
    if padded.padding is None:
        return "its input is padded twice with different values: pad once"
    if shifted is not None and any(padded.padding):
        low, high = shifted.b - shifted.a, shifted.b + shifted.a
        if (padded.value - shifted.b) / shifted.a not in (0.0, 1.0, -1.0) or Pad.match(shifted.signs) is not None:
            return f"its input is {low:.4g} or {high:.4g}, but padded with {padded.value:.4g}: pad the signs instead"
    return graph.why_not_constant(layer.node, "bias")


def _is_sign(x: fx.Node) -> bool:
    """Whether ``x`` is signs, perhaps with a border that a layer on signs can have."""
    pad = Pad.match(x)
    return is_packable(x) if pad is None else is_packable(pad.input) and pad.value in (0.0, 1.0, -1.0)


def _step(graph: Graph, node: fx.Node) -> ShiftedSigns | None:
    """One operation with a number, taken for ``a * x + b`` of any x."""
    if node.target is aten.neg.default:
        return ShiftedSigns(node.all_input_nodes[0], -1.0, 0.0)
    step = Arithmetic.match(graph, node)
    if step is None or step.value.numel() != 1:
        return None
    factor, addend = step.affine(step.value.double())
    return ShiftedSigns(step.input, 1.0 if factor is None else float(factor), 0.0 if addend is None else float(addend))


def _middle(weight: Tensor) -> Tensor | None:
    """The middle of each filter's two values, float64 [O]; None if they are +-s, or more than two."""
    filters = weight.double().flatten(1)
    low, high = filters.aminmax(dim=1, keepdim=True)
    if why_not_binary_weight(weight) is None or not bool(((filters == low) | (filters == high)).all()):
        return None
    return (low + high).flatten() / 2


def _split_weight(graph: Graph, layer: Layer, weight: Tensor, middle: Tensor) -> list[fx.Node]:
    """Replaces ``layer`` by the sum of two layers with weights of one magnitude per filter, and returns these."""
    node, own = layer.node, Provenance.of(layer.node)
    columns = middle.view(-1, *[1] * (weight.dim() - 1))
    above = weight.double() >= columns
    half = (weight.double() - columns).abs().flatten(1).amax(1).view_as(columns)

    def part(values: Tensor, bias: fx.Node | None) -> fx.Node:
        args = {**arguments(node), "weight": graph.add_constant(values.float(), node), "bias": bias}
        return graph.call(node, node.target, list(args.values()), own.intermediate())

    signs = part(torch.where(above, half, -half), layer.bias)
    sums = part(torch.ones_like(weight[: layer.groups]), None)
    factors = graph.add_constant(columns.float(), node)
    # A layer on one input, not a multiplication, so that images keep their order of memory.
    geometry = ([1, 1], [0, 0], [1, 1], layer.groups) if isinstance(layer, ConvLayer) else ()
    target = aten.conv2d.default if isinstance(layer, ConvLayer) else aten.linear.default
    addend = graph.call(node, target, (sums, factors, None, *geometry), own.auxiliary())
    total = Provenance((), own.path, own.outputs)
    graph.replace(node, graph.call(node, aten.add.Tensor, (signs, addend), total))
    return [signs, sums]


def _split_input(graph: Graph, layer: Layer, shifted: ShiftedSigns) -> None:
    """Lets ``layer`` read the signs of its input, with the factor in its weights and the addend in its bias."""
    weight, bias = graph.constant(layer.weight), graph.constant(layer.bias)
    padded, node, own = PaddedInput.of(layer), layer.node, Provenance.of(layer.node)
    assert weight is not None
    offset = shifted.b * weight.double().flatten(1).sum(1)
    scaled = graph.add_constant((shifted.a * weight.double()).float(), node)
    addend = graph.add_constant((offset if bias is None else offset + bias.double()).float(), node)
    if not isinstance(layer, ConvLayer):
        graph.replace(node, graph.call(node, aten.linear.default, (shifted.signs, scaled, addend), own))
        return
    x = shifted.signs
    if padded.padding is not None and any(padded.padding):
        top, bottom, left, right = padded.padding
        border = ([left, right, top, bottom], (padded.value - shifted.b) / shifted.a)
        x = graph.call(node, aten.constant_pad_nd.default, (x, *border), own.auxiliary())
    geometry = (list(layer.stride), [0, 0], list(layer.dilation), layer.groups)
    graph.replace(node, graph.call(node, aten.conv2d.default, (x, scaled, addend, *geometry), own))
