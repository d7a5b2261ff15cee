"""``RPReLU``: PReLU with a learned kink."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn.channels import per_channel


class _PReLU(torch.autograd.Function):
    """``F.prelu`` with a vectorised backward; torch's own branches per element on a CPU."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return F.prelu(x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        positive = torch.gt(x, 0, out=torch.empty_like(x))  # 1.0 or 0.0
        slope = torch.lerp(per_channel(weight, x), positive.new_ones(()), positive)
        grad_weight = x.clamp_max(0).mul_(grad).sum([d for d in range(x.dim()) if d != 1])
        return slope.mul_(grad), grad_weight.to(weight.dtype)


class RPReLU(nn.PReLU):
    """PReLU per channel between two learned shifts, for inputs [N, C, ...]::

        v = x + shift_in[c];   y = (v if v > 0 else weight[c] * v) + shift_out[c]

    ``weight`` starts at ``init``, both shifts at 0.
    Liu et al. 2020, ReActNet, arXiv:2003.03488, eq. 6, where ``shift_in`` is -gamma and ``shift_out`` is zeta.
    """

    scales_and_thresholds = ("weight", "shift_in", "shift_out")

    def __init__(
        self,
        channels: int,
        init: float = 0.25,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(channels, init, device=device, dtype=dtype)
        self.shift_in = nn.Parameter(torch.zeros(channels, device=device, dtype=dtype))
        self.shift_out = nn.Parameter(torch.zeros(channels, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        v = x + per_channel(self.shift_in, x)
        return self._prelu(v) + per_channel(self.shift_out, x)

    def _prelu(self, v: Tensor) -> Tensor:
        weight = self.weight if self.weight.dtype == v.dtype else self.weight.to(v.dtype)
        if torch.compiler.is_exporting():
            return F.prelu(v, weight)
        y: Tensor = _PReLU.apply(v, weight)  # type: ignore[no-untyped-call]
        return y
