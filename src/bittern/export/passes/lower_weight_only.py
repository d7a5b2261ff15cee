"""A layer with binary weights and a real-valued input, such as a first layer, keeps its weights packed.

conv2d(x, +-s)  ->  bittern::conv2d_weight_only(x, packed signs) * s,   and linear alike
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.binary import REAL_INPUT, WEIGHT_ONLY, pair, why_not_binary
from bittern.export.passes.lower_convolution import CONVOLUTIONS, own_padding, padded_input, scale_and_bias
from bittern.ops import epilogue, layout

_LINEAR = torch.ops.aten.linear.default


def why_not(layer: fx.Node, graph: Graph) -> str | None:
    """None if ``layer``, whose weights are binary and whose input is real, can run on packed weights, else why not."""
    weight = graph.constant(layer.args[1])
    assert weight is not None
    if layer.target is not _LINEAR and arguments(layer)["groups"] != 1:
        return f"{REAL_INPUT}, and it has {arguments(layer)['groups']} groups"
    if layer.target is not _LINEAR and len(shape(layer)) != 4:
        return f"{REAL_INPUT}, and it has no batch dimension"
    if weight[0].numel() > epilogue.MAX_DOT:
        return f"{REAL_INPUT}, and a filter has {weight[0].numel()} weights; at most {epilogue.MAX_DOT} are packed"
    if (reason := graph.why_not_constant(layer, "bias")) is not None:
        return f"{REAL_INPUT}, and {reason}"
    return None


def lower_weight_only(graph: Graph) -> None:
    for layer in graph.calls(*CONVOLUTIONS, _LINEAR):
        source = layer.args[0] if layer.target is _LINEAR else padded_input(layer)[0]
        if why_not_binary(source, graph.constant(layer.args[1])) != REAL_INPUT:
            continue
        if (reason := why_not(layer, graph)) is not None:
            graph.refuse(layer, reason)
            continue
        graph.refuse(layer, WEIGHT_ONLY)
        lower = _linear if layer.target is _LINEAR else _convolution
        target, args, padding = lower(graph, layer)
        named = arguments(layer)
        weight, bias = graph.constant(named["weight"]), graph.constant(named["bias"])
        assert weight is not None
        own = Provenance.of(layer)
        origin = Provenance((*padding, *own.sources), own.path, own.outputs)
        kwargs = scale_and_bias(graph, weight, bias, layer)
        graph.replace(layer, graph.call(layer, target, args, origin, kwargs))


def _linear(graph: Graph, linear: fx.Node) -> tuple[Any, tuple[Any, ...], tuple[str, ...]]:
    """Operator, arguments, and the nodes in front of ``linear`` that it stands for."""
    weight: Any = graph.constant(linear.args[1])
    packed = graph.add_constant(layout.pack_weight(weight), linear)
    args = linear.args[0], packed, weight.shape[1], weight.shape[0]
    return torch.ops.bittern.linear_weight_only.default, args, ()


def _convolution(graph: Graph, conv: fx.Node) -> tuple[Any, tuple[Any, ...], tuple[str, ...]]:
    named = arguments(conv)
    weight: Any = graph.constant(named["weight"])
    pad: Any = conv.args[0]
    source, padding, value = padded_input(conv)
    if padding is None or value != 0:
        source, padding = pad, own_padding(conv)  # stays in front
    geometry = (
        *(weight.shape[1], weight.shape[0], list(weight.shape[2:])),
        *(pair(named["stride"]), padding, pair(named["dilation"]), 1, 0),
    )
    packed = graph.add_constant(layout.pack_weight(weight), conv)
    sources = () if pad is source else Provenance.of(pad).sources
    return torch.ops.bittern.conv2d_weight_only.default, (source, packed, *geometry), sources
