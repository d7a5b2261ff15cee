"""`bittern::conv2d_weight_only` and its output forms: real-valued images, packed weights, and the epilogue of `conv2d`.

    v = 0;  for taps (i, j) in order, for channels c in order:
        v = v + x(n, c, y*sh + i*dh - top, x*sw + j*dw - left) * w(o, c, i, j)

in float32, with w in {-1, +1}; outside the image x is 0. The products are exact, so each step is rounded once, and all
implementations give the same floats.

| operator | returns |
|---|---|
| conv2d_weight_only | float32 [N, O, OH, OW], channels_last |
| conv2d_weight_only_packed | int32 [N, OH, OW, ceil(O/32)], bit = v < threshold |
| conv2d_weight_only_float_packed | both |
"""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._library import define, empty_image, image_format
from bittern.ops.conv2d import Geometry, check_threshold, packed, split_arguments


def _check(x: Tensor, weight: Tensor, geometry: Geometry) -> tuple[int, int, int, int]:
    """Raises ValueError if the operands do not fit; returns the float output's shape ``[N, O, OH, OW]``."""
    if geometry.groups != 1 or geometry.pad_value != 0:
        raise ValueError(f"groups must be 1 and pad_value 0 for real-valued images, got {geometry}")
    geometry.check_weight(weight)
    if x.dtype != torch.float32 or x.dim() != 4 or x.shape[1] != geometry.in_channels:
        raise ValueError(f"x must be float32 [N, {geometry.in_channels}, H, W], got {x.dtype} {list(x.shape)}")
    return geometry.output_shape(x.shape[0], x.shape[2], x.shape[3])


def sums(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """The sums of products, one after the other, float32 ``[N, O, OH, OW]``."""
    shape = _check(x, weight, geometry)
    top, bottom, left, right = geometry.padding
    (stride_y, stride_x), (dilation_y, dilation_x) = geometry.stride, geometry.dilation
    x = F.pad(x, (left, right, top, bottom))
    signs = layout.unpack_weight(weight, geometry.out_channels, geometry.in_channels, geometry.kernel_size, 1)
    columns = signs.to(x.dtype).permute(2, 3, 1, 0).unsqueeze(-1).unsqueeze(-1).contiguous()  # [kh, kw, C, O, 1, 1]
    total = x.new_zeros(shape)
    for i, j in product(*map(range, geometry.kernel_size)):
        top, left = i * dilation_y, j * dilation_x
        rows = slice(top, top + (shape[2] - 1) * stride_y + 1, stride_y)
        tap = x[:, :, rows, slice(left, left + (shape[3] - 1) * stride_x + 1, stride_x)]
        for c in range(geometry.in_channels):
            total += tap[:, c : c + 1] * columns[i, j, c]
    return total


def _value(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor | None]:
    geometry, finish, threshold = split_arguments(args)
    finish.check(geometry.out_channels, _check(x, weight, geometry))
    v = finish(sums(x, weight, geometry), channel_dim=1)
    return torch.empty_like(v, memory_format=image_format(v.shape)).copy_(v), threshold


def _conv2d(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    return _value(x, weight, *args)[0]


def _conv2d_packed(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    return packed(*_value(x, weight, *args))


def _conv2d_float_packed(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    v, threshold = _value(x, weight, *args)
    return v, packed(v, threshold)


def _float_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    geometry, finish, threshold = split_arguments(args)
    shape = _check(x, weight, geometry)
    finish.check(geometry.out_channels, shape)
    check_threshold(threshold, geometry.out_channels, torch.float32)
    return empty_image(x, shape)


def _packed_fake(x: Tensor, weight: Tensor, *args: Any) -> Tensor:
    count, channels, height, width = _float_fake(x, weight, *args).shape
    return x.new_empty((count, height, width, layout.words(channels)), dtype=torch.int32)


def _float_packed_fake(x: Tensor, weight: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return _float_fake(x, weight, *args), _packed_fake(x, weight, *args)


_ARGUMENTS = f"Tensor x, Tensor weight, {Geometry.SCHEMA}, {epilogue.SCHEMA}"
_WITH_THRESHOLD = f"{_ARGUMENTS}, Tensor? threshold=None"
define("conv2d_weight_only", _ARGUMENTS, _conv2d, _float_fake)
define("conv2d_weight_only_packed", _WITH_THRESHOLD, _conv2d_packed, _packed_fake)
define("conv2d_weight_only_float_packed", _WITH_THRESHOLD, _conv2d_float_packed, _float_packed_fake, outputs=2)
