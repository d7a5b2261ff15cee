"""``CEMA``: flips a binary weight by the sign of a doubly filtered gradient."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._checks import Number
from bittern.optim._lists import average_, flip_, lists
from bittern.optim.base import BinaryOptimizer


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
    for w, g, m, h in lists(params, grads, momenta, inertias, maximize=maximize, foreach=foreach):
        average_(m, g, gamma)
        average_(h, m, alpha)
        flip_(w, h, 0.0)


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

    update = staticmethod(cema)
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
        super().__init__(params, maximize=maximize, foreach=foreach, capturable=capturable, alpha=alpha, gamma=gamma)
