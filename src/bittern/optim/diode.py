"""``Diode``: a binary weight is the sign of its averaged gradient signs."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._blocks import blocks
from bittern.optim._checks import Number
from bittern.optim._lists import average_, foreach_average_, use_foreach
from bittern.optim.base import BinaryOptimizer, column

_START = 1e-3
_GOLDEN = 2654435769  # 2^32 times the golden ratio's fraction, rounded: exact in integers, on every device


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
        beta1, beta2 = betas
        options = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2, **options})

    def _first_state(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = super()._first_state(p, group)
        state["signs"].copy_(_spread_like(p)).mul_(p).mul_(-_START)
        return state

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        states: Sequence[dict[str, Any]],
    ) -> None:
        diode(
            params,
            grads,
            column(states, "average"),
            column(states, "signs"),
            lr=group["lr"],
            beta1=group["beta1"],
            beta2=group["beta2"],
            maximize=group["maximize"],
            foreach=group["foreach"],
        )


def _spread_like(p: Tensor) -> Tensor:
    """Fractions i * 0.618... mod 1 of element i = 1, 2, ...: spread evenly, and neighbours lie far apart; none is 0."""
    place = torch.arange(1, p.numel() + 1, device=p.device)
    fractions = place.mul_(_GOLDEN).remainder_(2**32).to(torch.float32).mul_(2.0**-32).view(p.shape)
    if not hasattr(p, "device_mesh"):
        return fractions
    from torch.distributed.tensor import distribute_tensor  # takes a while to import

    return distribute_tensor(fractions, p.device_mesh, p.placements)  # type: ignore[attr-defined]


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
    step = _multi_tensor_diode if use_foreach(params, foreach) else _single_tensor_diode
    step(params, grads, averages, signs, lr=lr, beta1=beta1, beta2=beta2, maximize=maximize)


def _single_tensor_diode(
    params: list[Tensor],
    grads: list[Tensor],
    averages: list[Tensor],
    signs: list[Tensor],
    *,
    lr: Number,
    beta1: Number,
    beta2: Number,
    maximize: bool,
) -> None:
    for w, g, a, s in blocks(params, grads, averages, signs):
        average_(a, -g if maximize else g, 1 - beta1)
        average_(s, a.sign().mul_(lr), 1 - beta2)
        w.copy_(s.sign().clamp_min_(0)).mul_(-2).add_(1)


def _multi_tensor_diode(
    params: list[Tensor],
    grads: list[Tensor],
    averages: list[Tensor],
    signs: list[Tensor],
    *,
    lr: Number,
    beta1: Number,
    beta2: Number,
    maximize: bool,
) -> None:
    foreach_average_(averages, torch._foreach_neg(grads) if maximize else grads, 1 - beta1)
    directions = torch._foreach_sign(averages)
    torch._foreach_mul_(directions, lr)
    foreach_average_(signs, directions, 1 - beta2)
    positive = torch._foreach_sign(signs)
    torch._foreach_clamp_min_(positive, 0)
    for w, p in zip(params, positive, strict=True):
        w.copy_(p)
    torch._foreach_mul_(params, -2)
    torch._foreach_add_(params, 1)
