"""``Bop``: flips a binary weight when the average of its gradients is large and has its sign."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.optim.optimizer import ParamsT

from bittern.optim._checks import Number
from bittern.optim._lists import average_, flip_, lists
from bittern.optim.base import BinaryOptimizer


def bop(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    *,
    gamma: Number,
    threshold: Number,
    maximize: bool = False,
    foreach: bool | None = None,
) -> None:
    """One step of ``Bop`` in place. ``params`` are -1 and +1; ``grads`` and ``momenta`` are of one type."""
    for w, g, m in lists(params, grads, momenta, maximize=maximize, foreach=foreach):
        average_(m, g, gamma)
        flip_(w, m, threshold)


class Bop(BinaryOptimizer):
    """Flips weights, without latent ones::

        m <- (1 - gamma) m + gamma g                  w <- -w where w m > threshold

    So a weight flips iff its average gradient has its sign and is strictly larger than the threshold. There is no bias
    correction, and m stays when a weight flips. Larq's Bop forces +1 where w m equals the threshold (with a threshold
    of 0: wherever no gradient came); here the weight stays. State: one average.

    The threshold is compared with gradients as they come, so it depends on their scale: mean or sum over the batch,
    distillation, loss scaling. Under AMP let ``GradScaler.step`` unscale them.

    Helwegen et al. 2019, Latent Weights Do Not Exist, arXiv:1906.02107, algorithm 2. The defaults are Larq's.

    Args:
        gamma: adaptivity, in [0, 1]; 1 / gamma steps are remembered. The paper lowers it during training.
        threshold: at least 0; 1e-8 to 1e-6 in the paper.
        maximize, foreach, capturable: as in ``BinaryOptimizer``.
    """

    update = staticmethod(bop)
    buffers = ("momentum",)
    ranges: ClassVar[Mapping[str, str]] = {"gamma": "[0, 1]", "threshold": "[0, inf)"}

    def __init__(
        self,
        params: ParamsT,
        gamma: Number = 1e-4,
        threshold: Number = 1e-8,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params, maximize=maximize, foreach=foreach, capturable=capturable, gamma=gamma, threshold=threshold
        )
