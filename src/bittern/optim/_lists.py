"""What the loop and the list ("foreach") form of an optimizer share."""

import torch
from torch import Tensor

from bittern.optim._checks import Number

Tensors = list[Tensor] | tuple[Tensor, ...]
"""What torch's list operations take and return."""


def use_foreach(params: list[Tensor], foreach: bool | None) -> bool:
    """``foreach``, or if it is None what is faster: lists on a GPU, the loop over cache-sized blocks on a CPU."""
    if foreach is not None:
        return foreach
    plain = all(type(p) in (Tensor, torch.nn.Parameter) for p in params)
    return plain and all(p.device.type in ("cuda", "xpu") for p in params)


def average_(average: Tensor, value: Tensor, weight: Number) -> None:
    """average <- (1 - weight) * average + weight * value."""
    average.lerp_(value, weight.to(average.dtype) if isinstance(weight, Tensor) else weight)


def foreach_average_(averages: list[Tensor], values: Tensors, weight: Number) -> None:
    """``average_`` of many tensors."""
    weights = [weight.to(a.dtype) for a in averages] if isinstance(weight, Tensor) else weight
    torch._foreach_lerp_(averages, values, weights)


def divide(x: Tensor, by: Number) -> Tensor:
    """``x / by`` in the type of ``x``."""
    return x / (by.to(x.dtype) if isinstance(by, Tensor) else by)


def foreach_divide(xs: list[Tensor], by: Number) -> Tensors:
    """``divide`` of many tensors."""
    return torch._foreach_div(xs, [by.to(x.dtype) for x in xs] if isinstance(by, Tensor) else by)
