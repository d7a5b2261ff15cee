"""Computes at export everything that depends on no input: signs of weights, their scales, reshaped parameters.

After this pass the weight of a binary layer is one constant, whichever expression produced it.
"""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph


def fold_constants(graph: Graph) -> None:
    parts: dict[fx.Node, Any] = {}  # results that are several tensors, of which others read one
    for node in graph.calls():
        found, result = _computed(graph, node, parts)
        if isinstance(result, Tensor):
            graph.replace(node, graph.add_constant(result, node))
        elif found:
            parts[node] = result


def constant_value(graph: Graph, node: fx.Node) -> Tensor | None:
    """What `fold_constants` makes of ``node``; None if that is no constant tensor."""
    needed, waiting = {node}, [node]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source.op == "placeholder":
                return None
            if source not in needed:
                needed.add(source)
                waiting.append(source)
    values: dict[fx.Node, Any] = {}
    for each in sorted(needed):
        if each.op == "call_function":
            found, result = _computed(graph, each, values)
            if not found:
                return None
            values[each] = result
    result = values.get(node, graph.constant(node))
    return result if isinstance(result, Tensor) else None


def _computed(graph: Graph, node: fx.Node, known: dict[fx.Node, Any]) -> tuple[bool, Any]:
    """Whether ``node`` depends on constants and results that are ``known`` alone, and its result."""
    operands = {source: known.get(source, graph.constant(source)) for source in node.all_input_nodes}
    if any(value is None for value in operands.values()):
        return False, None
    assert callable(node.target)
    args, kwargs = fx.map_arg((node.args, node.kwargs), operands.__getitem__)
    with torch.no_grad():
        return True, node.target(*args, **kwargs)
