"""Moves what follows a concatenation of channels in front of it, where it can become part of a packed layer.

f(cat(a, b)) = cat(f(a), f(b))     for f that treats each channel by itself: BatchNorm, shifts, scales, PReLU, clamps
pack(cat(a, b)) = cat(pack(a), pack(b))     on bits, where a has a multiple of 32 channels
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.absorb_epilogue import LAYERS
from bittern.export.passes.binary import PACK, same_constant
from bittern.export.passes.per_channel import BATCH_NORM, clamp_bounds, item, per_channel, why_not_affine
from bittern.ops import layout

aten = torch.ops.aten
CAT = aten.cat.default
_MOST_PARTS = 5
"""Parts of one concatenation that XNNPACK takes."""
_WITH_CONSTANT = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.prelu.default)


def distribute_steps(graph: Graph) -> None:
    """Per-channel steps, where a packed layer that nothing else reads is among the parts."""
    for node in graph.calls(CAT):
        rank = len(shape(node))
        layers = [part.target for part in _parts(node) if part.target in LAYERS and sole_user(part) is node]
        cat: fx.Node | None = node if any(LAYERS[layer] % rank == axis_of(node) for layer in layers) else None
        while cat is not None:
            cat = _distribute_step(graph, cat)


def distribute_pack(graph: Graph) -> None:
    """`pack`: every part's bits may then come from the layer that computes it, and the floats need no concatenation."""
    for pack in graph.calls(PACK):
        cat, threshold, channel_dim = pack.args
        assert isinstance(channel_dim, int)
        if not isinstance(cat, fx.Node) or cat.target is not CAT or axis_of(cat) != channel_dim % len(shape(cat)):
            continue
        parts = leaves_of(cat)
        if any(shape(part)[channel_dim] % layout.WORD_BITS for part in parts[:-1]):
            graph.refuse(pack, "the parts of its input do not end at a multiple of 32 channels")
            continue
        value = graph.constant(threshold)
        start, bits = 0, None
        for part in parts:
            count = shape(part)[channel_dim]
            origin = Provenance(Provenance.of(pack).sources, Provenance.of(pack).path, [None])
            words = _pack(graph, part, None if value is None else value[start : start + count], pack, origin)
            bits = words if bits is None else graph.call(pack, torch.ops.bittern.cat.default, (bits, words), origin)
            start += count
        assert bits is not None
        Provenance.of(pack).attach(bits)
        graph.replace(pack, bits)


def _pack(graph: Graph, part: fx.Node, threshold: Tensor | None, before: fx.Node, origin: Provenance) -> fx.Node:
    """The bits of ``part``, which may be there already."""
    threshold = None if threshold is None or not bool(threshold.any()) else threshold
    for user in part.users:
        shared = user.target is PACK and user.args[2] == before.args[2] and user < before
        if shared and same_constant(graph, user.args[1], threshold):
            return user
    constant = None if threshold is None else graph.add_constant(threshold, before)
    return graph.call(before, PACK, (part, constant, before.args[2]), origin)


def merge_concats(graph: Graph) -> None:
    """Concatenations of concatenations that nothing else reads."""
    for cat in reversed(graph.calls(CAT)):
        outer = sole_user(cat)
        if outer is not None and outer.target is CAT and axis_of(outer) == axis_of(cat):
            continue
        leaves = leaves_of(cat, sole=True)
        if len(leaves) == len(_parts(cat)):
            continue
        origin = Provenance.of(cat)
        while len(leaves) > _MOST_PARTS:
            groups = [leaves[i : i + _MOST_PARTS] for i in range(0, len(leaves), _MOST_PARTS)]
            inner = Provenance(origin.sources, origin.path, [None])
            leaves = [graph.call(cat, CAT, (g, axis_of(cat)), inner) if len(g) > 1 else g[0] for g in groups]
        graph.replace(cat, graph.call(cat, CAT, (leaves, axis_of(cat)), origin))


def leaves_of(cat: fx.Node, *, sole: bool = False) -> list[fx.Node]:
    """The parts of ``cat``, and of parts that are concatenations along the same axis; ``sole``: read by it alone."""
    leaves = []
    for part in _parts(cat):
        nested = part.target is CAT and axis_of(part) == axis_of(cat) and (not sole or sole_user(part) is cat)
        leaves += leaves_of(part, sole=sole) if nested else [part]
    return leaves


def _parts(cat: fx.Node) -> list[fx.Node]:
    return list(cat.args[0])  # type: ignore[arg-type]


def axis_of(cat: fx.Node) -> int:
    return int(arguments(cat)["dim"]) % len(shape(cat))


def _distribute_step(graph: Graph, cat: fx.Node) -> fx.Node | None:
    """``cat`` of the parts behind the step that alone reads it; None if there is no such step."""
    step = sole_user(cat)
    axis, parts = axis_of(cat), _parts(cat)
    if step is None or step.op != "call_function":
        return None
    pieces = _pieces(graph, step, cat, parts, channel_dim=1 if axis == 1 else -1)
    if pieces is None:
        return None
    results = []
    for part, (target, args, kwargs) in zip(parts, pieces, strict=True):
        origin = Provenance(Provenance.of(step).sources, Provenance.of(part).path, [None])
        result = graph.call(step, target, args, origin, kwargs)
        results.append(graph.call(step, operator.getitem, (result, 0), origin) if target is BATCH_NORM else result)
    replaced = item(step, 0) if step.target is BATCH_NORM else step
    assert replaced is not None
    joined = graph.call(step, CAT, (results, axis), Provenance.of(cat).absorb(step, replaced))
    graph.replace(replaced, joined)
    graph.module.graph.erase_node(step) if replaced is not step else None
    graph.module.graph.erase_node(cat)
    return joined


Call = tuple[Any, tuple[Any, ...], dict[str, Any]]


def _pieces(graph: Graph, step: fx.Node, cat: fx.Node, parts: list[fx.Node], channel_dim: int) -> list[Call] | None:
    """``step`` as a call on each part; None if it does not treat each channel by itself."""
    named = arguments(step) if hasattr(step.target, "_schema") else {}
    if clamp_bounds(step, named) is not None or step.target is aten.leaky_relu.default:
        return [(step.target, (part, *step.args[1:]), dict(step.kwargs)) for part in parts]
    counts = [shape(part)[channel_dim] for part in parts]
    if step.target is BATCH_NORM and channel_dim == 1 and why_not_affine(graph, step) is None:
        tensors = [
            _split(graph, named[name], counts, step) for name in ("weight", "bias", "running_mean", "running_var")
        ]
        rest = (named["momentum"], named["eps"])
        return [(step.target, (part, *values, *rest), {}) for part, *values in zip(parts, *tensors, strict=True)]
    if step.target not in _WITH_CONSTANT or step.args[0] is not cat or shape(step) != shape(cat):
        return None
    if step.target is aten.prelu.default:
        slope = graph.constant(step.args[1])
        if channel_dim != 1 or slope is None:
            return None
        same = slope.numel() == 1
        values = [step.args[1]] * len(parts) if same else _split(graph, step.args[1], counts, step)
        return [(step.target, (part, value), {}) for part, value in zip(parts, values, strict=True)]
    if not isinstance(step.args[1], fx.Node):
        return [(step.target, (part, *step.args[1:]), dict(step.kwargs)) for part in parts]
    value = per_channel(graph, step.args[1], cat, channel_dim)
    if value is None:
        return None
    form = [-1 if axis == channel_dim % len(shape(cat)) else 1 for axis in range(len(shape(cat)))]
    constants = [graph.add_constant(piece.reshape(form).float(), step) for piece in value.split(counts)]
    return [(step.target, (part, constant), dict(step.kwargs)) for part, constant in zip(parts, constants, strict=True)]


def _split(graph: Graph, constant: object, counts: list[int], before: fx.Node) -> list[fx.Node | None]:
    value: Tensor | None = graph.constant(constant)
    if value is None:
        return [None] * len(counts)
    return [graph.add_constant(piece, before) for piece in value.split(counts)]
