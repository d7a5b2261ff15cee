"""Views whose numbers do not lie where the view needs them become `reshape`, which may copy.

Packed layers give images in channels_last memory wherever the training graph had contiguous ones, such as behind an
image of one channel, where torch cannot tell the two apart and chooses contiguous.
"""

from typing import Any

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance

aten = torch.ops.aten
_RESHAPE = aten.reshape.default
VIEWS = (aten.view.default, aten._unsafe_view.default, _RESHAPE)


def settle_views(graph: Graph) -> None:
    for node in graph.calls():
        if node.target in VIEWS and node.target is not _RESHAPE and not is_viewable(node):
            graph.replace(node, graph.call(node, _RESHAPE, node.args, Provenance.of(node)))
        else:
            graph.revalue(node)


def is_viewable(node: fx.Node) -> bool:
    """Whether the operand of a view can be seen in its shape without a copy."""
    source: Any = node.args[0]
    value: Tensor = source.meta["val"]
    try:
        with value.fake_mode:  # type: ignore[attr-defined]
            sizes: Any = fx.map_arg(node.args[1], lambda size: size.meta["val"])
            value.view(sizes)
    except (RuntimeError, ValueError):
        return False
    return True
