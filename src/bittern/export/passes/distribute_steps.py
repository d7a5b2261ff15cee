"""Moves per-channel steps from behind a concatenation of channels to its parts, where they join a packed layer.

f(cat(a, b)) = cat(f(a), f(b))     for f that treats each channel by itself: BatchNorm, shifts, scales, PReLU, clamps
"""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, shape, sole_user
from bittern.export.passes.per_channel import per_channel
from bittern.export.passes.views import BatchNorm, Clamp, Concat, PackedLayer, PRelu, matching
from bittern.export.passes.views.aten import CAT

aten = torch.ops.aten
_ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)


def distribute_steps(graph: Graph) -> None:
    for concat in matching(graph, Concat.match):
        joined: Concat | None = concat if why_not(concat) is None else None
        while joined is not None:
            joined = _distribute_step(graph, joined)


def why_not(concat: Concat) -> str | None:
    """None if a packed layer among the parts of ``concat`` would gain from a step behind it, else why not."""
    rank = len(shape(concat.node))
    layers = [PackedLayer.match_float(part) for part in concat.parts if sole_user(part) is concat.node]
    if any(layer is not None and layer.channel_dim % rank == concat.dim for layer in layers):
        return None
    return "none of its parts is a packed layer that nothing else reads"


def _distribute_step(graph: Graph, concat: Concat) -> Concat | None:
    """``concat`` of the parts behind the step that alone reads it; None if there is no such step."""
    step = sole_user(concat.node)
    operands = None if step is None else _operands(graph, step, concat)
    if step is None or operands is None:
        return None
    results = []
    for part, rest in zip(concat.parts, operands, strict=True):
        provenance = Provenance(Provenance.of(step).sources, Provenance.of(part).path, [None])
        results.append(graph.call(step, step.target, (part, *rest), provenance, step.kwargs))
    joined = graph.call(step, CAT, (results, concat.dim), Provenance.of(concat.node).absorb(step))
    graph.replace(step, joined)
    graph.module.graph.erase_node(concat.node)
    return Concat.match(joined)


def _operands(graph: Graph, step: fx.Node, concat: Concat) -> list[tuple[Any, ...]] | None:
    """What ``step`` reads beside each part; None if it does not treat each channel by itself."""
    rest = step.args[1:]
    channel_dim = 1 if concat.dim == 1 else -1
    counts = [shape(part)[channel_dim] for part in concat.parts]
    if Clamp.match(step) is not None or step.target is aten.leaky_relu.default:
        return [rest] * len(counts)
    if (norm := BatchNorm.match(step)) is not None and channel_dim == 1:
        named = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        pieces = [_split(graph, graph.constant(value), counts, step) for value in named]
        return [(*values, *rest[len(named) :]) for values in zip(*pieces, strict=True)]
    prelu = PRelu.match(step)
    if (prelu is None and step.target not in _ARITHMETIC) or step.args[0] is not concat.node:
        return None
    if shape(step) != shape(concat.node):
        return None
    if prelu is not None:
        slope = graph.constant(prelu.slope)
        if channel_dim != 1 or slope is None:
            return None
        return [rest] * len(counts) if slope.numel() == 1 else [(v,) for v in _split(graph, slope, counts, step)]
    if not isinstance(rest[0], fx.Node):
        return [rest] * len(counts)
    value = per_channel(graph.constant(rest[0]), concat.node, channel_dim)
    if value is None:
        return None
    form = [-1 if axis == concat.dim else 1 for axis in range(len(shape(step)))]
    return [(graph.add_constant(piece.reshape(form).float(), step),) for piece in value.split(counts)]


def _split(graph: Graph, value: Tensor | None, counts: list[int], before: fx.Node) -> list[fx.Node | None]:
    """``value``, one number per channel, as a constant for each part; None as None."""
    if value is None:
        return [None] * len(counts)
    return [graph.add_constant(piece, before) for piece in value.split(counts)]
