"""Packs a tensor once where its slices were packed one by one: `pack(slice(x))` becomes `slice(pack(x))`.

For slices of channels that start and end at whole words and that nothing reads but `pack`. What computes x may then
write bits alone.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape, sole_user
from bittern.export.passes.views import Pack, Slice, matching
from bittern.export.passes.views.packed import PACK
from bittern.ops import layout


@dataclass(frozen=True)
class _PackedSlice:
    """A `pack` of a slice of channels that nothing else reads: the words ``[first, end)`` of the whole."""

    pack: Pack
    first: int
    end: int

    @staticmethod
    def match(piece: fx.Node) -> "_PackedSlice | None":
        cut, pack = Slice.match(piece), Pack.match(sole_user(piece))
        if cut is None or pack is None or cut.dim != pack.channel_dim % len(shape(cut.input)):
            return None
        ends_in_word = cut.end % layout.WORD_BITS and cut.end != shape(cut.input)[cut.dim]
        if cut.start % layout.WORD_BITS or ends_in_word:
            return None
        return _PackedSlice(pack, cut.start // layout.WORD_BITS, layout.words(cut.end))


def pack_before_slice(graph: Graph) -> None:
    for x in dict.fromkeys(cut.input for cut in matching(graph, Slice.match)):
        found = [_PackedSlice.match(user) for user in x.users]
        pieces = [piece for piece in found if piece is not None]
        if len(pieces) == len(found) > 1 and not _overlap(pieces):
            _pack_once(graph, x, pieces)


def _overlap(pieces: list[_PackedSlice]) -> bool:
    ends = sorted((piece.first, piece.end) for piece in pieces)
    return any(a[1] > b[0] for a, b in itertools.pairwise(ends))


def _pack_once(graph: Graph, x: fx.Node, pieces: list[_PackedSlice]) -> None:
    channel_dim = pieces[0].pack.channel_dim
    values = [graph.constant(piece.pack.threshold) for piece in pieces]
    threshold, position = torch.zeros(shape(x)[channel_dim]), x.next
    for piece, value in zip(pieces, values, strict=True):
        if value is not None:
            threshold[piece.first * layout.WORD_BITS :][: len(value)] = value
    given = any(value is not None for value in values)
    constant = graph.add_constant(threshold, position) if given else None
    own = [Provenance.of(piece.pack.node) for piece in pieces]
    provenance = Provenance([source for each in own for source in each.sources], own[0].path, [None])
    whole = graph.call(position, PACK, (x, constant, channel_dim), provenance)
    for piece, each in zip(pieces, own, strict=True):
        args = (whole, piece.first, piece.end - piece.first)
        graph.replace(piece.pack.node, graph.call(piece.pack.node, torch.ops.bittern.slice.default, args, each))
