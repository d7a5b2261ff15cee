"""``Bop2ndOrder``: Bop whose threshold is in units of the gradients' own size."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._checks import Number
from bittern.optim._lists import average_, divide, flip_, lists
from bittern.optim.base import BinaryOptimizer

EPS = 1e-10


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
    for w, g, m, v in lists(params, grads, momenta, squares, maximize=maximize, foreach=foreach):
        average_(m, g, gamma)
        average_(v, torch._foreach_mul(g, g), sigma)
        sizes = torch._foreach_sqrt(divide(v, sigma) if unbiased else v)
        torch._foreach_add_(sizes, EPS)
        flip_(w, torch._foreach_div(divide(m, gamma) if unbiased else m, sizes), threshold)


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

    update = staticmethod(bop2ndorder)
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
        numbers = {"gamma": gamma, "sigma": sigma, "threshold": threshold, "unbiased": unbiased}
        super().__init__(params, maximize=maximize, foreach=foreach, capturable=capturable, **numbers)
