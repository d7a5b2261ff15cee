"""``FactoredScale``: a learned factor for every value of an image, as such or as a product."""

import torch
from torch import Tensor, nn

_FACTORS: dict[int, tuple[str, ...]] = {2: ("value",), 3: ("channel", "pixel"), 4: ("channel", "row", "column")}


class FactoredScale(nn.Module):
    """Scales images [N, channels, height, width]; the size is part of the layer::

        case 2    y[n, c, h, w] = x[n, c, h, w] * value[c, h, w]
        case 3    y[n, c, h, w] = x[n, c, h, w] * channel[c] * pixel[h, w]
        case 4    y[n, c, h, w] = x[n, c, h, w] * channel[c] * row[h] * column[w]

    All factors start at 1. Bulat and Tzimiropoulos 2019, XNOR-Net++, arXiv:1909.13863; its case 1 is a binary layer's
    ``scale="learned"``.
    """

    value: nn.Parameter
    channel: nn.Parameter
    pixel: nn.Parameter
    row: nn.Parameter
    column: nn.Parameter
    scales_and_thresholds = ("value", "channel", "pixel", "row", "column")

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        case: int = 4,
    ) -> None:
        if case not in _FACTORS:
            raise ValueError(f"case must be 2, 3 or 4, got {case}; case 1 is scale='learned' of a binary layer")
        super().__init__()
        self.shape, self.case = (channels, height, width), case
        sizes = {"value": self.shape, "channel": (channels,), "pixel": (height, width), "row": (height,)}
        for name in self.scales_and_thresholds:
            size = sizes.get(name, (width,))
            factor = nn.Parameter(torch.ones(size, device=device, dtype=dtype)) if name in _FACTORS[case] else None
            self.register_parameter(name, factor)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"FactoredScale was built for images {self.shape}, got {tuple(x.shape[1:])}")
        return x * self._factors().to(x.dtype)

    def _factors(self) -> Tensor:
        """[channels, height, width]."""
        match self.case:
            case 2:
                return self.value
            case 3:
                return self.pixel * self.channel[:, None, None]
        return self.row[:, None] * self.column * self.channel[:, None, None]

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.shape)) + ("" if self.case == 4 else f", case={self.case}")
