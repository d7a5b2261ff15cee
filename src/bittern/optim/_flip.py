"""Writing weights of exactly -1 and +1: making them so, and flipping some."""

import torch
from torch import Tensor

from bittern.optim._checks import Number
from bittern.optim._lists import Tensors


def make_binary_(weight: Tensor) -> None:
    """w <- -1 if w < 0 else +1, the sign that the layers apply: 0, -0.0 and NaN give +1."""
    weight.lt_(0).mul_(-2).add_(1)


def flip_(weight: Tensor, signal: Tensor, threshold: Number) -> None:
    """w <- -w where w * signal > threshold, strictly; NaN in ``signal`` flips nothing. ``weight`` is -1 or +1."""
    flips = torch.mul(weight, signal).gt_(threshold).to(weight.dtype)
    weight.addcmul_(weight, flips, value=-2)


def foreach_flip_(weights: list[Tensor], signals: Tensors, threshold: Number) -> None:
    """``flip_`` of many tensors, by operations that torch has for lists: x > t as max(sign(x - t), 0)."""
    flips = torch._foreach_mul(weights, signals)
    # A difference is exact where it is near 0, so its sign is right.
    torch._foreach_sub_(flips, [threshold] * len(flips) if isinstance(threshold, Tensor) else threshold)
    torch._foreach_sign_(flips)
    torch._foreach_clamp_min_(flips, 0)
    cast = [f.to(w.dtype) for f, w in zip(flips, weights, strict=True)]
    torch._foreach_addcmul_(weights, weights, cast, value=-2)
