"""Pooling and resizing of signals ``[N, C, L]`` as the same of images of one row, ``[N, C, 1, L]``."""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.node import Target

aten = torch.ops.aten

CONVOLUTIONS = (aten.conv1d.default, aten.conv1d.padding)
CONV_TRANSPOSE1D = aten.conv_transpose1d.default

Form = tuple[Target, Callable[[dict[str, Any]], tuple[Any, ...]]]


def ints(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def row(value: Any) -> list[int]:
    """A stride, dilation or size along the row, and 1 across it."""
    return [1, *ints(value)]


def _window(named: dict[str, Any]) -> tuple[list[int], list[int], list[int]]:
    size = row(named["kernel_size"])
    return size, row(named["stride"]) if named["stride"] else size, [0, *ints(named["padding"])]


def _resized(named: dict[str, Any]) -> tuple[list[int] | None, list[float] | None]:
    size, scales = named["output_size"], named["scale_factors"]
    return None if size is None else row(size), None if scales is None else [1.0, *scales]


FORMS: dict[Any, Form] = {
    aten.max_pool1d.default: (
        aten.max_pool2d.default,
        lambda named: (*_window(named), row(named["dilation"]), named["ceil_mode"]),
    ),
    aten.avg_pool1d.default: (
        aten.avg_pool2d.default,
        lambda named: (*_window(named), named["ceil_mode"], named["count_include_pad"]),
    ),
    aten.adaptive_avg_pool1d.default: (
        aten.adaptive_avg_pool2d.default,
        lambda named: (row(named["output_size"]),),
    ),
    aten.adaptive_max_pool1d.default: (
        aten.adaptive_max_pool2d.default,
        lambda named: (row(named["output_size"]),),
    ),
    aten.upsample_nearest1d.vec: (aten.upsample_nearest2d.vec, _resized),
    aten.upsample_linear1d.vec: (
        aten.upsample_bilinear2d.vec,
        lambda named: (_resized(named)[0], named["align_corners"], _resized(named)[1]),
    ),
    aten.amax.default: (aten.amax.default, lambda named: ([3], True)),
    aten.max.dim: (aten.max.dim, lambda named: (3, True)),
    aten.mean.dim: (aten.mean.dim, lambda named: ([2, 3], True)),
}
"""Operator on signals -> that on images, and its arguments behind the image."""

OVER_LENGTH = (aten.amax.default, aten.max.dim, aten.mean.dim)
"""Those that have a form only along the whole signal."""
PAIRS = (aten.adaptive_max_pool1d.default, aten.max.dim)
"""Those that give values and their places."""
