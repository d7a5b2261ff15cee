"""Keras' SAME padding: stride s turns n pixels into ceil(n / s), and an odd pixel is added at the far side."""

import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Pixels in front of and behind one dimension of ``size`` pixels::

    total = max((ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    (total // 2, total - total // 2)
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def pad_same(
    x: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...] | None = None,
    value: float = 0.0,
) -> tuple[Tensor, tuple[int, ...]]:
    """``x`` [N, C, H, W] or [N, C, L] padded with ``value``, and the padding left for the layer to add on both sides.

    An even border of zeros is left to the layer, which needs no copy of the image for it. ``dilation``: None for 1.
    """
    borders = [
        same_padding(size, k, s, d)
        for size, k, s, d in zip(x.shape[2:], kernel, stride, dilation or (1,) * len(kernel), strict=True)
    ]
    if value == 0 and all(before == after for before, after in borders):
        return x, tuple(before for before, _ in borders)
    widths = [width for border in reversed(borders) for width in border]
    return (F.pad(x, widths, value=value) if any(widths) else x), (0,) * len(borders)


class Conv2dSame(nn.Conv2d):
    """``torch.nn.Conv2d`` with Keras' SAME padding of zeros at any stride; it has no argument ``padding``."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)

    def forward(self, x: Tensor) -> Tensor:
        x, padding = pad_same(x, self.kernel_size, self.stride, self.dilation)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class MaxPool2dSame(nn.MaxPool2d):
    """``torch.nn.MaxPool2d`` with Keras' SAME padding of -inf. [N, C, H, W] only."""

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = pad_same(x, (self.kernel_size,) * 2, (self.stride,) * 2, value=float("-inf"))  # type: ignore[arg-type]
        y: Tensor = super().forward(x)
        return y
