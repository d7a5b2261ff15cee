"""Which operators make signs, and which keep them: the one list that every question about signs is answered from.

Signs are -1 and +1. `bittern::binarize` makes them; moving, joining and max pooling them gives signs again. Padding
does not, as the border may hold another value: see `bittern.export.passes.views.PaddedInput`.
"""

import torch
from torch import fx

import bittern.ops  # noqa: F401  registers the operators

aten = torch.ops.aten

BINARIZE = torch.ops.bittern.binarize.default

SMALLEST = 2.0**-149
"""The smallest float32 above 0: ``x - SMALLEST < 0`` where ``x <= 0``, exactly."""

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
    aten.alias.default,
    aten.detach.default,
    aten.cat.default,
)
"""Operators whose result holds values of their inputs, each in another place: moves and signs commute."""

MAX_POOLS = (aten.max_pool2d.default, aten.max_pool1d.default)
"""Operators whose result holds maxima of their input: they rise with it, so they and signs commute too."""


def positive_part(binarize: fx.Node) -> fx.Node | None:
    """y of ``binarize(y - SMALLEST)``, which is +1 where y > 0, else -1; None for `binarize` of anything else."""
    x = binarize.all_input_nodes[0]
    if x.target is not aten.sub.Tensor or x.args[1] != SMALLEST:
        return None
    return x.all_input_nodes[0]


def holds_signs(node: fx.Node) -> bool:
    """Whether ``node`` is the result of `binarize`, or moves, joins or max-pools such results alone."""
    if node.target is BINARIZE:
        return True
    sources = node.all_input_nodes
    return node.target in (*MOVES, *MAX_POOLS) and bool(sources) and all(map(holds_signs, sources))
