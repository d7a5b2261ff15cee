"""Computes at export everything that depends on no input: signs of weights, their scales, reshaped parameters.

After this pass the weight of a binary layer is one constant, whichever expression produced it.
"""

import torch
from torch import Tensor

from bittern.export.graph import Graph


def fold_constants(graph: Graph) -> None:
    for node in graph.calls():
        values = [graph.constant(argument) for argument in node.all_input_nodes]
        if any(value is None for value in values):
            continue
        by_node = dict(zip(node.all_input_nodes, values, strict=True))
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), by_node.__getitem__)
        with torch.no_grad():
            result = node.target(*args, **kwargs)  # type: ignore[operator]
        if isinstance(result, Tensor):
            graph.replace(node, graph.add_constant(result, node))
