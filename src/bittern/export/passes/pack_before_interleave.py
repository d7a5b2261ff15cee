"""Interleaves bits instead of floats: `pack` moves from behind images whose pixels come in turn to each of them.

pack(interleave(a, b, ...)) = interleave(pack(a), pack(b), ...)

The bits of a pixel are whole words, so they are joined like the numbers of a pixel, and the layers may write them.
"""

import functools

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance
from bittern.export.passes.binary import pack
from bittern.export.passes.views import Interleave, Pack, matching
from bittern.export.passes.views.interleave import join_pixels


def pack_before_interleave(graph: Graph) -> None:
    for packed in matching(graph, Pack.match):
        images = Interleave.match(packed.input)
        if images is None or packed.channel_dim != 1:
            continue
        threshold, own = graph.constant(packed.threshold), Provenance.of(packed.node).intermediate()
        bits = [pack(graph, part, threshold, 1, packed.node, packed.node, own) for part in images.parts]

        def join(values: list[fx.Node], before: fx.Node = packed.node, own: Provenance = own) -> fx.Node:
            return functools.reduce(lambda a, b: graph.call(before, torch.ops.bittern.cat.default, (a, b), own), values)

        graph.replace(packed.node, join_pixels(graph, packed.node, bits, images.sw, own.auxiliary(), join))
