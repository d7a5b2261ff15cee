"""Folds BatchNorm behind a real-valued convolution or linear layer into its weights.

    W'(o) = W(o) * g(o),   b'(o) = b(o) * g(o) + h(o)        with g = gamma / sqrt(var + eps),  h = beta - mean * g

BatchNorm behind a binary layer keeps the weights' signs: `absorb_epilogue` takes it as multiplier and addend.
"""

import operator

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Origin, arguments, shape, sole_user
from bittern.export.passes.binary import why_not_binary_weight

BATCH_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default
_FLOAT_LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding, torch.ops.aten.linear.default)


def batch_norm_affine(graph: Graph, node: fx.Node, channels: int) -> tuple[Tensor, Tensor]:
    """BatchNorm in evaluation mode as ``x * g + h``; float64 ``[channels]`` each."""
    named = arguments(node)
    mean, variance = graph.constant(named["running_mean"]), graph.constant(named["running_var"])
    assert mean is not None
    assert variance is not None
    gamma, beta = graph.constant(named["weight"]), graph.constant(named["bias"])
    one = torch.ones(channels, dtype=torch.float64)
    g = (one if gamma is None else gamma.double()) / torch.sqrt(variance.double() + named["eps"])
    return g, (0 * one if beta is None else beta.double()) - mean.double() * g


def why_not(layer: fx.Node, graph: Graph) -> str | None:
    """None if a BatchNorm behind ``layer`` folds into its weights, else why not."""
    if layer.target not in _FLOAT_LAYERS:
        return f"{layer.name} is no convolution or linear layer"
    if layer.target is torch.ops.aten.linear.default and len(shape(layer)) != 2:
        return f"{layer.name} has its features last, and BatchNorm normalises dimension 1"
    if sole_user(layer) is None:
        return f"{layer.name} is read by {len(layer.users)} nodes, needs exactly 1"
    weight = graph.constant(layer.args[1])
    if weight is None:
        return f"the weight of {layer.name} is computed from the input"
    if why_not_binary_weight(weight) is None:
        return f"{layer.name} has binary weights, which folding would destroy"
    return None


def fold_batch_norm(graph: Graph) -> None:
    for norm in graph.calls(BATCH_NORM):
        layer = norm.args[0]
        assert isinstance(layer, fx.Node)
        if layer.op != "call_function" or why_not(layer, graph) is not None:
            continue
        named = arguments(layer)
        weight, bias = graph.constant(named["weight"]), graph.constant(named["bias"])
        assert weight is not None
        g, h = batch_norm_affine(graph, norm, weight.shape[0])
        folded = weight.double() * g.reshape(-1, *[1] * (weight.dim() - 1))
        offset = h if bias is None else bias.double() * g + h
        named["weight"] = graph.add_constant(folded.float(), layer)
        named["bias"] = graph.add_constant(offset.float(), layer)
        result = next(user for user in norm.users if user.target is operator.getitem)
        origin = Origin.of(layer).absorb(norm, result.name)
        folded_layer = graph.call(norm, layer.target, list(named.values()), origin)  # type: ignore[arg-type]
        graph.replace(result, folded_layer)
