"""Puts the float tensors that Bittern's operators read into the order of memory that they need.

Images are channels_last, rows contiguous. Another order arises where torch cannot tell the two apart and chooses
contiguous, such as behind an image of one channel, and where axes were permuted.
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments
from bittern.export.passes.signs import BINARIZE
from bittern.ops._library import image_format

_READ = ("x", "residual")


def order_memory(graph: Graph) -> None:
    copies: dict[tuple[fx.Node, torch.memory_format], fx.Node] = {}
    for node in graph.calls():
        # binarize takes any order and keeps it.
        if getattr(node.target, "namespace", "") != "bittern" or node.target is BINARIZE:
            continue
        named = arguments(node)
        for value in (named.get(name) for name in _READ):
            if not isinstance(value, fx.Node) or value.meta["val"].dtype != torch.float32:
                continue
            order = _order(named, value.meta["val"])
            if value.meta["val"].is_contiguous(memory_format=order):
                continue
            # In front of its first reader; later ones share it.
            if (value, order) not in copies:
                args, kwargs = (value,), {"memory_format": order}
                copies[value, order] = graph.call(
                    node, torch.ops.aten._to_copy.default, args, Provenance.of(value), kwargs
                )
            node.replace_input_with(value, copies[value, order])


def _order(named: dict[str, Any], value: torch.Tensor) -> torch.memory_format:
    """What an operator with arguments ``named`` needs of a float one: linear layers and ``pack`` of rows need rows."""
    rows = "in_features" in named or named.get("channel_dim") == -1
    return torch.contiguous_format if rows else image_format(value.shape)
