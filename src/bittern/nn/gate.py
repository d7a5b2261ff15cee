"""``Gate``: factors per channel, computed from the image itself."""

import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """Images [N, in_channels, H, W] -> factors in (0, 1), [N, out_channels, 1, 1]::

        g(x) = sigmoid(expand @ relu(reduce @ mean of x over H and W))

    ``reduce`` has in_channels // reduction outputs. Both matrices have biases if ``bias``.
    Martinez et al. 2020, Real-to-Binary Convolutions, arXiv:2003.11535, section 4.3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        reduction: int = 8,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if in_channels < reduction:
            raise ValueError(f"in_channels must be at least the reduction, {reduction}, got {in_channels}")
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Linear(in_channels, in_channels // reduction, bias, device=device, dtype=dtype)
        self.expand = nn.Linear(in_channels // reduction, out_channels, bias, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        factors = self.expand(self.reduce(self.pool(x).flatten(1)).relu()).sigmoid()
        return factors[:, :, None, None]  # type: ignore[no-any-return]
