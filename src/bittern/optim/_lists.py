"""Elementwise steps on lists of tensors, which is how each optimizer's equation is written once for every device.

On a GPU a list holds whole parameters, and torch's list operations ("foreach") start few kernels. On a CPU a list holds
one cache-sized piece of a parameter (``_blocks.py``), and a whole equation passes over it before the next piece.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from bittern.optim._blocks import blocks
from bittern.optim._checks import Number

Tensors = list[Tensor] | tuple[Tensor, ...]
"""What torch's list operations take and return."""


def lists(
    params: list[Tensor], grads: list[Tensor], *state: list[Tensor], maximize: bool, foreach: bool | None
) -> Iterator[tuple[list[Tensor], ...]]:
    """Lists of weights, gradients (negated to ``maximize``) and state, all in step. Writing to them writes through."""
    if use_foreach(params, foreach):
        yield params, negated(grads) if maximize else grads, *state
        return
    for weight, grad, *rest in blocks(params, grads, *state):
        yield [weight], [-grad if maximize else grad], *([piece] for piece in rest)


def use_foreach(params: list[Tensor], foreach: bool | None) -> bool:
    """``foreach``, or if it is None what is faster: whole parameters on a GPU, pieces of them on a CPU."""
    if foreach is not None:
        return foreach
    plain = all(type(p) in (Tensor, torch.nn.Parameter) for p in params)
    return plain and all(p.device.type in ("cuda", "xpu") for p in params)


def negated(xs: list[Tensor]) -> list[Tensor]:
    return list(torch._foreach_neg(xs))


def average_(averages: list[Tensor], values: Tensors, weight: Number) -> None:
    """average <- (1 - weight) * average + weight * value."""
    weights = [weight.to(a.dtype) for a in averages] if isinstance(weight, Tensor) else weight
    torch._foreach_lerp_(averages, values, weights)


def divide(xs: list[Tensor], by: Number) -> Tensors:
    """``x / by`` in the type of ``x``."""
    return torch._foreach_div(xs, [by.to(x.dtype) for x in xs] if isinstance(by, Tensor) else by)


def flip_(weights: list[Tensor], signals: Tensors, threshold: Number) -> None:
    """w <- -w where w * signal > threshold, strictly; NaN in ``signal`` flips nothing. ``weights`` are -1 and +1."""
    flips = torch._foreach_mul(weights, signals)
    if len(flips) == 1:
        flips[0].gt_(threshold)
    else:
        # There is no list operation for x > t, so max(sign(x - t), 0). The difference is exact where it is near 0.
        torch._foreach_sub_(flips, [threshold] * len(flips) if isinstance(threshold, Tensor) else threshold)
        torch._foreach_sign_(flips)
        torch._foreach_clamp_min_(flips, 0)
    cast = [f.to(w.dtype) for f, w in zip(flips, weights, strict=True)]
    torch._foreach_addcmul_(weights, weights, cast, value=-2)


def clip_(weights: list[Tensor], bound: float) -> None:
    """w <- clip(w, -bound, bound)."""
    torch._foreach_clamp_min_(weights, -bound)
    torch._foreach_clamp_max_(weights, bound)
