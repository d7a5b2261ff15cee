"""Moves what follows a packed layer into its epilogue, in the epilogue's fixed order (`bittern.ops.epilogue`).

    clamp -> BatchNorm, scale, bias -> clamp or PReLU -> + residual -> shift, PReLU, shift

A node is absorbed if the layer's result goes nowhere else and no later step is taken yet.
"""

import operator
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.per_channel import (
    BATCH_NORM,
    batch_norm_affine,
    clamp_bounds,
    item,
    per_channel,
    why_not_affine,
)
from bittern.ops import epilogue

aten = torch.ops.aten
LAYERS: dict[Any, int] = {
    torch.ops.bittern.conv2d.default: 1,
    torch.ops.bittern.linear.default: -1,
    torch.ops.bittern.conv2d_weight_only.default: 1,
    torch.ops.bittern.linear_weight_only.default: -1,
}
"""Packed layers with a float result, and the channel dimension of that result."""

Steps = dict[str, Any]
"""Epilogue fields of one layer: floats, float64 tensors [O], or the residual's node."""


def absorb_epilogue(graph: Graph) -> None:
    for layer in graph.calls(*LAYERS):
        steps = _steps(graph, layer)
        while True:
            user = sole_user(layer)
            if user is None or user.op != "call_function":
                break
            absorbed = _absorb(graph, layer, user, steps)
            if absorbed is None:
                break
            # A BatchNorm call returns a tuple, of which only the first value is read.
            result = (item(user, 0) if user.target is BATCH_NORM else user) or user
            steps = absorbed
            layer = _rebuild(graph, layer, user, result, steps)


def _absorb(graph: Graph, layer: fx.Node, user: fx.Node, steps: Steps) -> Steps | None:
    """The epilogue of ``layer`` with ``user`` taken in; None if it does not fit."""
    channel_dim = LAYERS[layer.target]
    channels = shape(layer)[channel_dim]
    if user.target is BATCH_NORM:
        # It normalises dimension 1, as PReLU's slopes are of dimension 1: the channels of images and of plain rows.
        if (channel_dim == -1 and len(shape(layer)) != 2) or why_not_affine(graph, user) is not None:
            return None
        g, h = batch_norm_affine(graph, user, channels)
        return _affine(_affine(steps, "mul", g), "add", h)
    named = arguments(user) if hasattr(user.target, "_schema") else {}
    if (bounds := clamp_bounds(user, named)) is not None:
        return _clamp(steps, *bounds)
    if user.target in (aten.prelu.default, aten.leaky_relu.default):
        slope = named["weight"] if user.target is aten.prelu.default else named["negative_slope"]
        return _prelu(steps, _slope(graph, slope, layer))
    if user.target in _ARITHMETIC and named.get("alpha", 1) == 1:
        other = user.args[0] if user.args[1] is layer else user.args[1]
        value = per_channel(graph, other, layer, channel_dim)
        if value is not None:
            return _arithmetic(steps, user.target, value, constant_first=user.args[1] is layer)
        if user.target is aten.add.Tensor and _is_residual(layer, other, user):
            return _set(steps, "residual", other)
    return None


_ARITHMETIC = (aten.add.Tensor, aten.sub.Tensor, aten.rsub.Scalar, aten.mul.Tensor, aten.div.Tensor)


def _arithmetic(steps: Steps, target: Any, value: Tensor, *, constant_first: bool) -> Steps | None:
    """The epilogue with ``v op value`` behind it, or ``value op v`` if ``constant_first``."""
    match target:
        case aten.add.Tensor:
            return _add(steps, value)
        case aten.rsub.Scalar:
            return _affine(_affine(steps, "mul", torch.full_like(value, -1.0)), "add", value)
        case aten.sub.Tensor if constant_first:
            return _affine(_affine(steps, "mul", torch.full_like(value, -1.0)), "add", value)
        case aten.sub.Tensor:
            return _add(steps, -value)
        case aten.mul.Tensor:
            return _affine(steps, "mul", value)
        case aten.div.Tensor if not constant_first and bool((value != 0).all()):
            return _affine(steps, "mul", 1 / value)
    return None


def _add(steps: Steps, value: Tensor) -> Steps | None:
    """A constant per channel: part of the affine map, or a shift around the second PReLU."""
    if (folded := _affine(steps, "add", value)) is not None:
        return folded
    return _set(steps, "shift_in", value) or _set(steps, "shift_out", value)


def _affine(steps: Steps | None, kind: str, value: Tensor) -> Steps | None:
    """``v * mul + add`` followed by another factor or addend, as one affine map in float64."""
    if steps is None or _last(steps) > epilogue.FIELDS.index("add"):
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
    """Before the affine map a clamp of the dot product, behind it a clamp of the activation."""
    prefix = "dot" if _last(steps) <= epilogue.FIELDS.index("dot_max") else "act"
    if _last(steps) >= epilogue.FIELDS.index(f"{prefix}_min"):
        return None
    return {**steps, **{f"{prefix}_{end}": v for end, v in (("min", low), ("max", high)) if v is not None}}


def _prelu(steps: Steps, slope: Tensor | None) -> Steps | None:
    return None if slope is None else _set(steps, "act_slope", slope) or _set(steps, "shift_slope", slope)


def _set(steps: Steps, field: str, value: Any) -> Steps | None:
    return {**steps, field: value} if _last(steps) < epilogue.FIELDS.index(field) else None


def _last(steps: Steps) -> int:
    """Position of the last step in use; -1 if none is."""
    return max((epilogue.FIELDS.index(field) for field in steps), default=-1)


def _is_residual(layer: fx.Node, other: object, user: fx.Node) -> bool:
    return (
        isinstance(other, fx.Node)
        and other is not layer
        and other.op in ("call_function", "placeholder")
        and isinstance(other.meta["val"], torch.Tensor)
        and other.meta["val"].dtype == torch.float32
        and shape(other) == shape(layer) == shape(user)
    )


def _slope(graph: Graph, slope: object, layer: fx.Node) -> Tensor | None:
    """Slopes of a PReLU, whose channels are dimension 1 whatever the rank, as float64 ``[O]``."""
    channels = shape(layer)[LAYERS[layer.target]]
    constant = torch.tensor(slope) if isinstance(slope, float) else graph.constant(slope)
    if constant is None or (constant.numel() != 1 and (LAYERS[layer.target] == -1) and len(shape(layer)) != 2):
        return None
    return constant.double().flatten().expand(channels)


def _steps(graph: Graph, layer: fx.Node) -> Steps:
    constants = {field: graph.constant(node) for field, node in layer.kwargs.items()}
    return {field: value.double() for field, value in constants.items() if value is not None}


def _rebuild(graph: Graph, layer: fx.Node, user: fx.Node, result: fx.Node, steps: Steps) -> fx.Node:
    """``layer`` with another epilogue, in the place of ``result``, which it now equals."""
    kwargs = {
        field: graph.add_constant(value.float(), user) if isinstance(value, Tensor) else value
        for field, value in steps.items()
    }
    origin = Provenance.of(layer).absorb(user, result)
    fused = graph.call(result, layer.target, layer.args, origin, kwargs)  # type: ignore[arg-type]
    graph.replace(result, fused)
    if user is not result:
        for leftover in [node for node in user.users if node.target is operator.getitem]:
            graph.module.graph.erase_node(leftover)
        graph.module.graph.erase_node(user)
    graph.module.graph.erase_node(layer)
    return fused
