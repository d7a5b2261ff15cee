"""`linear(binarize(x), +-s)` becomes `bittern::linear` on packed rows and packed weights, times s."""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments
from bittern.export.passes.binary import BINARIZE, packed, why_not_binary
from bittern.export.passes.lower_convolution import scale_and_bias
from bittern.ops import epilogue, layout


def why_not(linear: fx.Node, graph: Graph) -> str | None:
    """None if ``linear`` can run on bits, else why not."""
    weight = graph.constant(linear.args[1])
    if (reason := why_not_binary(linear.args[0], weight)) is not None:
        return reason
    assert weight is not None
    if linear.args[0].target is not BINARIZE:  # type: ignore[union-attr]
        return "its input is pooled along channels"
    if weight.shape[1] > epilogue.MAX_DOT:
        return f"a row has {weight.shape[1]} bits; at most {epilogue.MAX_DOT} keep float32 dots exact"
    return graph.why_not_constant(linear, "bias")


def lower_linear(graph: Graph) -> None:
    for linear in graph.calls(torch.ops.aten.linear.default):
        if (reason := why_not(linear, graph)) is not None:
            graph.refuse(linear, reason)
            continue
        named = arguments(linear)
        weight, bias = graph.constant(named["weight"]), graph.constant(named["bias"])
        source = linear.args[0]
        assert weight is not None
        assert isinstance(source, fx.Node)
        args = (
            packed(graph, source, channel_dim=-1),
            graph.add_constant(layout.pack_weight(weight), linear),
            weight.shape[1],
            weight.shape[0],
        )
        kwargs = scale_and_bias(graph, weight, bias, linear)
        graph.replace(linear, graph.call(linear, torch.ops.bittern.linear.default, args, Provenance.of(linear), kwargs))
