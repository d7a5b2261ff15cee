"""Folds BatchNorm behind a real-valued convolution or linear layer into its weights.

    W'(o) = W(o) * g(o),   b'(o) = b(o) * g(o) + h(o)        with g = gamma / sqrt(var + eps),  h = beta - mean * g

BatchNorm behind a binary layer keeps the weights' signs: `absorb_epilogue` takes it as multiplier and addend.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.binary import why_not_binary_weight
from bittern.export.passes.per_channel import BATCH_NORM, batch_norm_affine, item, why_not_affine

_FLOAT_LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding, torch.ops.aten.linear.default)


def why_not(layer: fx.Node, norm: fx.Node, graph: Graph) -> str | None:
    """None if the BatchNorm ``norm`` behind ``layer`` folds into its weights, else why not."""
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
    return graph.why_not_constant(layer, "bias") or why_not_affine(graph, norm)


def fold_batch_norm(graph: Graph) -> None:
    for norm in graph.calls(BATCH_NORM):
        layer = norm.args[0]
        assert isinstance(layer, fx.Node)
        if layer.op != "call_function" or why_not(layer, norm, graph) is not None:
            continue
        named = arguments(layer)
        weight, bias = graph.constant(named["weight"]), graph.constant(named["bias"])
        assert weight is not None
        g, h = batch_norm_affine(graph, norm, weight.shape[0])
        folded = weight.double() * g.reshape(-1, *[1] * (weight.dim() - 1))
        offset = h if bias is None else bias.double() * g + h
        named["weight"] = graph.add_constant(folded.float(), layer)
        named["bias"] = graph.add_constant(offset.float(), layer)
        result = item(norm, 0)
        assert result is not None
        origin = Provenance.of(layer).absorb(norm, result)
        folded_layer = graph.call(norm, layer.target, list(named.values()), origin)  # type: ignore[arg-type]
        graph.replace(result, folded_layer)
