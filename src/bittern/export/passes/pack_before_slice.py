"""Packs a tensor once where its slices were packed one by one: `pack(slice(x))` becomes `slice(pack(x))`.

For slices of channels that start and end at whole words and that nothing reads but `pack`. What computes x may then
write bits alone.
"""

import itertools

import torch
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape, sole_user
from bittern.export.passes.binary import PACK
from bittern.ops import layout

_SLICE = torch.ops.aten.slice.Tensor


def pack_before_slice(graph: Graph) -> None:
    done: set[fx.Node] = set()
    for node in graph.calls(_SLICE):
        x = node.args[0]
        if not isinstance(x, fx.Node) or x in done:
            continue
        done.add(x)
        ranges = [_words(user) for user in x.users]
        packs = [sole_user(user) for user in x.users]
        if len(ranges) > 1 and all(ranges) and not _overlap(ranges):  # type: ignore[arg-type]
            _pack_once(graph, x, ranges, packs)  # type: ignore[arg-type]


def _words(piece: fx.Node) -> tuple[int, int] | None:
    """The words ``[first, end)`` of a slice of channels that only `pack` reads; None for anything else."""
    pack = sole_user(piece)
    if piece.target is not _SLICE or pack is None or pack.target is not PACK:
        return None
    named, whole = arguments(piece), shape(piece.args[0])  # type: ignore[arg-type]
    axis, channel_axis = named["dim"] % len(whole), pack.args[2] % len(whole)  # type: ignore[operator]
    if axis != channel_axis or named["step"] != 1:
        return None
    first, _, _ = slice(named["start"], named["end"]).indices(whole[axis])
    count = shape(piece)[axis]
    if first % layout.WORD_BITS or (count % layout.WORD_BITS and first + count != whole[axis]):
        return None
    return first // layout.WORD_BITS, layout.words(first + count)


def _overlap(ranges: list[tuple[int, int]]) -> bool:
    ends = sorted(ranges)
    return any(a[1] > b[0] for a, b in itertools.pairwise(ends))


def _pack_once(graph: Graph, x: fx.Node, ranges: list[tuple[int, int]], packs: list[fx.Node]) -> None:
    channel_dim = packs[0].args[2]
    assert isinstance(channel_dim, int)
    values = [graph.constant(pack.args[1]) for pack in packs]
    position = x.next
    threshold: Tensor | None = None
    if any(value is not None for value in values):
        threshold = torch.zeros(shape(x)[channel_dim])
        for (first, _), value in zip(ranges, values, strict=True):
            if value is not None:
                threshold[first * layout.WORD_BITS :][: len(value)] = value
    constant = None if threshold is None else graph.add_constant(threshold, position)
    sources = tuple(source for pack in packs for source in Provenance.of(pack).sources)
    whole = graph.call(
        position, PACK, (x, constant, channel_dim), Provenance(sources, Provenance.of(packs[0]).path, [None])
    )
    for (first, end), pack in zip(ranges, packs, strict=True):
        args = (whole, first, end - first)
        graph.replace(pack, graph.call(pack, torch.ops.bittern.slice.default, args, Provenance.of(pack)))
