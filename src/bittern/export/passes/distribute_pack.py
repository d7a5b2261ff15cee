"""Joins bits instead of floats: `pack` moves from behind a concatenation of channels to its parts.

pack(cat(a, b)) = cat(pack(a), pack(b))     on bits, where a has a multiple of 32 channels

Every part's bits may then come from the layer that computes it, and the floats need no concatenation.
"""

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.binary import pack
from bittern.export.passes.views import Concat, Pack, matching
from bittern.ops import layout


def distribute_pack(graph: Graph) -> None:
    for packed in matching(graph, Pack.match):
        concat = Concat.match(packed.input)
        if concat is None or concat.dim != packed.channel_dim % len(shape(concat.node)):
            continue
        if (reason := why_not(concat)) is not None:
            graph.refuse(packed.node, reason)
            continue
        threshold = graph.constant(packed.threshold)
        provenance = Provenance.of(packed.node).intermediate()
        start, bits = 0, None
        for part in concat.leaves():
            end = start + shape(part)[concat.dim]
            own = None if threshold is None or not bool(threshold[start:end].any()) else threshold[start:end]
            words = pack(graph, part, own, packed.channel_dim, packed.node, packed.node, provenance)
            bits = words if bits is None else _join(graph, bits, words, packed.node, provenance)
            start = end
        assert bits is not None
        Provenance.of(packed.node).attach(bits)
        graph.replace(packed.node, bits)


def why_not(concat: Concat) -> str | None:
    """None if the parts of ``concat`` can be joined as bits, else why not."""
    if any(shape(part)[concat.dim] % layout.WORD_BITS for part in concat.leaves()[:-1]):
        return f"the parts of its input do not end at a multiple of {layout.WORD_BITS} channels"
    return None


def _join(graph: Graph, a: fx.Node, b: fx.Node, before: fx.Node, provenance: Provenance) -> fx.Node:
    return graph.call(before, torch.ops.bittern.cat.default, (a, b), provenance)
