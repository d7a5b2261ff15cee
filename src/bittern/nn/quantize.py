"""``DoReFaActivation``: activations of a few bits."""

from typing import Any

import torch
from torch import Tensor, nn


class _Round(torch.autograd.Function):
    """Rounds, halves to even; the gradient passes unchanged."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def _round(x: Tensor) -> Tensor:
    y: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return y


class DoReFaActivation(nn.Module):
    """Rounds to ``2**bits`` levels in [0, 1]; same shape and dtype::

        y = round(n * clip(x, 0, 1)) / n,   n = 2**bits - 1               dL/dx = dL/dy * 1{0 <= x <= 1}

    Zhou et al. 2016, DoReFa-Net, arXiv:1606.06160.
    """

    def __init__(self, bits: int = 2) -> None:
        if not 1 <= bits <= 16:
            raise ValueError(f"bits must be in 1..16, got {bits}")
        super().__init__()
        self.bits = bits

    def forward(self, x: Tensor) -> Tensor:
        levels = 2**self.bits - 1
        scaled = x.clamp(0, 1) * levels
        y: Tensor = (scaled.round() if torch.compiler.is_exporting() else _round(scaled)) / levels
        return y

    def extra_repr(self) -> str:
        return f"bits={self.bits}"
