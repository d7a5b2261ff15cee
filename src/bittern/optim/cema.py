"""``CEMA``: flips a binary weight by the sign of a doubly filtered gradient."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._blocks import blocks
from bittern.optim._checks import Number
from bittern.optim._flip import flip_, foreach_flip_
from bittern.optim._lists import average_, foreach_average_, use_foreach
from bittern.optim.base import BinaryOptimizer, column


class CEMA(BinaryOptimizer):
    """Cascaded exponential moving averages, without latent weights or threshold::

        m <- (1 - gamma) m + gamma g
        h <- (1 - alpha) h + alpha m                  w <- -w where w h > 0

    So after a step w is -sign(h) wherever h is not 0. SGD on latent weights with momentum and weight decay is the same
    filter; alpha takes the place of lr * weight_decay, and is scheduled like a learning rate (to 0). The sign of h does
    not depend on the gradients' scale. State: two averages, by definition.

    Quist, Li, van Gemert 2023, Understanding weight-magnitude hyperparameters in training binary networks, ICLR. The
    defaults are ours.
    """

    buffers = ("momentum", "inertia")
    ranges: ClassVar[Mapping[str, str]] = {"gamma": "[0, 1]", "alpha": "[0, 1]"}

    def __init__(
        self,
        params: ParamsT,
        alpha: Number = 1e-3,
        gamma: Number = 0.1,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        options = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {"alpha": alpha, "gamma": gamma, **options})

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        states: Sequence[dict[str, Any]],
    ) -> None:
        cema(
            params,
            grads,
            column(states, "momentum"),
            column(states, "inertia"),
            alpha=group["alpha"],
            gamma=group["gamma"],
            maximize=group["maximize"],
            foreach=group["foreach"],
        )


def cema(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    inertias: list[Tensor],
    *,
    alpha: Number,
    gamma: Number,
    maximize: bool = False,
    foreach: bool | None = None,
) -> None:
    """One step of ``CEMA`` in place. ``params`` are -1 and +1; all others are of one type."""
    step = _multi_tensor_cema if use_foreach(params, foreach) else _single_tensor_cema
    step(params, grads, momenta, inertias, alpha=alpha, gamma=gamma, maximize=maximize)


def _single_tensor_cema(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    inertias: list[Tensor],
    *,
    alpha: Number,
    gamma: Number,
    maximize: bool,
) -> None:
    for w, g, m, h in blocks(params, grads, momenta, inertias):
        average_(m, -g if maximize else g, gamma)
        average_(h, m, alpha)
        flip_(w, h, 0.0)


def _multi_tensor_cema(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    inertias: list[Tensor],
    *,
    alpha: Number,
    gamma: Number,
    maximize: bool,
) -> None:
    foreach_average_(momenta, torch._foreach_neg(grads) if maximize else grads, gamma)
    foreach_average_(inertias, momenta, alpha)
    foreach_flip_(params, inertias, 0.0)
