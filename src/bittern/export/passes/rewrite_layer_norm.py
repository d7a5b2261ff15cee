"""LayerNorm and means over one axis as matrix products: XNNPACK has neither.

mean(x)[..., 0] = x @ (1 / D ... 1 / D), over channels of images by a 1x1 convolution
LayerNorm(x) = (x - mean) * rsqrt(mean((x - mean)^2) + eps) * g + h
"""

import operator
from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape

aten = torch.ops.aten
_NORMS = (aten.native_layer_norm.default, aten.layer_norm.default)


def rewrite_layer_norm(graph: Graph) -> None:
    for node in graph.calls(*_NORMS):
        named = arguments(node)
        source = named["input"]
        if len(named["normalized_shape"]) != 1 or shape(source)[-1] != named["normalized_shape"][0]:
            continue
        tuple_form = node.target is aten.native_layer_norm.default
        for result in list(node.users) if tuple_form else [node]:
            if not tuple_form or (result.target is operator.getitem and result.args[1] == 0):
                graph.replace(result, _normalized(graph, node, source, named))
    for node in graph.calls(aten.mean.dim):
        named = arguments(node)
        rank = len(shape(named["self"]))
        axes = [axis % rank for axis in named["dim"] or ()]
        if rank == 4 and axes == [1] and isinstance(shape(named["self"])[1], int):
            graph.replace(node, _mean_over_channels(graph, node, named["self"]))
            continue
        # Over the pixels of an image XNNPACK pools.
        if rank not in (2, 3) or len(axes) != 1 or axes[0] == 0:
            continue
        graph.replace(node, _mean_over(graph, node, named["self"], axes[0], named["keepdim"]))


def _normalized(graph: Graph, node: fx.Node, x: fx.Node, named: dict[str, Any]) -> fx.Node:
    provenance = Provenance.of(node).intermediate()

    def call(target: Any, *args: Any) -> fx.Node:
        return graph.call(node, target, args, provenance)

    centered = call(aten.sub.Tensor, x, _mean(graph, node, x, provenance))
    variance = _mean(graph, node, call(aten.mul.Tensor, centered, centered), provenance)
    y = call(aten.mul.Tensor, centered, call(aten.rsqrt.default, call(aten.add.Tensor, variance, named["eps"])))
    y = y if named["weight"] is None else call(aten.mul.Tensor, y, named["weight"])
    y = y if named["bias"] is None else call(aten.add.Tensor, y, named["bias"])
    Provenance.of(node).attach(y)
    return y


def _mean(graph: Graph, before: fx.Node, x: fx.Node, provenance: Provenance) -> fx.Node:
    """The mean over the last axis, which stays with size 1."""
    count = shape(x)[-1]
    weight = graph.add_constant(torch.full((1, count), 1.0 / count), before)
    return graph.call(before, aten.linear.default, (x, weight), provenance)


def _mean_over_channels(graph: Graph, node: fx.Node, image: fx.Node) -> fx.Node:
    count, own = shape(image)[1], Provenance.of(node)
    weight = graph.add_constant(torch.full((1, count, 1, 1), 1.0 / count), node)
    mean = graph.call(node, aten.conv2d.default, (image, weight), own)
    return mean if len(shape(node)) == 4 else graph.call(node, aten.reshape.default, (mean, view_shape(node)), own)


def _mean_over(graph: Graph, node: fx.Node, x: fx.Node, axis: int, keep: bool) -> fx.Node:
    provenance, last = Provenance.of(node), len(shape(x)) - 1
    order = [i for i in range(last + 1) if i != axis] + [axis]
    reordered = x if axis == last else graph.call(node, aten.permute.default, (x, order), provenance)
    mean = _mean(graph, node, reordered, provenance)
    if keep and axis == last:
        return mean
    return graph.call(node, aten.view.default, (mean, view_shape(node)), provenance)
