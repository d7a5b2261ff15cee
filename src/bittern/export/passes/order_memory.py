"""Puts the float tensors that Bittern's operators read into the order of memory that they need.

Images are channels_last, rows contiguous. Another order comes about where torch cannot tell the two apart and chooses
contiguous, such as behind an image of one channel, and where axes were permuted.
"""

from typing import Any

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, arguments
from bittern.export.passes.binary import BINARIZE
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
            wanted = _wanted(named, value.meta["val"])
            if not value.meta["val"].is_contiguous(memory_format=wanted):
                # In front of its first reader; later ones share it.
                if (value, wanted) not in copies:
                    keywords = {"memory_format": wanted}
                    copies[value, wanted] = graph.call(
                        node, torch.ops.aten._to_copy.default, (value,), Provenance.of(value), keywords
                    )
                node.replace_input_with(value, copies[value, wanted])


def _wanted(named: dict[str, Any], value: torch.Tensor) -> torch.memory_format:
    """The order of a float argument of an operator with arguments ``named``: linear layers and ``pack`` of rows."""
    rows = "in_features" in named or named.get("channel_dim") == -1
    return torch.contiguous_format if rows else image_format(value.shape)
