"""Gradient estimators: what stands in for the derivative of ``binarize``, which is zero almost everywhere.

An estimator is a training matter only. Every one has the same forward, ``torch.ops.bittern.binarize``, so an exported
program does not show which one trained it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bittern._lookup import find


@dataclass(frozen=True)
class Estimator:
    """One row of the registry.

    ``backward(grad, x)`` returns dL/dx for the incoming ``grad`` = dL/d binarize(x); all three have the shape and the
    dtype of ``x``. It must not write to its arguments.
    """

    name: str
    backward: Callable[[Tensor, Tensor], Tensor]
    equation: str
    source: str


def _clipped(bound: float) -> Callable[[Tensor, Tensor], Tensor]:
    def backward(grad: Tensor, x: Tensor) -> Tensor:
        # Comparing in place keeps the mask in the dtype of x: one vectorised pass each, no bool tensor to convert.
        return x.abs().le_(bound).mul_(grad)

    return backward


def _approx_sign(grad: Tensor, x: Tensor) -> Tensor:
    slope = x.abs().clamp_max_(1)
    torch.sub(slope.new_tensor(2), slope, alpha=2, out=slope)
    return slope.nan_to_num_(nan=0.0).mul_(grad)


def _identity(grad: Tensor, x: Tensor) -> Tensor:
    return grad


ESTIMATORS: dict[str, Estimator] = {
    row.name: row
    for row in (
        Estimator(
            "ste",
            _clipped(1.0),
            "dL/dx = dL/dy * 1{|x| <= 1}",
            "Hubara et al. 2016, Binarized Neural Networks, arXiv:1602.02830, eq. 4",
        ),
        Estimator(
            "ste_1.25",
            _clipped(1.25),
            "dL/dx = dL/dy * 1{|x| <= 1.25}",
            "Bannink et al. 2021, Larq Compute Engine, arXiv:2011.09398 (QuickNet)",
        ),
        Estimator(
            "ste_1.3",
            _clipped(1.3),
            "dL/dx = dL/dy * 1{|x| <= 1.3}",
            "Bethge et al. 2019, Back to Simplicity, arXiv:1906.08637",
        ),
        Estimator(
            "ste_1.5",
            _clipped(1.5),
            "dL/dx = dL/dy * 1{|x| <= 1.5}",
            "Guo et al. 2022, BNext, arXiv:2211.12933",
        ),
        Estimator(
            "approx_sign",
            _approx_sign,
            "dL/dx = dL/dy * (2 - 2|x|) * 1{|x| <= 1}",
            "Liu et al. 2018, Bi-Real Net, arXiv:1808.00278, section 3.3",
        ),
        Estimator(
            "identity",
            _identity,
            "dL/dx = dL/dy",
            "Bengio et al. 2013, Estimating or Propagating Gradients Through Stochastic Neurons, arXiv:1308.3432",
        ),
    )
}
"""Every estimator by name. In all of them a NaN in ``x`` is outside the interval."""


def get_estimator(name: str) -> Estimator:
    """The estimator called ``name``; ValueError with the known names if there is none."""
    return find("estimator", name, ESTIMATORS)
