"""A layer with binary weights and a real-valued input, such as a first layer, keeps its weights packed.

conv2d(x, +-s)  ->  bittern::conv2d_weight_only(x, packed signs) * s,   and linear alike
"""

from torch import Tensor

from bittern.export.graph import Graph
from bittern.export.passes.binary import REAL_INPUT, WEIGHT_ONLY, lost_signs, why_not_binary
from bittern.export.passes.lower_layers import lower_layer, why_not_packed
from bittern.export.passes.views import ConvLayer, Layer, PaddedInput, match_layer, matching
from bittern.export.passes.views.packed import PACKED_CONV2D_WEIGHT_ONLY, PACKED_LINEAR_WEIGHT_ONLY


def why_not(layer: Layer, weight: Tensor, graph: Graph) -> str | None:
    """None if ``layer``, whose weights are binary and whose input is real, can run on packed weights, else why not."""
    reason = f"it has {layer.groups} groups" if layer.groups != 1 else why_not_packed(layer, weight, graph)
    return reason and f"{REAL_INPUT}, and {reason}"


def lower_weight_only(graph: Graph) -> None:
    for layer in matching(graph, match_layer):
        padded, weight = PaddedInput.of(layer), graph.constant(layer.weight)
        if weight is None or why_not_binary(padded.source, weight) != REAL_INPUT:
            continue
        if (reason := why_not(layer, weight, graph)) is not None:
            graph.refuse(layer.node, reason)
            continue
        lost = lost_signs(graph, padded.source)
        graph.refuse(layer.node, WEIGHT_ONLY if lost is None else f"{WEIGHT_ONLY}; {lost}")
        if padded.padding is None or padded.value != 0:
            padded = PaddedInput.own(layer)  # a border of another value stays in front
        forms = PACKED_CONV2D_WEIGHT_ONLY if isinstance(layer, ConvLayer) else PACKED_LINEAR_WEIGHT_ONLY
        lower_layer(graph, layer, forms, padded.source, padded)
