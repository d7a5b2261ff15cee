"""``Bop``: flips a binary weight when the average of its gradients insists."""

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
        foreach: list operations (None: on a GPU). capturable: a CUDA graph may hold the step.
    """

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
        options = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        super().__init__(params, {"gamma": gamma, "threshold": threshold, **options})

    def _update(
        self,
        group: dict[str, Any],
        params: list[Tensor],
        grads: list[Tensor],
        states: Sequence[dict[str, Any]],
    ) -> None:
        bop(
            params,
            grads,
            column(states, "momentum"),
            gamma=group["gamma"],
            threshold=group["threshold"],
            maximize=group["maximize"],
            foreach=group["foreach"],
        )


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
    step = _multi_tensor_bop if use_foreach(params, foreach) else _single_tensor_bop
    step(params, grads, momenta, gamma=gamma, threshold=threshold, maximize=maximize)


def _single_tensor_bop(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    *,
    gamma: Number,
    threshold: Number,
    maximize: bool,
) -> None:
    for w, g, m in blocks(params, grads, momenta):
        average_(m, -g if maximize else g, gamma)
        flip_(w, m, threshold)


def _multi_tensor_bop(
    params: list[Tensor],
    grads: list[Tensor],
    momenta: list[Tensor],
    *,
    gamma: Number,
    threshold: Number,
    maximize: bool,
) -> None:
    foreach_average_(momenta, torch._foreach_neg(grads) if maximize else grads, gamma)
    foreach_flip_(params, momenta, threshold)
