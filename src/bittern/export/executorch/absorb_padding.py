"""Padding with zeros in front of a convolution becomes its own, which is what XNNPACK computes on integers.

A convolution pads both sides alike. Where the network pads one side more, the kernel gets rows or columns of zeros on
the other, which reach into the padding alone: `padding="same"` of kernels of even size, TensorFlow's for strides.
"""

import torch
import torch.nn.functional as F
from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.views import ConvLayer, Pad, matching

_CONV = torch.ops.aten.conv2d.default


def absorb_padding(graph: Graph) -> None:
    for layer in matching(graph, ConvLayer.match):
        if why_not(graph, layer) is not None:
            continue
        pad = Pad.match(layer.input)
        outside = pad if pad is not None and pad.value == 0 else None
        if outside is None and layer.node.target is _CONV:
            continue
        source, own = (layer.input, (0, 0, 0, 0)) if outside is None else (outside.input, outside.padding)
        top, bottom, left, right = (inner + outer for inner, outer in zip(layer.padding, own, strict=True))
        weight = graph.constant(layer.weight)
        assert weight is not None
        zeros = (max(right - left, 0), max(left - right, 0), max(bottom - top, 0), max(top - bottom, 0))
        filters = graph.add_constant(F.pad(weight, zeros), layer.node) if any(zeros) else layer.weight
        sides = [max(top, bottom), max(left, right)]
        args = (source, filters, layer.bias, list(layer.stride), sides, list(layer.dilation), layer.groups)
        graph.replace(layer.node, graph.call(layer.node, _CONV, args, Provenance.of(layer.node)))
    graph.clean()


def why_not(graph: Graph, layer: ConvLayer) -> str | None:
    """None if the padding in front of ``layer`` can become its own, else why not."""
    value: fx.Node = layer.node
    if len(value.meta["val"].shape) != 4:
        return "it reads a lone image"
    if graph.constant(layer.weight) is None:
        return "its weights are computed"
    return None if layer.dilation == (1, 1) else "zeros between the taps of its kernel would move the others"
