"""Layers on two values that are not -1 and +1 become layers on signs: AdaBin's sets (arXiv:2208.08084), {0, 1}.

Inputs of one set {b - a, b + a}, weights +-s:

    f(a * x + b, W) + c  ->  f(x, a * W) + (c + b * sum of W over each filter)             x in {-1, +1}

Weights of a set per filter, {m - s, m + s}, inputs binary or of one set:

    f(x, W) + c          ->  f(x, W - m) + c + m * f(x, 1)                  f(x, 1): one filter of ones for each group

Weights {-s, 0, s} of a filter, inputs alike; P and Q are +s and -s where W is 0, and W elsewhere:

    f(x, W) + c          ->  f(x, P / 2) + c + f(x, Q / 2)

`f` is a convolution or a linear layer. A border of v is the sign (v - b) / a of the set; where that is not 0, -1 or +1,
the signs get a border of 0, and the rest, f of b with a border of v, is one constant image.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.binary import holds_zeros, is_packable, why_not_binary_weight
from bittern.export.passes.views import Arithmetic, ConvLayer, Layer, Pad, PaddedInput, match_layer, matching

aten = torch.ops.aten
_UNITS = 4  # in the last place, by which values of one set may differ


@dataclass(frozen=True)
class ShiftedSigns:
    """A tensor ``a * signs + b``; ``signs`` are perhaps padded."""

    signs: fx.Node
    a: float
    b: float

    @staticmethod
    def of(graph: Graph, node: fx.Node) -> "ShiftedSigns | None":
        """Of signs themselves too."""
        return ShiftedSigns(node, 1.0, 0.0) if _is_sign(node) else ShiftedSigns.match(graph, node)

    @staticmethod
    def match(graph: Graph, node: fx.Node) -> "ShiftedSigns | None":
        """None for anything else, signs themselves too."""
        a, b, x = 1.0, 0.0, node
        while not _is_sign(x):
            if (step := scaling(graph, x)) is None:
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
        if middle is not None:
            parts = _split_weight(graph, layer, weight, middle)
        else:
            parts = _split_zeros(graph, layer, weight) if holds_zeros(weight) else [layer.node]
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
    if reason is not None and _middle(weight) is None and not holds_zeros(weight):
        return reason
    if padded.padding is None:
        return "its input is padded twice with different values: pad once"
    if shifted is not None and any(padded.padding) and Pad.match(shifted.signs) is not None:
        return "its input is padded twice with different values: pad once"
    return graph.why_not_constant(layer.node, "bias")


def _is_sign(x: fx.Node) -> bool:
    """Whether ``x`` is signs, perhaps with a border that a layer on signs can have."""
    pad = Pad.match(x)
    return is_packable(x) if pad is None else is_packable(pad.input) and pad.value in (0.0, 1.0, -1.0)


def scaling(graph: Graph, node: fx.Node) -> ShiftedSigns | None:
    """One operation with a number, taken for ``a * x + b`` of any x."""
    if node.target is aten.neg.default:
        return ShiftedSigns(node.all_input_nodes[0], -1.0, 0.0)
    step = Arithmetic.match(graph, node)
    if step is None or step.value.numel() != 1:
        return None
    factor, addend = step.affine(step.value.double())
    return ShiftedSigns(step.input, 1.0 if factor is None else float(factor), 0.0 if addend is None else float(addend))


def two_values(weight: Tensor) -> bool:
    """Whether each filter takes two values that are not +-s."""
    return _middle(weight) is not None


def _middle(weight: Tensor) -> Tensor | None:
    """The middle of each filter's two values, float64 [O]; None if they are +-s, or more than two."""
    filters = weight.double().flatten(1)
    low, high = filters.aminmax(dim=1, keepdim=True)
    near = _UNITS * torch.finfo(torch.float32).eps * torch.maximum(low.abs(), high.abs())
    if why_not_binary_weight(weight) is None or not bool(((filters - low <= near) | (high - filters <= near)).all()):
        return None
    return (low + high).flatten() / 2


def _split_weight(graph: Graph, layer: Layer, weight: Tensor, middle: Tensor) -> list[fx.Node]:
    """Replaces ``layer`` by the sum of two layers with weights of one magnitude per filter, and returns these."""
    node, own = layer.node, Provenance.of(layer.node)
    columns = middle.view(-1, *[1] * (weight.dim() - 1))
    above = weight.double() >= columns
    half = (weight.double() - columns).abs().flatten(1).amax(1).view_as(columns)

    signs = _part(graph, layer, torch.where(above, half, -half), layer.bias)
    sums = _part(graph, layer, torch.ones_like(weight[: layer.groups]), None)
    factors = graph.add_constant(columns.float(), node)
    # A layer on one input, not a multiplication, so that images keep their order of memory.
    geometry = ([1, 1], [0, 0], [1, 1], layer.groups) if isinstance(layer, ConvLayer) else ()
    target = aten.conv2d.default if isinstance(layer, ConvLayer) else aten.linear.default
    addend = graph.call(node, target, (sums, factors, None, *geometry), own.auxiliary())
    total = Provenance((), own.path, own.outputs)
    graph.replace(node, graph.call(node, aten.add.Tensor, (signs, addend), total))
    return [signs, sums]


def _split_zeros(graph: Graph, layer: Layer, weight: Tensor) -> list[fx.Node]:
    """Replaces ``layer`` by the sum of two layers whose weights differ in sign where its own are 0."""
    node, own = layer.node, Provenance.of(layer.node)
    zero = weight == 0
    half = weight.flatten(1).abs().amax(1).reshape(-1, *[1] * (weight.dim() - 1)) / 2
    above = _part(graph, layer, torch.where(zero, half, weight / 2), layer.bias)
    below = _part(graph, layer, torch.where(zero, -half, weight / 2), None)
    total = Provenance((), own.path, own.outputs)
    graph.replace(node, graph.call(node, aten.add.Tensor, (above, below), total))
    return [above, below]


def _part(graph: Graph, layer: Layer, weight: Tensor, bias: fx.Node | None) -> fx.Node:
    """``layer`` with other weights, in front of it."""
    args = {**arguments(layer.node), "weight": graph.add_constant(weight.float(), layer.node), "bias": bias}
    provenance = Provenance.of(layer.node).intermediate()
    return graph.call(layer.node, layer.node.target, list(args.values()), provenance)


def _split_input(graph: Graph, layer: Layer, shifted: ShiftedSigns) -> None:
    """Lets ``layer`` read the signs of its input, with the factor in its weights and the addend in its bias."""
    weight, bias = graph.constant(layer.weight), graph.constant(layer.bias)
    padded, node, own = PaddedInput.of(layer), layer.node, Provenance.of(layer.node)
    assert weight is not None
    offset = shifted.b * weight.double().flatten(1).sum(1)
    scaled = graph.add_constant((shifted.a * weight.double()).float(), node)
    addend: fx.Node | None = graph.add_constant((offset if bias is None else offset + bias.double()).float(), node)
    if not isinstance(layer, ConvLayer):
        graph.replace(node, graph.call(node, aten.linear.default, (shifted.signs, scaled, addend), own))
        return
    x, total = shifted.signs, own
    border = (padded.value - shifted.b) / shifted.a
    image = None
    if padded.padding is not None and any(padded.padding):
        top, bottom, left, right = padded.padding
        widths = [left, right, top, bottom]
        if border not in (0.0, 1.0, -1.0):
            image = graph.add_constant(_border_image(layer, shifted, padded, weight, bias), node)
            border, addend, own = 0.0, None, own.intermediate()
        x = graph.call(node, aten.constant_pad_nd.default, (x, widths, border), own.auxiliary())
    geometry = (list(layer.stride), [0, 0], list(layer.dilation), layer.groups)
    result = graph.call(node, aten.conv2d.default, (x, scaled, addend, *geometry), own)
    if image is not None:
        result = graph.call(node, aten.add.Tensor, (result, image), Provenance((), total.path, total.outputs))
    graph.replace(node, result)


def _border_image(
    layer: ConvLayer, shifted: ShiftedSigns, padded: PaddedInput, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """What ``layer`` makes of the set's middle inside and the border's value around it, ``[1, O, H, W]``."""
    assert padded.padding is not None
    top, bottom, left, right = padded.padding
    middle = torch.full((1, *shape(shifted.signs)[1:]), shifted.b, dtype=torch.float64)
    middle = F.pad(middle, (left, right, top, bottom), value=padded.value)
    filters, addend = weight.double(), None if bias is None else bias.double()
    return F.conv2d(middle, filters, addend, layer.stride, 0, layer.dilation, layer.groups).float()
