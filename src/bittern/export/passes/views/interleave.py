"""``Interleave``: images whose pixels are those of several images in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import fx

from bittern.export.graph import Graph, Provenance, shape
from bittern.export.passes.views.aten import CAT, Concat, call_of

aten = torch.ops.aten

_PIXELS_LAST, _CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


@dataclass(frozen=True)
class Interleave:
    """``y[:, :, sh * h + i, sw * w + j] = parts[sw * i + j][:, :, h, w]``, as the operators that :meth:`build` makes.

    As images lie in memory, channels last, sw pixels side by side are one of sw * C numbers, and sh rows below each
    other one row of sh * sw * W * C: joining is all there is to do.
    """

    node: fx.Node
    parts: tuple[fx.Node, ...]
    sw: int

    @staticmethod
    def build(graph: Graph, before: fx.Node, parts: Sequence[fx.Node], sw: int, own: Provenance) -> fx.Node:
        """``parts``: images [N, C, H, W]. The result, [N, C, sh * H, sw * W]."""

        def join(values: list[fx.Node]) -> fx.Node:
            return graph.call(before, CAT, (values, len(shape(values[0])) - 1), own)

        pixels = [graph.call(before, aten.permute.default, (part, _PIXELS_LAST), own) for part in parts]
        rows = join_pixels(graph, before, pixels, sw, own, join)
        return graph.call(before, aten.permute.default, (rows, _CHANNELS_FIRST), own)

    @staticmethod
    def match(node: object) -> "Interleave | None":
        joined = Concat.match(_source(_permuted(node, _CHANNELS_FIRST), aten.view.default))
        if not isinstance(node, fx.Node) or joined is None or joined.dim != 2 or len(shape(joined.node)) != 3:
            return None
        lines = [Concat.match(_source(line, aten.view.default)) for line in joined.parts]
        found = [line for line in lines if line is not None and line.dim == 3]
        parts = [_permuted(pixel, _PIXELS_LAST) for line in found for pixel in line.parts]
        sw = len(found[0].parts) if found else 0
        if len(found) != len(lines) or any(len(line.parts) != sw for line in found):
            return None
        images = tuple(part for part in parts if part is not None)
        if len(images) != len(parts) or not _fits(node, images, sw) or shape(joined.node)[1] != shape(images[0])[2]:
            return None
        return Interleave(node, images, sw)


def join_pixels(
    graph: Graph,
    before: fx.Node,
    parts: Sequence[fx.Node],
    sw: int,
    own: Provenance,
    join: Callable[[list[fx.Node]], fx.Node],
) -> fx.Node:
    """``parts``: images or packed images with a pixel's values last, [N, H, W, D]. Interleaved: [N, sh * H, sw * W, D].

    ``join`` joins along the last axis.
    """
    height, width, depth = shape(parts[0])[1:]
    lines = []
    for first in range(0, len(parts), sw):
        line = join(list(parts[first : first + sw]))
        lines.append(graph.call(before, aten.view.default, (line, [-1, height, sw * width * depth]), own))
    sizes = [-1, len(parts) // sw * height, sw * width, depth]
    return graph.call(before, aten.view.default, (join(lines), sizes), own)


def _source(node: object, target: object) -> fx.Node | None:
    """What ``node``, a call of ``target``, reads."""
    found = call_of(node, target)  # type: ignore[arg-type]
    return None if found is None else found[0].all_input_nodes[0]


def _permuted(node: object, axes: list[int]) -> fx.Node | None:
    """What ``node``, a permutation in the order ``axes``, reads."""
    source = _source(node, aten.permute.default)
    return source if isinstance(node, fx.Node) and source is not None and node.args[1] == axes else None


def _fits(node: fx.Node, parts: tuple[fx.Node, ...], sw: int) -> bool:
    if not parts or len({shape(part) for part in parts}) != 1 or len(shape(parts[0])) != 4:
        return False
    channels, height, width = shape(parts[0])[1:]
    return shape(node)[1:] == (channels, len(parts) // sw * height, sw * width)
