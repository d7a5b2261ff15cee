"""Computes at export everything that depends on no input: signs of weights, their scales, reshaped parameters.

After this pass the weight of a binary layer is one constant, whichever expression produced it.
"""

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph


def fold_constants(graph: Graph) -> None:
    for node in graph.calls():
        constants = {source: graph.constant(source) for source in node.all_input_nodes}
        if any(value is None for value in constants.values()):
            continue
        assert callable(node.target)
        args, kwargs = fx.map_arg((node.args, node.kwargs), constants.__getitem__)
        with torch.no_grad():
            result = node.target(*args, **kwargs)
        if isinstance(result, Tensor):
            graph.replace(node, graph.add_constant(result, node))
