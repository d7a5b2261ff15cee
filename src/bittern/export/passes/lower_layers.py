"""Layers of signs with signs run on packed operands: their weights' magnitude s and their bias become the epilogue.

conv2d(binarize(x), +-s)  ->  bittern::conv2d(pack(x), packed signs) * s          and linear alike
"""

from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.binary import (
    REAL_INPUT,
    REAL_VALUED,
    lost_signs,
    magnitudes,
    packed,
    why_not_binary,
)
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.views import ConvLayer, Layer, LayerForms, LinearLayer, PaddedInput, matching
from bittern.export.passes.views.packed import PACKED_CONV2D, PACKED_LINEAR
from bittern.ops import epilogue, layout


def why_not(layer: Layer, graph: Graph) -> str | None:
    """None if ``layer`` can run on bits, else why not."""
    padded, weight = PaddedInput.of(layer), graph.constant(layer.weight)
    reason = why_not_binary(padded.source, weight)
    if weight is None or reason is not None:
        return reason
    if isinstance(layer, LinearLayer) and padded.source.target is not BINARIZE:
        return "its input is pooled along channels"
    if padded.padding is None:
        return "its input is padded twice with different values: pad once, with 0, +1 or -1"
    if padded.value not in (0.0, 1.0, -1.0):
        return f"its input is padded with {padded.value}; bits can only be padded with 0, +1 or -1"
    return why_not_packed(layer, weight, graph)


def why_not_packed(layer: Layer, weight: Tensor, graph: Graph) -> str | None:
    """None if a packed layer can have the shape and the operands of ``layer``, else why not."""
    if isinstance(layer, ConvLayer) and len(shape(layer.node)) != 4:
        return "its input has no batch dimension"
    if weight[0].numel() > epilogue.MAX_DOT:
        return f"a filter has {weight[0].numel()} weights; at most {epilogue.MAX_DOT} keep float32 dots exact"
    return graph.why_not_constant(layer.node, "bias")


def lower_layers(graph: Graph) -> None:
    # Constants stand in the file in the order in which they are made.
    for layer in chain(matching(graph, ConvLayer.match), matching(graph, LinearLayer.match)):
        if (reason := why_not(layer, graph)) is not None:
            lost = lost_signs(graph, PaddedInput.of(layer).source) if reason in (REAL_VALUED, REAL_INPUT) else None
            graph.refuse(layer.node, reason if lost is None else lost)
            if lost is not None:
                graph.warn(layer.node, f"computes in float: {lost}")
            continue
        padded = PaddedInput.of(layer)
        bits = packed(graph, padded.source, layer.channel_dim)
        lower_layer(graph, layer, PACKED_CONV2D if isinstance(layer, ConvLayer) else PACKED_LINEAR, bits, padded)


def lower_layer(graph: Graph, layer: Layer, forms: LayerForms, x: fx.Node, padded: PaddedInput) -> None:
    """Replaces ``layer`` by the packed layer ``forms`` on ``x``, with the border of ``padded``."""
    weight, bias = graph.constant(layer.weight), graph.constant(layer.bias)
    assert weight is not None
    filters = graph.add_constant(layout.pack_weight(weight, layer.groups), layer.node)
    numbers: tuple[Any, ...] = (weight.shape[1] * layer.groups, len(weight))
    if isinstance(layer, ConvLayer):
        assert padded.padding is not None
        sizes = (layer.kernel_size, layer.stride, padded.padding, layer.dilation)
        numbers = (*numbers, *map(list, sizes), layer.groups, int(padded.value))
    provenance = Provenance.of(layer.node)
    if padded.pad is not None:
        provenance = provenance.behind(*Provenance.of(padded.pad).sources)
    steps = {}
    scale = magnitudes(weight).float()
    if not torch.equal(weight.flatten(1).abs(), scale[:, None].expand(-1, weight[0].numel())):
        graph.note(layer.node, "its weights are +s and -s up to a few units in the last place, and taken for that")
    if bool((scale != 1).any()):
        steps["mul"] = graph.add_constant(scale, layer.node)
    if bias is not None:
        steps["add"] = graph.add_constant(bias.float(), layer.node)
    graph.replace(layer.node, graph.call(layer.node, forms.value, (x, filters, *numbers), provenance, steps))
