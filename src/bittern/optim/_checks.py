"""Ranges of hyper-parameters, which say the rule and are the rule."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Number = float | Tensor
"""A hyper-parameter: a float, or a 0-dimensional tensor, which a CUDA graph or a compiled step reads anew each time."""


def check_ranges(ranges: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """ValueError unless each of ``values`` that ``ranges`` names is a number in its interval, such as "[0, 1)"."""
    for name, interval in ranges.items():
        check_range(name, values[name], interval)


def check_range(name: str, value: Any, interval: str) -> None:
    """ValueError unless ``value`` is a float or a 0-dimensional tensor in ``interval``; NaN is in none."""
    if isinstance(value, Tensor):
        if value.dim() or not value.is_floating_point():
            raise ValueError(
                f"{name} must be a float or a 0-dimensional floating-point tensor, "
                f"got one of shape {tuple(value.shape)}, {value.dtype}"
            )
        if torch.compiler.is_compiling() or value.is_meta:
            return
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number in {interval}, got {value!r}")
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):
        raise ValueError(f"{name} must be in {interval}, got {float(value)}")


def check_clip(clip: Any) -> None:
    """ValueError unless ``clip`` is None or more than 0."""
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be more than 0, or None for no bound, got {clip}")
