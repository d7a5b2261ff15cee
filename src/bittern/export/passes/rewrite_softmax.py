"""Softmax of rows: XNNPACK knows no other, and would take the last axis of memory, which in images is the channels."""

import torch

from bittern.export.graph import Graph, Provenance, arguments, shape, view_shape

aten = torch.ops.aten


def rewrite_softmax(graph: Graph) -> None:
    for node in graph.calls(aten.softmax.int, aten._softmax.default):
        named, own = arguments(node), Provenance.of(node)
        x, rank = named["self"], len(shape(node))
        if rank == 0 or node.meta["val"].dtype != torch.float32:
            continue
        axis = named["dim"] % rank
        if not isinstance(shape(node)[axis], int) or (axis == rank - 1 and rank != 4):
            continue
        order = [i for i in range(rank) if i != axis] + [axis]
        part = own.intermediate()
        moved = x if axis == rank - 1 else graph.call(node, aten.permute.default, (x, order), part)
        rows = graph.call(node, aten.reshape.default, (moved, [-1, shape(node)[axis]]), part)
        result = graph.call(node, node.target, (rows, 1, *node.args[2:]), part, node.kwargs)
        if axis == rank - 1:
            result = graph.call(node, aten.view.default, (result, view_shape(node)), own)
        else:
            result = graph.call(node, aten.view.default, (result, view_shape(moved)), part)
            back = [order.index(i) for i in range(rank)]
            result = graph.call(node, aten.permute.default, (result, back), own)
        graph.replace(node, result)
