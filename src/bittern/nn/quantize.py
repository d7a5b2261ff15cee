"""DoReFa: activations and weights of a few bits."""

import torch
from torch import Tensor, nn

from bittern.nn.straight_through import straight_through

_SMALL = 2.0**-100
"""Weights below it, of which nothing but their ratios matters, are raised by its inverse."""


def _levels(bits: int) -> int:
    if not 1 <= bits <= 16:
        raise ValueError(f"bits must be in 1..16, got {bits}")
    return (1 << bits) - 1


def _round(x: Tensor) -> Tensor:
    """Rounds, halves to even; the gradient passes unchanged."""
    return straight_through(x, x.round())


class DoReFaActivation(nn.Module):
    """Rounds to ``2**bits`` levels in [0, 1]; same shape and dtype::

        y = round(n * clip(x, 0, 1)) / n,   n = 2**bits - 1               dL/dx = dL/dy * 1{0 <= x <= 1}

    Zhou et al. 2016, DoReFa-Net, arXiv:1606.06160.
    """

    def __init__(self, bits: int = 2) -> None:
        super().__init__()
        self.bits, self.levels = bits, _levels(bits)

    def forward(self, x: Tensor) -> Tensor:
        return _round(x.clamp(0, 1) * self.levels) / self.levels

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


class DoReFaWeight(nn.Module):
    """Rounds weights to ``2**bits`` levels in [-1, 1], as a parametrization or a function of a weight::

        y = 2 * round(n * (tanh(W) / (2 * m) + 1/2)) / n - 1,   n = 2**bits - 1,   m = max |tanh W|
        dL/dW = dL/dy * (1 - tanh^2 W) / m                                         m is a constant; 0 where m is 0

    With one bit the values are -1 and +1 and export packed; with more they are floats in the exported program.
    Zhou et al. 2016, DoReFa-Net, arXiv:1606.06160, eq. 9.
    """

    def __init__(self, bits: int = 2) -> None:
        super().__init__()
        self.bits, self.levels = bits, _levels(bits)
        self.binarizes = bits == 1

    def forward(self, weight: Tensor) -> Tensor:
        tanh = weight.tanh()
        largest = tanh.detach().abs().amax()
        # Powers of two are exact factors; without this one 1 / largest is infinite where all weights are subnormal.
        raised = torch.where(largest < _SMALL, 1 / _SMALL, 1.0)
        tanh, largest = tanh * raised, largest * raised
        share = tanh * torch.where(largest > 0, 0.5 / largest, 0.0) + 0.5
        return 2 * _round(share * self.levels) / self.levels - 1

    def extra_repr(self) -> str:
        return f"bits={self.bits}"
