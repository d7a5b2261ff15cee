"""``Bop2ndOrder``: Bop whose threshold is in units of the gradients' own size."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._blocks import blocks
from bittern.optim._checks import Number
from bittern.optim._flip import flip_, foreach_flip_
from bittern.optim._lists import average_, divide, foreach_average_, foreach_divide, use_foreach
from bittern.optim.base import BinaryOptimizer, column

EPS = 1e-10


class Bop2ndOrder(BinaryOptimizer):
    """Flips weights, without latent ones, by their average gradient over its root mean square::

        m <- (1 - gamma) m + gamma g                  v <- (1 - sigma) v + sigma g^2
        w <- -w where w s > threshold,                s = m / (sqrt(v) + 1e-10)
                                                      s = (m / gamma) / (sqrt(v / sigma) + 1e-10)   if unbiased

    s does not depend on the gradients' scale. What the authors call unbiased is not Adam's correction by 1 - beta^t but
    a division by the weights of the averages at every step: 1e-10 aside, that is a threshold of threshold * gamma /
    sqrt(sigma). State: two averages, by definition.

    Suarez-Ramirez et al. 2021, A Bop and Beyond, arXiv:2104.05124. The defaults are those of its code.

    Args:
        gamma, sigma: weights of the averages, in (0, 1]; the paper schedules them, and the threshold, linearly.
    """

    buffers = ("momentum", "square")
    ranges: ClassVar[Mapping[str, str]] = {"gamma": "(0, 1]", "sigma": "(0, 1]", "threshold": "[0, inf)"}

    def __init__(
        self,
        params: ParamsT,
        gamma: Number = 1e-6,
        sigma: Number = 1e-2,
        threshold: Number = 1e-6,
        *,
        unbiased: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        options = {"unbiased": unbiased, "maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {"gamma": gamma, "sigma": sigma, "threshold": threshold, **options})

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        states: Sequence[dict[str, Any]],
    ) -> None:
        bop2ndorder(
            params,
            grads,
            column(states, "momentum"),
            column(states, "square"),
            gamma=group["gamma"],
            sigma=group["sigma"],
            threshold=group["threshold"],
            unbiased=group["unbiased"],
            maximize=group["maximize"],
            foreach=group["foreach"],
        )


def bop2ndorder(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    squares: list[Tensor],
    *,
    gamma: Number,
    sigma: Number,
    threshold: Number,
    unbiased: bool = False,
    maximize: bool = False,
    foreach: bool | None = None,
) -> None:
    """One step of ``Bop2ndOrder`` in place. ``params`` are -1 and +1; all others are of one type."""
    step = _multi_tensor_bop2ndorder if use_foreach(params, foreach) else _single_tensor_bop2ndorder
    options = {"gamma": gamma, "sigma": sigma, "threshold": threshold}
    step(params, grads, momenta, squares, unbiased=unbiased, maximize=maximize, **options)


def _single_tensor_bop2ndorder(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    squares: list[Tensor],
    *,
    gamma: Number,
    sigma: Number,
    threshold: Number,
    unbiased: bool,
    maximize: bool,
) -> None:
    for w, g, m, v in blocks(params, grads, momenta, squares):
        average_(m, -g if maximize else g, gamma)
        average_(v, g * g, sigma)
        size = (divide(v, sigma) if unbiased else v).sqrt().add_(EPS)
        flip_(w, (divide(m, gamma) if unbiased else m) / size, threshold)


def _multi_tensor_bop2ndorder(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    squares: list[Tensor],
    *,
    gamma: Number,
    sigma: Number,
    threshold: Number,
    unbiased: bool,
    maximize: bool,
) -> None:
    foreach_average_(momenta, torch._foreach_neg(grads) if maximize else grads, gamma)
    foreach_average_(squares, torch._foreach_mul(grads, grads), sigma)
    sizes = torch._foreach_sqrt(foreach_divide(squares, sigma) if unbiased else squares)
    torch._foreach_add_(sizes, EPS)
    signals = torch._foreach_div(foreach_divide(momenta, gamma) if unbiased else momenta, sizes)
    foreach_flip_(params, signals, threshold)
