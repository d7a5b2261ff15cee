"""``FactoredScale``: a learned factor for every value of an image, as the product of three vectors."""

import torch
from torch import Tensor, nn


class FactoredScale(nn.Module):
    """Scales images [N, channels, height, width], whose size is part of the layer::

        y[n, c, h, w] = x[n, c, h, w] * channel[c] * row[h] * column[w]

    All three vectors start at 1. Bulat and Tzimiropoulos 2019, XNOR-Net++, arXiv:1909.13863, case 4.
    """

    scales_and_thresholds = ("channel", "row", "column")

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channel, self.row, self.column = (
            nn.Parameter(torch.ones(n, device=device, dtype=dtype)) for n in (channels, height, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        shape = (len(self.channel), len(self.row), len(self.column))
        if tuple(x.shape[1:]) != shape:
            raise ValueError(f"FactoredScale was made for images {shape}, got {tuple(x.shape[1:])}")
        return x * (self.row[:, None] * self.column * self.channel[:, None, None]).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{len(self.channel)}, {len(self.row)}, {len(self.column)}"
