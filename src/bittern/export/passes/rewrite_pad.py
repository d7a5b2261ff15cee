"""Negative padding cuts an image off: a slice, and padding with what is not negative. XNNPACK pads outwards only."""

import torch

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.views.aten import PADS

aten = torch.ops.aten


def rewrite_pad(graph: Graph) -> None:
    for node in graph.calls(*PADS):
        named, own = arguments(node), Provenance.of(node)
        pad, x = list(named["pad"]), named["self"]
        padded = shape(x)[len(shape(x)) - len(pad) // 2 :]
        if min(pad, default=0) >= 0 or named.get("mode", "constant") != "constant":
            continue
        if not all(isinstance(size, int) for size in padded):
            continue
        for pair in range(len(pad) // 2):
            axis = len(shape(x)) - 1 - pair
            before, after = (max(-size, 0) for size in pad[2 * pair : 2 * pair + 2])
            if before or after:
                args = (x, axis, before, shape(x)[axis] - after)
                x = graph.call(node, aten.slice.Tensor, args, own.intermediate())
        rest = [max(size, 0) for size in pad]
        if any(rest):
            x = graph.call(node, aten.constant_pad_nd.default, (x, rest, named["value"] or 0.0), own)
        else:
            own.attach(x)
        graph.replace(node, x)
