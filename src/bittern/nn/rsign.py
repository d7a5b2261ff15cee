"""``RSign``: the sign with a learned threshold per channel."""

import torch
from torch import Tensor, nn

from bittern.nn.channels import per_channel
from bittern.nn.progress import register_progress
from bittern.ops.binarize import binarize
from bittern.ops.estimators import get_estimator


class RSign(nn.Module):
    """Sign with a learned shift per channel, for inputs [N, C, ...]::

        y = binarize(x + shift[c])          the threshold on x is -shift[c]

    Backward: the estimator's equation at x + shift, for both x and shift. ``shift`` starts at 0.
    Liu et al. 2020, ReActNet, arXiv:2003.03488, eq. 3-5; there the sign at the threshold itself is -1, here +1.
    """

    scales_and_thresholds = ("shift",)

    progress: Tensor | None

    def __init__(
        self,
        channels: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        estimator: str = "approx_sign",
    ) -> None:
        super().__init__()
        self.channels = channels
        self.estimator = get_estimator(estimator).name
        self.shift = nn.Parameter(torch.zeros(channels, device=device, dtype=dtype))
        register_progress(self, estimator, device=device)

    def forward(self, x: Tensor) -> Tensor:
        return binarize(x + per_channel(self.shift, x), self.estimator, self.progress)

    def extra_repr(self) -> str:
        return f"{self.channels}, estimator={self.estimator!r}"
