"""Moves what follows a packed layer into its epilogue, in the epilogue's fixed order (`bittern.ops.epilogue`).

    clamp -> BatchNorm, scale, bias -> clamp or PReLU -> + residual -> shift, PReLU, shift

A node is absorbed if the layer's result goes nowhere else and no later step is taken yet.
"""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.per_channel import ChannelAffine
from bittern.export.passes.views import Clamp, PackedLayer, PRelu, matching
from bittern.ops import epilogue

Steps = dict[str, Any]
"""Epilogue fields of one layer: floats, float64 tensors [O], or the residual's node."""


def absorb_epilogue(graph: Graph) -> None:
    for layer in matching(graph, PackedLayer.match_float):
        constants = {field: graph.constant(node) for field, node in layer.epilogue.items()}
        steps: Steps = {field: value.double() for field, value in constants.items() if value is not None}
        absorbed = [layer.node]  # each reads the one before
        while (user := sole_user(absorbed[-1])) is not None:
            found = _absorb(graph, layer, absorbed[-1], user, steps)
            if found is None:
                break
            steps = found
            absorbed.append(user)
        if len(absorbed) > 1:
            _rebuild(graph, layer, absorbed, steps)


def _absorb(graph: Graph, layer: PackedLayer, result: fx.Node, user: fx.Node, steps: Steps) -> Steps | None:
    """The epilogue of ``layer``, which gives ``result`` by now, with ``user`` taken in; None if it does not fit."""
    if (affine := ChannelAffine.match(graph, user, layer.channel_dim)) is not None:
        if affine.factor is None and affine.addend is not None:
            return _add(steps, affine.addend)
        return _affine(_affine(steps, "mul", affine.factor), "add", affine.addend)
    if (clamp := Clamp.match(user)) is not None:
        return _clamp(steps, clamp.low, clamp.high)
    if (prelu := PRelu.match(user)) is not None:
        slope = None if prelu.input is not result else _slope(graph, prelu.slope, layer)
        return None if slope is None else _set(steps, "act_slope", slope) or _set(steps, "shift_slope", slope)
    if user.target is torch.ops.aten.add.Tensor and arguments(user)["alpha"] == 1:
        left, right = user.args[:2]
        other = left if right is result else right
        return _set(steps, "residual", other) if _is_residual(result, other, user) else None
    return None


def _add(steps: Steps, value: Tensor) -> Steps | None:
    """A constant per channel: part of the affine map, or a shift around the second PReLU."""
    return _affine(steps, "add", value) or _set(steps, "shift_in", value) or _set(steps, "shift_out", value)


def _affine(steps: Steps | None, kind: str, value: Tensor | None) -> Steps | None:
    """``v * mul + add`` followed by another factor or addend, as one affine map in float64."""
    if steps is None or value is None:
        return steps
    if _last(steps) > epilogue.FIELDS.index("add"):
        return None
    steps = dict(steps)
    if kind == "mul":
        steps["mul"] = value * steps.get("mul", 1.0)
        if "add" in steps:
            steps["add"] = value * steps["add"]
    else:
        steps["add"] = value + steps.get("add", 0.0)
    return steps


def _clamp(steps: Steps, low: float | None, high: float | None) -> Steps | None:
    """In front of the affine map a clamp of the dot product, behind it a clamp of the activation."""
    prefix = "dot" if _last(steps) <= epilogue.FIELDS.index("dot_max") else "act"
    if _last(steps) >= epilogue.FIELDS.index(f"{prefix}_min"):
        return None
    return {**steps, **{f"{prefix}_{end}": v for end, v in (("min", low), ("max", high)) if v is not None}}


def _set(steps: Steps, field: str, value: Any) -> Steps | None:
    return {**steps, field: value} if _last(steps) < epilogue.FIELDS.index(field) else None


def _last(steps: Steps) -> int:
    """Position of the last step in use; -1 if none is."""
    return max((epilogue.FIELDS.index(field) for field in steps), default=-1)


def _is_residual(result: fx.Node, other: object, user: fx.Node) -> bool:
    return (
        isinstance(other, fx.Node)
        and other is not result
        and other.op in ("call_function", "placeholder")
        and isinstance(other.meta["val"], Tensor)
        and other.meta["val"].dtype == torch.float32
        and shape(other) == shape(result) == shape(user)
    )


def _slope(graph: Graph, slope: fx.Node | float, layer: PackedLayer) -> Tensor | None:
    """Slopes of a PReLU, whose channels are dimension 1 whatever the rank, as float64 ``[O]``."""
    constant = graph.constant(slope) if isinstance(slope, fx.Node) else torch.tensor(slope)
    if constant is None or (constant.numel() != 1 and layer.channel_dim == -1 and len(shape(layer.node)) != 2):
        return None
    return constant.double().flatten().expand(layer.channels)


def _rebuild(graph: Graph, layer: PackedLayer, absorbed: list[fx.Node], steps: Steps) -> None:
    """``layer`` with another epilogue, in the place of the last of the ``absorbed`` nodes, which it now equals."""
    provenance = Provenance.of(layer.node)
    for node in absorbed[1:]:
        provenance = provenance.absorb(node)
    last = absorbed.pop()
    kwargs = {
        field: graph.add_constant(value.float(), last) if isinstance(value, Tensor) else value
        for field, value in steps.items()
    }
    graph.replace(last, graph.call(last, layer.node.target, layer.node.args, provenance, kwargs))
    for node in reversed(absorbed):
        graph.module.graph.erase_node(node)
