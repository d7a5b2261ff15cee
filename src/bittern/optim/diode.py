"""``Diode``: a binary weight is the sign of its averaged gradient signs."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._checks import Number
from bittern.optim._lists import average_, lists
from bittern.optim.base import BinaryOptimizer

_START = 1e-3
_GOLDEN = 2654435769  # 2^32 times the golden ratio's fraction, rounded: exact in integers, on every device


def diode(
    params: list[Tensor],
    grads: list[Tensor],
    averages: list[Tensor],
    signs: list[Tensor],
    *,
    lr: Number,
    beta1: Number,
    beta2: Number,
    maximize: bool = False,
    foreach: bool | None = None,
) -> None:
    """One step of ``Diode`` in place. ``params`` are -1 and +1; all others are of one type."""
    for w, g, average, s in lists(params, grads, averages, signs, maximize=maximize, foreach=foreach):
        average_(average, g, 1 - beta1)
        directions = torch._foreach_sign(average)
        torch._foreach_mul_(directions, lr)
        average_(s, directions, 1 - beta2)
        positive = torch._foreach_sign(s)
        torch._foreach_clamp_min_(positive, 0)
        torch._foreach_copy_(w, positive)
        torch._foreach_mul_(w, -2)
        torch._foreach_add_(w, 1)


class Diode(BinaryOptimizer):
    """Averages of gradients and of their signs; no latent weights, no threshold::

        l <- beta1 l + (1 - beta1) g
        s <- beta2 s + (1 - beta2) lr sign(l)         w <- -1 if s > 0 else +1

    s starts at -w u with u spread over [0, 1e-3], so that weights do not all flip at the same step; lr acts through its
    size compared with that, and through its schedule. The gradients' scale does not matter, and weight decay has no
    meaning. State: two averages, by definition.

    Guo et al. 2024, Join the High Accuracy Club on ImageNet with a Binary Neural Network Ticket and its optimizer Diode
    (ECCV), as in its code, bitorch-engine, but for u, which is random there: here it depends on a weight's place alone,
    so that all replicas of a network start alike.
    """

    update = staticmethod(diode)
    buffers = ("average", "signs")
    ranges: ClassVar[Mapping[str, str]] = {"lr": "[0, inf)", "beta1": "[0, 1)", "beta2": "[0, 1)"}

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-4,
        betas: tuple[float, float] = (0.99, 0.9999),
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, maximize=maximize, foreach=foreach, capturable=capturable, lr=lr, betas=betas)

    def _first_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = super()._first_state(p, group)
        state["signs"].copy_(_spread_like(p)).mul_(p).mul_(-_START)
        return state


def _spread_like(p: Tensor) -> Tensor:
    """Fractions i * 0.618... mod 1 of element i = 1, 2, ...: spread evenly, and neighbours lie far apart; none is 0."""
    place = torch.arange(1, p.numel() + 1, device=p.device)
    return place.mul_(_GOLDEN).remainder_(2**32).to(torch.float32).mul_(2.0**-32).view(p.shape)
