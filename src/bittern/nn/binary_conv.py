"""What ``BinaryConv1d`` and ``BinaryConv2d`` share: the convolution, and its border."""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from bittern.nn.binary_layer import BinaryLayer
from bittern.nn.channels import per_channel
from bittern.nn.same import pad_same

PAD_VALUES = (0, 1, -1)
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]

_CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d}
"""By number of spatial dimensions."""


def check_border(pad_value: int, padding_mode: str, padding: object, stride: object) -> bool:
    """Whether the padding is Keras' SAME with a stride, which torch refuses; ValueError for what does not fit."""
    if pad_value not in PAD_VALUES:
        raise ValueError(f"pad_value must be 0, +1 or -1, got {pad_value!r}")
    if pad_value and padding_mode != "zeros":
        raise ValueError(
            f"pad_value {pad_value:+d} and padding_mode {padding_mode!r} both set the border's value; give one"
        )
    strided_same = padding == "same" and stride not in (1, (1,), (1, 1))
    if strided_same and padding_mode != "zeros":
        raise ValueError(f"padding 'same' with a stride goes with padding_mode 'zeros', got {padding_mode!r}")
    return strided_same


class BinaryConv(BinaryLayer):
    """A mixin in front of ``torch.nn.Conv1d`` or ``Conv2d``."""

    padding: str | tuple[int, ...]
    bias: Tensor | None
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    kernel_size: tuple[int, ...]
    groups: int

    def _set_border(self, strided_same: bool, pad_value: int) -> None:
        if strided_same:
            self.padding = "same"
        self.strided_same = strided_same
        self.pad_value = pad_value

    def forward(self, x: Tensor) -> Tensor:
        x, weight, scale = self._operands(x)
        if scale is None:
            return self._convolve(x, weight, self.bias)
        y = self._convolve(x, weight, None)
        y = y * per_channel(scale, y)
        return y if self.bias is None else y + per_channel(self.bias, y)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        convolve = _CONVOLUTIONS[len(self.kernel_size)]
        if self.strided_same:
            x, padding = pad_same(x, self.kernel_size, self.stride, self.dilation, float(self.pad_value))
            return convolve(x, weight, bias, self.stride, padding, self.dilation, self.groups)  # type: ignore[no-any-return]
        if self.pad_value == 0:
            return self._conv_forward(x, weight, bias)  # type: ignore[no-any-return,operator]
        x = F.pad(x, self._reversed_padding_repeated_twice, value=float(self.pad_value))  # type: ignore[arg-type]
        return convolve(x, weight, bias, self.stride, 0, self.dilation, self.groups)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, pad_value={self.pad_value}"
