"""What a node does to each channel by itself: constants per channel, BatchNorm's affine map, bounds of a clamp."""

import operator
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, arguments, shape

aten = torch.ops.aten
BATCH_NORM = aten._native_batch_norm_legit_no_training.default


def per_channel(graph: Graph, value: object, like: fx.Node, channel_dim: int) -> Tensor | None:
    """A constant that is one number per channel of ``like`` as float64 ``[C]``; None for anything else."""
    target = [1] * len(shape(like))
    target[channel_dim] = shape(like)[channel_dim]
    if isinstance(value, (int, float)):
        return torch.full((target[channel_dim],), float(value), dtype=torch.float64)
    constant = graph.constant(value)
    if constant is None or not constant.is_floating_point():
        return None
    try:
        fits = list(torch.broadcast_shapes(constant.shape, target)) == target
    except RuntimeError:
        return None
    return constant.double().expand(target).flatten() if fits else None


def why_not_affine(graph: Graph, norm: fx.Node) -> str | None:
    """None if the BatchNorm ``norm`` has constants alone, so that :func:`batch_norm_affine` holds, else why not."""
    return graph.why_not_constant(norm, "weight", "bias", "running_mean", "running_var")


def batch_norm_affine(graph: Graph, node: fx.Node, channels: int) -> tuple[Tensor, Tensor]:
    """BatchNorm in evaluation mode as ``x * g + h``; float64 ``[channels]`` each. Ask :func:`why_not_affine` first."""
    named = arguments(node)
    mean, variance = graph.constant(named["running_mean"]), graph.constant(named["running_var"])
    assert mean is not None
    assert variance is not None
    gamma, beta = graph.constant(named["weight"]), graph.constant(named["bias"])
    one = torch.ones(channels, dtype=torch.float64)
    g = (one if gamma is None else gamma.double()) / torch.sqrt(variance.double() + named["eps"])
    return g, (0 * one if beta is None else beta.double()) - mean.double() * g


def clamp_bounds(user: fx.Node, named: dict[str, Any]) -> tuple[float | None, float | None] | None:
    """Bounds of a ReLU-like operator; None for any other operator."""
    match user.target:
        case aten.relu.default:
            return 0.0, None
        case aten.relu6.default:
            return 0.0, 6.0
        case aten.hardtanh.default:
            return float(named["min_val"]), float(named["max_val"])
        case aten.clamp.default | aten.clamp_min.default | aten.clamp_max.default:
            bounds = named.get("min"), named.get("max")
            low, high = (None if bound is None else float(bound) for bound in bounds)
            return low, high
    return None


def item(node: fx.Node, index: int) -> fx.Node | None:
    """The ``getitem`` node that reads output ``index`` of ``node``, if there is one."""
    return next((user for user in node.users if user.target is operator.getitem and user.args[1] == index), None)
