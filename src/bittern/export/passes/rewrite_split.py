"""Splits as slices: XNNPACK has no splits."""

import operator

import torch

from bittern.export.graph import Graph, Provenance, arguments, shape

aten = torch.ops.aten


def rewrite_split(graph: Graph) -> None:
    for node in graph.calls(aten.split.Tensor, aten.split_with_sizes.default):
        named, own = arguments(node), Provenance.of(node)
        source = named["self"]
        axis = named["dim"] % len(shape(source))
        start = 0
        for index, part in enumerate(node.meta["val"]):
            size = int(part.shape[axis])
            for user in [u for u in node.users if u.target is operator.getitem and u.args[1] == index]:
                provenance = Provenance(own.sources, own.path, Provenance.of(user).outputs)
                args = (source, axis, start, start + size)
                graph.replace(user, graph.call(user, aten.slice.Tensor, args, provenance))
            start += size
