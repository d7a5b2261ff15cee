"""`bittern::conv2d`: convolution of packed activations with packed weights, and the epilogue.

    dot(n, o, y, x) = sum over taps (i, j), channels c of  a(n, c, y*sh + i*dh - top, x*sw + j*dw - left) w(o, c, i, j)

with a, w in {-1, +1}; outside the image a is `pad_value`: 0 (the tap does not count), +1 or -1.

Floats are ``[N, O, OH, OW]``, channels_last; bits are ``[N, OH, OW, ceil(O/32)]``. The output forms are those of
`bittern.ops._layer_forms`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._layer_forms import define_layer


@dataclass(frozen=True)
class Geometry:
    """The integers of a convolution, in the order of the operators' arguments; padding: top, bottom, left, right."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    pad_value: int

    SCHEMA = (
        "int in_channels, int out_channels, int[2] kernel_size, int[2] stride, int[4] padding, int[2] dilation, "
        "int groups, int pad_value"
    )

    @staticmethod
    def of(numbers: Iterable[Any]) -> "Geometry":
        """From the arguments of a call, whose pairs and paddings are lists."""
        values: list[Any] = [tuple(value) if isinstance(value, (list, tuple)) else value for value in numbers]
        return Geometry(*values)

    @property
    def group_channels(self) -> int:
        return self.in_channels // self.groups

    @property
    def depth(self) -> int:
        """Bits of one dot product away from the border."""
        return self.group_channels * self.kernel_size[0] * self.kernel_size[1]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output for an input of ``height`` x ``width``."""
        top, bottom, left, right = self.padding
        return (
            output_size(height, top + bottom, self.kernel_size[0], self.stride[0], self.dilation[0]),
            output_size(width, left + right, self.kernel_size[1], self.stride[1], self.dilation[1]),
        )

    def check_weight(self, weight: Tensor) -> None:
        """Raises ValueError if the numbers are out of range or the packed weights do not fit them."""
        positive = (self.in_channels, self.out_channels, *self.kernel_size, *self.stride, *self.dilation, self.groups)
        if min(positive) < 1 or min(self.padding) < 0:
            raise ValueError(f"channels, kernel, stride, dilation and groups must be >= 1 and padding >= 0, got {self}")
        if self.pad_value not in (-1, 0, 1):
            raise ValueError(f"pad_value must be -1, 0 or +1, got {self.pad_value}")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups={self.groups} must divide in_channels={self.in_channels} and out_channels={self.out_channels}"
            )
        if self.depth > epilogue.MAX_DOT:
            raise ValueError(f"a filter has {self.depth} bits; at most {epilogue.MAX_DOT} keep float32 dots exact")
        taps = self.kernel_size[0] * self.kernel_size[1]
        shape = layout.WeightLayout(self.out_channels, self.group_channels, taps, self.groups).shape
        if weight.dtype != torch.int32 or tuple(weight.shape) != shape:
            expected = f"int32 {list(shape)}"
            raise ValueError(f"weight must be {expected}, got {weight.dtype} {list(weight.shape)}")

    def output_shape(self, images: int, height: int, width: int) -> tuple[int, int, int, int]:
        """The float output's shape for images of ``height`` x ``width``; ValueError if they hold no window."""
        size = self.output_size(height, width)
        if min(size) < 1:
            raise ValueError(f"the {height} x {width} image is smaller than the dilated kernel: {self}")
        return images, self.out_channels, *size


def output_size(size: int, padding: int, kernel: int, stride: int, dilation: int) -> int:
    """Output positions along one axis; ``padding`` counts both sides."""
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def check(x: Tensor, weight: Tensor, *numbers: Any) -> tuple[int, ...]:
    """Raises ValueError if the operands do not fit; returns the float output's shape ``[N, O, OH, OW]``."""
    geometry = Geometry.of(numbers)
    geometry.check_weight(weight)
    words = layout.words(geometry.in_channels)
    if x.dtype != torch.int32 or x.dim() != 4 or x.shape[3] != words:
        expected = f"int32 [N, H, W, {words}]"
        raise ValueError(f"x must be {expected} for {geometry.in_channels} channels, got {x.dtype} {list(x.shape)}")
    return geometry.output_shape(x.shape[0], x.shape[1], x.shape[2])


def dot(x: Tensor, weight: Tensor, *numbers: Any) -> Tensor:
    """The integer dot products, exact, as floats ``[N, O, OH, OW]``."""
    geometry = Geometry.of(numbers)
    top, bottom, left, right = geometry.padding
    signs = layout.signs_of(layout.unpack_bits(x, geometry.in_channels)).movedim(-1, 1)
    signs = F.pad(signs, (left, right, top, bottom), value=float(geometry.pad_value))
    filters = layout.unpack_weight(
        weight, geometry.out_channels, geometry.group_channels, geometry.kernel_size, geometry.groups
    )
    result = F.conv2d(signs, filters, None, geometry.stride, 0, geometry.dilation, geometry.groups)
    return result.round_()


define_layer("conv2d", Geometry.SCHEMA, dot, check, channel_dim=1, integers=True)
