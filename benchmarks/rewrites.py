"""What a network would cost otherwise: without its shortcuts, or padded in another way. Rewrites of captured graphs.

The results are networks that nobody trained; what they cost does not depend on that.
"""

from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from benchmarks.study import NO_SHORTCUTS, ONES, ZEROS
from bittern.export.capture import capture
from bittern.export.graph import Graph, arguments, input_nodes, shape
from bittern.export.passes.binary import BINARIZE, is_packable, pair
from bittern.export.passes.lower_convolution import CONVOLUTIONS, padded_input

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
    """A sum of two activations becomes the one of them that has more `binarize` on its way from the input."""
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
    """Binary convolutions that pad get a border of ``value``."""

    def change(graph: Graph) -> int:
        count = 0
        for conv in graph.calls(*CONVOLUTIONS):
            source, padding, present = padded_input(conv)
            if padding is None or not any(padding) or present == value or not is_packable(source):
                continue
            assert isinstance(source, fx.Node)
            named = arguments(conv)
            top, bottom, left, right = padding
            with graph.module.graph.inserting_before(conv):
                border = ([left, right, top, bottom], "constant", float(value))
                pad = graph.module.graph.call_function(_PAD, (source, *border))
                geometry = (pair(named["stride"]), [0, 0], pair(named["dilation"]), named["groups"])
                new = graph.module.graph.call_function(_CONV, (pad, named["weight"], named["bias"], *geometry))
            graph.replace(conv, new)
            count += 1
        return count

    return change


VARIANTS: dict[str, Callable[[Graph], int]] = {NO_SHORTCUTS: without_shortcuts, ZEROS: pad_with(0), ONES: pad_with(1)}
