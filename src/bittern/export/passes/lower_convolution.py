"""`conv2d(binarize(x), +-s)` becomes `bittern::conv2d` on packed activations and packed weights, times s."""

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.binary import packed, pair, why_not_binary
from bittern.ops import epilogue, layout

CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding)
PADS = (torch.ops.aten.pad.default, torch.ops.aten.constant_pad_nd.default)


def why_not(conv: fx.Node, graph: Graph) -> str | None:
    """None if ``conv`` can run on bits, else why not."""
    source, padding, value = padded_input(conv)
    weight = graph.constant(conv.args[1])
    if (reason := why_not_binary(source, weight)) is not None:
        return reason
    if padding is None:
        return "its input is padded twice with different values: pad once, with 0, +1 or -1"
    if value not in (0.0, 1.0, -1.0):
        return f"its input is padded with {value}; bits can only be padded with 0, +1 or -1"
    if len(shape(conv)) != 4:
        return "its input has no batch dimension"
    assert weight is not None
    if weight[0].numel() > epilogue.MAX_DOT:
        return f"a filter has {weight[0].numel()} bits; at most {epilogue.MAX_DOT} keep float32 dots exact"
    return graph.why_not_constant(conv, "bias")


def lower_convolution(graph: Graph) -> None:
    for conv in graph.calls(*CONVOLUTIONS):
        if (reason := why_not(conv, graph)) is not None:
            graph.refuse(conv, reason)
            continue
        source, padding, value = padded_input(conv)
        named = arguments(conv)
        weight, bias = graph.constant(named["weight"]), graph.constant(named["bias"])
        assert weight is not None
        assert padding is not None
        assert isinstance(source, fx.Node)
        bits = packed(graph, source, channel_dim=1)
        geometry = (
            shape(source)[1],
            weight.shape[0],
            list(weight.shape[2:]),
            pair(named["stride"]),
            padding,
            pair(named["dilation"]),
            named["groups"],
            int(value),
        )
        filters = graph.add_constant(layout.pack_weight(weight, named["groups"]), conv)
        pad = conv.args[0]
        padding_sources = Provenance.of(pad).sources if isinstance(pad, fx.Node) and pad is not source else ()
        origin = Provenance(
            (*padding_sources, *Provenance.of(conv).sources), Provenance.of(conv).path, Provenance.of(conv).outputs
        )
        kwargs = scale_and_bias(graph, weight, bias, conv)
        graph.replace(
            conv, graph.call(conv, torch.ops.bittern.conv2d.default, (bits, filters, *geometry), origin, kwargs)
        )


def scale_and_bias(graph: Graph, weight: Tensor, bias: Tensor | None, before: fx.Node) -> dict[str, fx.Node]:
    """The weights' magnitude and the bias as steps of the epilogue; a magnitude of 1 needs none."""
    scale = weight.flatten(1)[:, 0].abs().float()
    steps = {}
    if bool((scale != 1).any()):
        steps["mul"] = graph.add_constant(scale, before)
    if bias is not None:
        steps["add"] = graph.add_constant(bias.float(), before)
    return steps


def padded_input(conv: fx.Node) -> tuple[object, list[int] | None, float]:
    """The unpadded input, (top, bottom, left, right), and the padding's value. None: cannot be one padding."""
    own = own_padding(conv)
    source = conv.args[0]
    if not isinstance(source, fx.Node) or source.target not in PADS:
        return source, own, 0.0
    named = arguments(source)
    left, right, top, bottom = (list(named["pad"]) + [0] * 4)[:4]
    value = named["value"] or 0.0
    if named.get("mode", "constant") != "constant" or len(named["pad"]) > 4 or min(left, right, top, bottom) < 0:
        return source, own, 0.0
    if any(own) and value != 0:
        return named.get("self", source.args[0]), None, value
    outer = [top, bottom, left, right]
    return source.args[0], [a + b for a, b in zip(own, outer, strict=True)], float(value)


def own_padding(conv: fx.Node) -> list[int]:
    """The padding of the convolution itself: top, bottom, left, right."""
    named = arguments(conv)
    padding = named["padding"]
    if padding == "valid":
        return [0, 0, 0, 0]
    if padding == "same":
        kernel, dilation = shape(conv.args[1])[2:], pair(named["dilation"])  # type: ignore[arg-type]
        total = [dilation[axis] * (kernel[axis] - 1) for axis in (0, 1)]
        # As torch: the odd pixel goes to the bottom and to the right.
        return [total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2]
    vertical, horizontal = pair(padding)
    return [vertical, vertical, horizontal, horizontal]
