"""Layers on two values that are not -1 and +1 become layers on signs: AdaBin's sets (arXiv:2208.08084), {0, 1}.

Inputs of one set {b - a, b + a}, weights +-s:

    f(a * x + b, W) + c  ->  f(x, a * W) + (c + b * sum of W over each filter)             x in {-1, +1}

Weights of a set per filter, {m - s, m + s}, inputs binary or of one set:

    f(x, W) + c          ->  f(x, W - m) + c + m * f(x, 1)                  f(x, 1): one filter of ones for each group

`f` is a convolution or a linear layer. A border of v is the sign (v - b) / a of the set, which must be 0, -1 or +1.
"""

import math

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.binary import is_packable, pair, why_not_binary_weight
from bittern.export.passes.lower_convolution import CONVOLUTIONS, PADS, padded_input

aten = torch.ops.aten
_LINEAR = aten.linear.default
_ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar, aten.mul.Tensor, aten.div.Tensor)


Affine = tuple[fx.Node, float, float]
"""Signs x, perhaps padded, and the numbers a and b of a tensor a * x + b."""


def split_sets(graph: Graph) -> None:
    for layer in graph.calls(*CONVOLUTIONS, _LINEAR):
        if why_not(layer, graph) is not None:
            continue
        weight = graph.constant(layer.args[1])
        assert weight is not None
        middle = _middle(weight)
        for part in [layer] if middle is None else _split_weight(graph, layer, weight, middle):
            if (affine := _affine(graph, _padded_input(part)[0])) is not None:
                _split_input(graph, part, *affine)


def why_not(layer: fx.Node, graph: Graph) -> str | None:
    """None if ``layer`` has two-valued weights or inputs and can have signs instead, else why not."""
    weight = graph.constant(layer.args[1])
    source, padding, value = _padded_input(layer)
    affine = _affine(graph, source)
    if weight is None or (affine is None and not _is_sign(source)):
        return "its input is neither signs nor scaled and shifted signs"
    if affine is None and why_not_binary_weight(weight) is None:
        return "it has signs"
    if _middle(weight) is None and (reason := why_not_binary_weight(weight)) is not None:
        return reason
    if padding is None:
        return "its input is padded twice with different values: pad once"
    if affine is not None and any(padding):
        signs, a, b = affine
        if (value - b) / a not in (0.0, 1.0, -1.0) or signs.target in PADS:
            return f"its input is {b - a:.4g} or {b + a:.4g}, but padded with {value:.4g}: pad the signs instead"
    return graph.why_not_constant(layer, "bias")


def _padded_input(layer: fx.Node) -> tuple[object, list[int] | None, float]:
    return (layer.args[0], [], 0.0) if layer.target is _LINEAR else padded_input(layer)


def _is_sign(x: object) -> bool:
    """Whether ``x`` is signs, perhaps with a border that a layer on signs can have."""
    if isinstance(x, fx.Node) and x.target in PADS:
        return is_packable(x.args[0]) and (arguments(x)["value"] or 0.0) in (0.0, 1.0, -1.0)
    return is_packable(x)


def _affine(graph: Graph, x: object) -> Affine | None:
    """``x`` as a scaled and shifted tensor of signs; None for anything else, signs themselves too."""
    a, b = 1.0, 0.0
    node = x
    while isinstance(node, fx.Node) and not _is_sign(node):
        if (step := _step(graph, node)) is None:
            return None
        node, factor, addend = step
        a, b = a * factor, a * addend + b
    return (node, a, b) if isinstance(node, fx.Node) and node is not x and a != 0 and math.isfinite(a + b) else None


def _step(graph: Graph, node: fx.Node) -> Affine | None:
    """The tensor, factor and addend of one operation with a number."""
    if node.target is aten.neg.default:
        return node.args[0], -1.0, 0.0  # type: ignore[return-value]
    if node.target not in _ARITHMETIC or arguments(node).get("alpha", 1) != 1:
        return None
    left, right = node.args[:2]
    first = graph.constant(left) is not None
    source, number = (right, _number(graph, left)) if first else (left, _number(graph, right))
    if number is None or not isinstance(source, fx.Node) or shape(source) != shape(node):
        return None
    match node.target:
        case aten.mul.Tensor:
            return source, number, 0.0
        case aten.add.Tensor:
            return source, 1.0, number
        case aten.sub.Tensor if not first:
            return source, 1.0, -number
        case aten.sub.Tensor | aten.rsub.Scalar:
            return source, -1.0, number
        case aten.div.Tensor if not first and number != 0:
            return source, 1 / number, 0.0
    return None


def _number(graph: Graph, operand: object) -> float | None:
    if isinstance(operand, (int, float)):
        return float(operand)
    constant = graph.constant(operand)
    return float(constant) if constant is not None and constant.numel() == 1 else None


def _middle(weight: Tensor) -> Tensor | None:
    """The middle of each filter's two values, float64 [O]; None if they are +-s, or more than two."""
    filters = weight.double().flatten(1)
    low, high = filters.aminmax(dim=1, keepdim=True)
    if why_not_binary_weight(weight) is None or not bool(((filters == low) | (filters == high)).all()):
        return None
    return (low + high).flatten() / 2


def _split_weight(graph: Graph, layer: fx.Node, weight: Tensor, middle: Tensor) -> list[fx.Node]:
    """Replaces ``layer`` by the sum of two layers with weights of one magnitude per filter, and gives these."""
    named, origin = arguments(layer), Provenance.of(layer)
    unnamed = Provenance(origin.sources, origin.path, [None])
    columns = middle.view(-1, *[1] * (weight.dim() - 1))
    above = weight.double() >= columns
    half = (weight.double() - columns).abs().flatten(1).amax(1).view_as(columns)
    groups = named.get("groups", 1)

    def part(values: Tensor, bias: object) -> fx.Node:
        args = {**named, "weight": graph.add_constant(values.float(), layer), "bias": bias}
        return graph.call(layer, layer.target, list(args.values()), unnamed)  # type: ignore[arg-type]

    signs, sums = part(torch.where(above, half, -half), named["bias"]), part(torch.ones_like(weight[:groups]), None)
    factors = graph.add_constant(columns.float(), layer)
    # A layer on one input, not a multiplication, so that images keep their order of memory.
    geometry = () if layer.target is _LINEAR else ([1, 1], [0, 0], [1, 1], groups)
    target = _LINEAR if layer.target is _LINEAR else aten.conv2d.default
    added = Provenance((), origin.path, [None])
    addend = graph.call(layer, target, (sums, factors, None, *geometry), added)
    total = Provenance((), origin.path, origin.outputs)
    graph.replace(layer, graph.call(layer, aten.add.Tensor, (signs, addend), total))
    return [signs, sums]


def _split_input(graph: Graph, layer: fx.Node, signs: fx.Node, a: float, b: float) -> None:
    named, origin = arguments(layer), Provenance.of(layer)
    weight, bias = graph.constant(named["weight"]), graph.constant(named["bias"])
    _, padding, value = _padded_input(layer)
    assert weight is not None
    assert padding is not None
    offset = b * weight.double().flatten(1).sum(1)
    scaled = graph.add_constant((a * weight.double()).float(), layer)
    addend = graph.add_constant((offset if bias is None else offset + bias.double()).float(), layer)
    if layer.target is _LINEAR:
        moved = graph.call(layer, _LINEAR, (signs, scaled, addend), origin)
    else:
        if any(padding):
            top, bottom, left, right = padding
            border = ([left, right, top, bottom], (value - b) / a)
            pad = aten.constant_pad_nd.default
            signs = graph.call(layer, pad, (signs, *border), Provenance((), origin.path, [None]))
        geometry = (pair(named["stride"]), [0, 0], pair(named["dilation"]), named["groups"])
        moved = graph.call(layer, aten.conv2d.default, (signs, scaled, addend, *geometry), origin)
    graph.replace(layer, moved)
