"""A weight that layers of two kinds share becomes a constant of each.

XNNPACK's conversion writes each tensor once, in the order of memory of the layer that it meets first: convolutions have
their filters' channels last, transposed and depthwise ones the filters first, linear layers rows.
"""

from collections import defaultdict

import torch
from torch import fx

from bittern.export.graph import Graph, arguments

aten = torch.ops.aten
_WEIGHTS = {
    aten.conv1d.default: "weight",
    aten.conv1d.padding: "weight",
    aten.conv2d.default: "weight",
    aten.conv2d.padding: "weight",
    aten.conv_transpose1d.default: "weight",
    aten.conv_transpose2d.input: "weight",
    aten.linear.default: "weight",
    aten.prelu.default: "weight",
    aten.mm.default: "mat2",
    aten.addmm.default: "mat2",
}


def separate_weights(graph: Graph) -> None:
    for constant in [node for node in graph.module.graph.nodes if node.op == "get_attr"]:
        uses: dict[object, list[fx.Node]] = defaultdict(list)
        for user in constant.users:
            uses[_use(user, constant)].append(user)
        value = graph.constant(constant)
        if value is None or len(uses) < 2 or not any(isinstance(use, tuple) for use in uses):
            continue
        for users in list(uses.values())[1:]:
            own = graph.add_constant(value, users[0])
            for user in users:
                user.replace_input_with(constant, own)


def _use(user: fx.Node, constant: fx.Node) -> object:
    """How ``user`` reads a constant: what layers of the same kind have in common; None for all but weights."""
    name = _WEIGHTS.get(user.target)  # type: ignore[call-overload]
    if name is None or (named := arguments(user))[name] is not constant:
        return None
    return (user.target, named.get("groups"))
