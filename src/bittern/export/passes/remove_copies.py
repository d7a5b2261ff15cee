"""Removes copies that change nothing: what is left of dropout in evaluation mode, calls of `contiguous`, expansions to
the same shape, casts to the type that a tensor has.

A cast to the type of another tensor reads none of its values, and becomes one to that type. That a copy may change the
order of memory is no matter: a back end chooses its own.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape

aten = torch.ops.aten
_CASTS = (aten.type_as.default, aten.to.other)
_COPIES = (aten.clone.default, aten.alias.default, aten.detach.default)


def remove_copies(graph: Graph) -> None:
    for node in graph.calls(aten.expand.default):
        source = node.all_input_nodes[0]
        if shape(source) == shape(node):
            graph.replace(node, source)
    for node in graph.calls(aten.copy.default):
        new = node.args[1]
        if isinstance(new, fx.Node) and shape(new) == shape(node) and new.meta["val"].dtype == node.meta["val"].dtype:
            graph.replace(node, new)  # what `x.data = y` becomes
    for node in graph.calls(*_CASTS):
        source, dtype = node.all_input_nodes[0], node.meta["val"].dtype
        if source.meta["val"].dtype == dtype:
            graph.replace(node, source)
        else:
            own = Provenance.of(node)
            graph.replace(node, graph.call(node, aten._to_copy.default, (source,), own, {"dtype": dtype}))
    for node in graph.calls(*_COPIES):
        graph.replace(node, node.all_input_nodes[0])
