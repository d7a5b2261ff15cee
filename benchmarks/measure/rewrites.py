"""Rewrites of captured graphs: a network without its shortcuts, or with another padding.

Nobody trained the results; their cost does not depend on that.
"""

from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from benchmarks.rows import NO_SHORTCUTS, ONES, ZEROS
from bittern.export.capture import capture
from bittern.export.graph import Graph, input_nodes, shape
from bittern.export.passes.binary import is_packable
from bittern.export.passes.signs import BINARIZE
from bittern.export.passes.views import ConvLayer, PaddedInput, matching

_ADD = torch.ops.aten.add.Tensor
_CONV = torch.ops.aten.conv2d.default
_PAD = torch.ops.aten.pad.default


def rewrite(model: nn.Module, example: Tensor, change: Callable[[Graph], int]) -> tuple[fx.GraphModule, int]:
    """``model`` changed, as a module that can be exported, and how many operators were changed."""
    graph = capture(model, example).graph
    count = change(graph)
    graph.clean()
    return fx.GraphModule(graph.module, graph.module.graph), count


def without_shortcuts(graph: Graph) -> int:
    """Every sum of two activations becomes the one with more `binarize` on its way from the input."""
    depth: dict[fx.Node, int] = dict.fromkeys(input_nodes(graph), 0)
    for node in graph.calls():
        found = [depth[source] for source in node.all_input_nodes if source in depth]
        if found:
            depth[node] = max(found) + (node.target is BINARIZE)
    count = 0
    for add in graph.calls(_ADD):
        operands = [x for x in add.args if isinstance(x, fx.Node) and x in depth and shape(x) == shape(add)]
        if len(operands) == 2 and depth[operands[0]] != depth[operands[1]]:
            graph.replace(add, max(operands, key=lambda x: depth[x]))
            count += 1
    return count


def pad_with(value: int) -> Callable[[Graph], int]:
    """Binary convolutions that pad get a border of ``value`` instead."""

    def change(graph: Graph) -> int:
        count = 0
        for conv in matching(graph, ConvLayer.match):
            before = PaddedInput.of(conv)
            if before.padding is None or not any(before.padding) or before.value == value:
                continue
            if not is_packable(before.source):
                continue
            top, bottom, left, right = before.padding
            with graph.module.graph.inserting_before(conv.node):
                border = ([left, right, top, bottom], "constant", float(value))
                pad = graph.module.graph.call_function(_PAD, (before.source, *border))
                geometry = (list(conv.stride), [0, 0], list(conv.dilation), conv.groups)
                new = graph.module.graph.call_function(_CONV, (pad, conv.weight, conv.bias, *geometry))
            graph.replace(conv.node, new)
            count += 1
        return count

    return change


VARIANTS: dict[str, Callable[[Graph], int]] = {NO_SHORTCUTS: without_shortcuts, ZEROS: pad_with(0), ONES: pad_with(1)}
