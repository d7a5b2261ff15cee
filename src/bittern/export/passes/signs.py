"""What keeps the signs of its input: the one list of operators that move values, and what holds signs."""

import torch
from torch import fx

import bittern.ops  # noqa: F401  registers the operators

aten = torch.ops.aten
MOVES = (
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.slice.Tensor,
    aten.select.int,
    aten.expand.default,
    aten.pixel_shuffle.default,
    aten.pixel_unshuffle.default,
    aten._to_copy.default,
    aten.clone.default,
)
_JOINS = (aten.cat.default, aten.max_pool2d.default, aten.max_pool1d.default)


def holds_signs(node: fx.Node) -> bool:
    """Whether ``node`` is a `binarize`, or moves, joins or max-pools the results of one."""
    if node.target is torch.ops.bittern.binarize.default:
        return True
    return node.target in (*MOVES, *_JOINS) and all(map(holds_signs, node.all_input_nodes))
