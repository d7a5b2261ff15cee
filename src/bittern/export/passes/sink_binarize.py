"""Moves `binarize` behind whatever moves values: signs of moved values are moved signs.

    view(binarize(x)) = binarize(view(x)),   cat(binarize(a), binarize(b)) = binarize(cat(a, b))

Layers then find their input's `binarize` right in front of them, however it was reshaped, split or joined.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.signs import BINARIZE, MOVES, SMALLEST, positive_part
from bittern.export.passes.views.aten import MAX_POOL

aten = torch.ops.aten


def sink_binarize(graph: Graph) -> None:
    for node in graph.calls(*MOVES, MAX_POOL):
        if why_not(node) is not None:
            continue
        own, signs = Provenance.of(node), [x for x in node.all_input_nodes if x.target is BINARIZE]
        args, kwargs = fx.map_arg((node.args, node.kwargs), _value)
        moved = graph.call(node, node.target, args, own.intermediate(), kwargs)
        if positive_part(signs[0]) is not None:
            moved = graph.call(node, aten.sub.Tensor, (moved, SMALLEST), own.auxiliary())
        sources = [source for x in signs for source in Provenance.of(x).sources]
        graph.replace(node, graph.call(node, BINARIZE, (moved,), Provenance(sources, own.path, own.outputs)))


def _value(node: fx.Node) -> fx.Node:
    """What was binarized to ``node``, or itself."""
    if node.target is not BINARIZE:
        return node
    positive = positive_part(node)
    return node.all_input_nodes[0] if positive is None else positive


def why_not(node: fx.Node) -> str | None:
    """None if ``node``, which moves or pools values, moves those of `binarize` alone and had better do so before it."""
    if node.target is MAX_POOL and not any(user.target in MOVES for user in node.users):
        return "pooled signs that go straight to a layer are pooled as bits"
    if node.meta["val"].dtype != torch.float32:
        return "its result is not float32"
    tensors = [x for x in node.all_input_nodes if isinstance(x.meta["val"], torch.Tensor)]
    if not tensors or any(x.target is not BINARIZE for x in tensors):
        return "it moves other values than signs"
    if len({positive_part(x) is None for x in tensors}) > 1:
        return "it joins signs that are +1 at 0 with signs that are -1"
    return None
