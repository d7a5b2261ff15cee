"""How far two tensors are apart."""

import torch
from torch import Tensor


def difference(actual: Tensor, expected: Tensor) -> tuple[float, float, Tensor | None]:
    """The largest difference of two tensors, its share of the largest finite value, and all differences.

    0 for no values, for equal infinities and for NaN in both; infinity for NaN or infinity in one of them. None for the
    differences if there are none.
    """
    if actual.numel() == 0:
        return 0.0, 0.0, None
    if not actual.is_floating_point():
        actual, expected = actual.double(), expected.double()
    equal = (actual == expected) | (actual.isnan() & expected.isnan())
    differences = (actual - expected).abs().nan_to_num(nan=float("inf"), posinf=float("inf"))
    differences = torch.where(equal, 0.0, differences)
    largest = differences.max().item()
    return largest, largest / largest_of(expected), differences if largest > 0 else None


def largest_of(values: Tensor) -> float:
    """The largest finite magnitude; never 0."""
    return max(values.abs().nan_to_num(nan=0.0, posinf=0.0).max().item(), torch.finfo(torch.float32).tiny)
