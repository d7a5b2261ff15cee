"""Views, and what gives the same elements in another order: permutations, slices, concatenations, padding."""

import torch
from torch import fx

from bittern.export.c import memory
from bittern.export.c.lowering import Lowering
from bittern.export.c.operators.float_layers import padding_is_part_of
from bittern.export.c.operators.row import Row
from bittern.export.c.program import Struct
from bittern.export.graph import arguments, shape
from bittern.export.passes.views.aten import Concat, Pad, Slice


def _own(node: fx.Node) -> memory.Strides:
    return memory.strides(shape(node), node.meta["val"].dtype)


def _view(lowering: Lowering, node: fx.Node) -> None:
    """The same elements in the same order, as rows count them."""
    source = node.all_input_nodes[0]
    if source.meta["val"].dtype != node.meta["val"].dtype:
        lowering.refuse(node, "converts numbers to another type, which the C back end does not")
    if _same_places(source, node):
        lowering.bind(node, lowering.read(source))
    else:
        lowering.bind(node, lowering.from_rows(node, lowering.rows(source, node)))


def _same_places(a: fx.Node, b: fx.Node) -> bool:
    places = torch.arange(a.meta["val"].numel())
    return torch.equal(*(places.as_strided(shape(node), _own(node)).flatten() for node in (a, b)))


def _permute(lowering: Lowering, node: fx.Node) -> None:
    source, named = node.all_input_nodes[0], arguments(node)
    rank = len(shape(node))
    dims = [dim % rank for dim in named["dims"]] if "dims" in named else list(range(rank))
    if "dim0" in named:
        a, b = named["dim0"] % rank, named["dim1"] % rank
        dims[a], dims[b] = b, a
    strides = tuple(_own(source)[dim] for dim in dims)
    _copied(lowering, node, source, strides)


def _slice(lowering: Lowering, node: fx.Node) -> None:
    part = Slice.match(node)
    if part is None:
        lowering.refuse(node, "has a step, which the C back end lacks: reshape the axis and select")
    assert part is not None
    _copied(lowering, node, part.input, _own(part.input), part.start * _own(part.input)[part.dim])


def _select(lowering: Lowering, node: fx.Node) -> None:
    source, named = node.all_input_nodes[0], arguments(node)
    dim = named["dim"] % len(shape(source))
    strides = list(_own(source))
    step = strides.pop(dim)
    _copied(lowering, node, source, tuple(strides), named["index"] % shape(source)[dim] * step)


def _expand(lowering: Lowering, node: fx.Node) -> None:
    source = node.all_input_nodes[0]
    _copied(lowering, node, source, memory.broadcast(shape(node), shape(source), source.meta["val"].dtype))


def _copied(lowering: Lowering, node: fx.Node, source: fx.Node, strides: memory.Strides, offset: int = 0) -> None:
    """The elements of ``source`` at ``strides`` from ``offset`` on; a view if ``node`` has them there too."""
    buffer = lowering.read(source)
    if offset == 0 and buffer.count == node.meta["val"].numel() and memory.same(shape(node), strides, _own(node)):
        lowering.bind(node, buffer)
        return
    result = lowering.result(node)
    lowering.copy(node, buffer, result, shape(node), strides, _own(node), offset)
    lowering.bind(node, result)


def _cat(lowering: Lowering, node: fx.Node) -> None:
    concat = Concat.match(node)
    assert concat is not None
    result, strides = lowering.result(node), _own(node)
    first = 0
    for part in concat.parts:
        lowering.copy(
            node, lowering.read(part), result, shape(part), _own(part), strides, 0, first * strides[concat.dim]
        )
        first += shape(part)[concat.dim]
    lowering.bind(node, result)


def _pad(lowering: Lowering, node: fx.Node) -> None:
    if padding_is_part_of(node):
        return
    pad = Pad.match(node)
    if pad is None:
        lowering.refuse(node, "pads otherwise than with a number, on the last two dimensions")
    assert pad is not None
    result, strides = lowering.result(node), _own(node)
    layer = Struct("bittern_fill_t", {"count": result.count, "value": pad.value})
    lowering.call(node, "bittern_fill", layer, (result,), (result,))
    top, _, left, _ = pad.padding
    first = top * strides[-2] + left * strides[-1]
    lowering.copy(node, lowering.read(pad.input), result, shape(pad.input), _own(pad.input), strides, 0, first)
    lowering.bind(node, result)


_VIEWS = (
    "view",
    "_unsafe_view",
    "reshape",
    "flatten",
    "unsqueeze",
    "squeeze",
    "clone",
    "alias",
    "contiguous",
    "_to_copy",
)

ROWS = {
    **{f"aten::{name}": Row(_view) for name in _VIEWS},
    **{f"aten::{name}": Row(_permute) for name in ("permute", "transpose")},
    "aten::slice": Row(_slice),
    "aten::select": Row(_select),
    "aten::expand": Row(_expand),
    "aten::cat": Row(_cat),
    "aten::pad": Row(_pad),
    "aten::constant_pad_nd": Row(_pad),
}
