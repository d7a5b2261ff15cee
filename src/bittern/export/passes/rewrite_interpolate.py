"""Bilinear resizing by a factor that does not divide the sizes, as two matrix products.

XNNPACK takes the ratio of the sizes for the factor. Where output = floor(input * factor) is rounded down they differ:

y = R(H) @ x @ R(W)^T        R[i, floor(s)] = 1 - (s - floor(s)),   R[i, floor(s) + 1] = s - floor(s),
                             s = max((i + 1/2) / factor - 1/2, 0),  columns past the last one are the last one
"""

from typing import Any

import torch
from torch import Tensor

from bittern.export.graph import Graph, arguments, shape
from bittern.export.passes.per_axis import multiply_axes

aten = torch.ops.aten


def rewrite_interpolate(graph: Graph) -> None:
    for node in graph.calls(aten.upsample_bilinear2d.vec, aten.upsample_bilinear2d.default):
        named = arguments(node)
        factors = _factors(named)
        sizes = shape(named.get("input", named.get("self")))[2:]  # type: ignore[arg-type]
        results = shape(node)[2:]
        if named["align_corners"] or factors is None:
            continue
        exact = (size * factor == result for size, factor, result in zip(sizes, factors, results, strict=True))
        if not all(exact):
            matrices = (_matrix(*axis) for axis in zip(sizes, results, factors, strict=True))
            multiply_axes(graph, node, node.all_input_nodes[0], *matrices)


def _factors(named: dict[str, Any]) -> tuple[float, ...] | None:
    """The factors that the result is computed with, if not those of its size."""
    given = named["scale_factors"] if "scale_factors" in named else (named["scales_h"], named["scales_w"])
    return None if given is None or any(factor is None for factor in given) else tuple(map(float, given))


def _matrix(size: int, result: int, factor: float) -> Tensor:
    source = ((torch.arange(result) + 0.5) / factor - 0.5).clamp_min(0)
    first = source.floor().long().clamp_max(size - 1)
    second = (first + 1).clamp_max(size - 1)
    share = (source - first).clamp(0, 1)
    rows = torch.arange(result)
    matrix = torch.zeros(result, size)
    matrix.index_put_((rows, first), 1 - share, accumulate=True)
    matrix.index_put_((rows, second), share, accumulate=True)
    return matrix
