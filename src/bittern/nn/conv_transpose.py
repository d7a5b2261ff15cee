"""``BinaryConvTranspose2d``: ``torch.nn.ConvTranspose2d`` on signs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.nn.binary_layer import BinaryLayer
from bittern.nn.channels import Scale, per_channel
from bittern.nn.weights import WeightTransform


class BinaryConvTranspose2d(BinaryLayer, nn.ConvTranspose2d):
    """Transposed 2-D convolution of signs by signs::

        y = a * conv_transpose2d(binarize(x), binarize(W)) + b

    The positional arguments are those of ``torch.nn.ConvTranspose2d``, except that ``bias`` is False by default; so is
    the layout of ``weight``, [I, O / groups, kh, kw]. The keyword arguments mean the same as in ``BinaryConv2d``, where
    the filter of an output channel is all weights that reach it: I / groups * kh * kw of them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = False,
        dilation: int | tuple[int, int] = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        scale: Scale = "none",
        estimator: str = "approx_sign",
        weight_estimator: str = "ste",
        binarize_input: bool = True,
        binarize_weight: bool = True,
        weight_transform: WeightTransform = "none",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,  # type: ignore[arg-type]
            device=device,
            dtype=dtype,
        )
        self._set_up(scale, estimator, weight_estimator, binarize_input, binarize_weight, weight_transform)

    def _filters(self) -> Tensor:
        return _swap_channels(self.weight, self.groups)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """``output_size``: height and width of the result, as in torch."""
        stride: Any = self.stride
        padding: Any = self.padding
        kernel_size: Any = self.kernel_size
        dilation: Any = self.dilation
        added: list[int] = self._output_padding(x, output_size, stride, padding, kernel_size, 2, dilation)
        x, filters, scale = self._operands(x)
        weight = _swap_channels(filters, self.groups)
        bias = self.bias if scale is None else None
        y = F.conv_transpose2d(x, weight, bias, stride, padding, added, self.groups, dilation)
        if scale is None:
            return y
        y = y * per_channel(scale, y)
        return y if self.bias is None else y + per_channel(self.bias, y)


def _swap_channels(weight: Tensor, groups: int) -> Tensor:
    """[I, O / groups, kh, kw] to [O, I / groups, kh, kw], or back."""
    swapped: Tensor = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return swapped
