"""`bittern::conv2d` and its output forms: convolution of packed activations with packed weights, and the epilogue.

    dot(n, o, y, x) = sum over taps (i, j), channels c of  a(n, c, y*sh + i*dh - top, x*sw + j*dw - left) w(o, c, i, j)

with a, w in {-1, +1}; outside the image a is `pad_value`: 0 (the tap does not count), +1 or -1.

| operator | returns |
|---|---|
| conv2d | float32 [N, O, OH, OW], channels_last |
| conv2d_packed | int32 [N, OH, OW, ceil(O/32)], bit = v < threshold |
| conv2d_float_packed | both |
| conv2d_threshold | int32 [N, OH, OW, ceil(O/32)], bit = dot < threshold with int32 [O]: no float arithmetic |
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._library import define, empty_image, image_format
from bittern.ops.epilogue import Epilogue, below


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

    def check(self, x: Tensor, weight: Tensor) -> tuple[int, int, int, int]:
        """Raises ValueError if the operands do not fit; returns the float output's shape ``[N, O, OH, OW]``."""
        self.check_weight(weight)
        if x.dtype != torch.int32 or x.dim() != 4 or x.shape[3] != layout.words(self.in_channels):
            expected = f"int32 [N, H, W, {layout.words(self.in_channels)}]"
            raise ValueError(f"x must be {expected} for {self.in_channels} channels, got {x.dtype} {list(x.shape)}")
        return self.output_shape(x.shape[0], x.shape[1], x.shape[2])

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


_GEOMETRY_ARGUMENTS = 8
_EPILOGUE_ARGUMENTS = len(epilogue.FIELDS)


def split_arguments(args: tuple[Any, ...]) -> tuple[Geometry, Epilogue, Tensor | None]:
    """Operator arguments behind (x, weight) to geometry, epilogue and the packed output's threshold."""
    numbers: list[Any] = [
        tuple(value) if isinstance(value, (list, tuple)) else value for value in args[:_GEOMETRY_ARGUMENTS]
    ]
    rest = args[_GEOMETRY_ARGUMENTS:]
    threshold = rest[_EPILOGUE_ARGUMENTS] if len(rest) > _EPILOGUE_ARGUMENTS else None
    return Geometry(*numbers), Epilogue(*rest[:_EPILOGUE_ARGUMENTS]), threshold


def dot(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """The integer dot products, exact, as floats ``[N, O, OH, OW]``."""
    geometry.check(x, weight)
    top, bottom, left, right = geometry.padding
    signs = layout.signs_of(layout.unpack_bits(x, geometry.in_channels)).movedim(-1, 1)
    signs = F.pad(signs, (left, right, top, bottom), value=float(geometry.pad_value))
    filters = layout.unpack_weight(
        weight, geometry.out_channels, geometry.group_channels, geometry.kernel_size, geometry.groups
    )
    result = F.conv2d(signs, filters, None, geometry.stride, 0, geometry.dilation, geometry.groups)
    return result.round_()


def _value(x: Tensor, weight: Tensor, geometry: Geometry, finish: Epilogue) -> Tensor:
    finish.check(geometry.out_channels, geometry.check(x, weight))
    v = finish(dot(x, weight, geometry), channel_dim=1)
    return torch.empty_like(v, memory_format=image_format(v.shape)).copy_(v)


def packed(v: Tensor, threshold: Tensor | None) -> Tensor:
    """Bits ``v < threshold`` of images ``[N, O, H, W]`` as int32 ``[N, H, W, ceil(O/32)]``."""
    return layout.pack_bits(below(v, threshold, 1).movedim(1, -1))


def _conv2d(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    geometry, finish, _ = split_arguments(args)
    return _value(x, weight, geometry, finish)


def _conv2d_packed(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    geometry, finish, threshold = split_arguments(args)
    return packed(_value(x, weight, geometry, finish), threshold)


def _conv2d_float_packed(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    geometry, finish, threshold = split_arguments(args)
    v = _value(x, weight, geometry, finish)
    return v, packed(v, threshold)


def _conv2d_threshold(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    geometry, _, _ = split_arguments(args[:_GEOMETRY_ARGUMENTS])
    return packed(dot(x, weight, geometry), args[_GEOMETRY_ARGUMENTS])


def _float_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    geometry, finish, threshold = split_arguments(args)
    shape = geometry.check(x, weight)
    finish.check(geometry.out_channels, shape)
    check_threshold(threshold, geometry.out_channels, torch.float32)
    return empty_image(x, shape)


def _packed_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    count, channels, height, width = _float_fake(x, weight, *args).shape
    return x.new_empty((count, height, width, layout.words(channels)))


def _float_packed_fake(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return _float_fake(x, weight, *args), _packed_fake(x, weight, *args)


def _threshold_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    check_threshold(args[_GEOMETRY_ARGUMENTS], int(args[1]), torch.int32)
    return _packed_fake(x, weight, *args[:_GEOMETRY_ARGUMENTS])


def check_threshold(threshold: Tensor | None, channels: int, dtype: torch.dtype) -> None:
    """Raises ValueError unless ``threshold`` is None or ``[channels]`` of ``dtype``."""
    if threshold is not None and (threshold.dtype != dtype or tuple(threshold.shape) != (channels,)):
        raise ValueError(f"threshold must be {dtype} [{channels}], got {threshold.dtype} {list(threshold.shape)}")


_ARGUMENTS = f"Tensor x, Tensor weight, {Geometry.SCHEMA}"
define("conv2d", f"{_ARGUMENTS}, {epilogue.SCHEMA}", _conv2d, _float_fake)
define("conv2d_packed", f"{_ARGUMENTS}, {epilogue.SCHEMA}, Tensor? threshold=None", _conv2d_packed, _packed_fake)
define(
    "conv2d_float_packed",
    f"{_ARGUMENTS}, {epilogue.SCHEMA}, Tensor? threshold=None",
    _conv2d_float_packed,
    _float_packed_fake,
    outputs=2,
)
define("conv2d_threshold", f"{_ARGUMENTS}, Tensor threshold", _conv2d_threshold, _threshold_fake)
