"""Images resized to the nearest pixel: by whole factors pixels are repeated, by others they are picked by matrices."""

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from bittern.export.graph import Graph, Provenance, arguments, shape
from bittern.export.passes.per_axis import fits, multiply_axes

aten = torch.ops.aten


def rewrite_nearest(graph: Graph) -> None:
    for node in graph.calls(aten.upsample_nearest2d.vec):
        named = arguments(node)
        x, scales = named["input"], named["scale_factors"] or (None, None)
        sizes, results = shape(x)[2:], shape(node)[2:]
        picked = [_picked(*axis) for axis in zip(sizes, results, scales, strict=True)]
        factors = [result // size for size, result in zip(sizes, results, strict=True)]
        repeats = [torch.arange(n).repeat_interleave(f) for n, f in zip(sizes, factors, strict=True)]
        matrices = [F.one_hot(places, size).float() for places, size in zip(picked, sizes, strict=True)]
        if all(map(torch.equal, picked, repeats)):
            _repeat(graph, node, x, *factors)
        elif fits(*matrices):
            multiply_axes(graph, node, x, *matrices)


def _repeat(graph: Graph, node: fx.Node, x: fx.Node, rows: int, columns: int) -> None:
    """Each pixel ``rows`` times ``columns`` times, as a product with ones that has more elements than the image."""
    own = Provenance.of(node)
    part = own.intermediate()
    channels, height, width = shape(x)[1:]

    def repeated(values: fx.Node, sizes: list[int], times: int) -> fx.Node:
        values = graph.call(node, aten.view.default, (values, sizes), part)
        if times == 1:
            return values
        ones = graph.add_constant(torch.ones(1, 1, times, 1), node)
        return graph.call(node, aten.mul.Tensor, (values, ones), part)

    pixels = graph.call(node, aten.permute.default, (x, [0, 2, 3, 1]), part)
    cells = repeated(pixels, [-1, width, 1, channels], columns)
    lines = repeated(cells, [-1, height, 1, columns * width * channels], rows)
    image = graph.call(node, aten.view.default, (lines, [-1, rows * height, columns * width, channels]), part)
    graph.replace(node, graph.call(node, aten.permute.default, (image, [0, 3, 1, 2]), own))


def _picked(size: int, result: int, scale: float | None) -> Tensor:
    """The places, ``[result]``, of the pixels that torch takes along an axis of ``size``."""
    places = torch.arange(size, dtype=torch.float64).view(1, 1, size)
    picked: Tensor = aten.upsample_nearest1d(places, [result], scale)
    return picked.long().flatten()
