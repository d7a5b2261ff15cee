"""`bittern::conv2d_weight_only`: convolution of real-valued images with packed weights, and the epilogue.

    v = 0;  for taps (i, j) in order, for channels c in order:
        v = v + x(n, c, y*sh + i*dh - top, x*sw + j*dw - left) * w(o, c, i, j)

in float32, with w in {-1, +1}; outside the image x is 0. The products are exact, so each step is rounded once, and all
implementations give the same floats.

Floats are ``[N, O, OH, OW]``, channels_last; bits are ``[N, OH, OW, ceil(O/32)]``. The output forms are those of
`bittern.ops._layer_forms`.
"""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern.ops import layout
from bittern.ops._layer_forms import define_layer
from bittern.ops.conv2d import Geometry


def check(x: Tensor, weight: Tensor, *numbers: Any) -> tuple[int, ...]:
    """Raises ValueError if the operands do not fit; returns the float output's shape ``[N, O, OH, OW]``."""
    geometry = Geometry.of(numbers)
    if geometry.groups != 1 or geometry.pad_value != 0:
        raise ValueError(f"groups must be 1 and pad_value 0 for real-valued images, got {geometry}")
    geometry.check_weight(weight)
    if x.dtype != torch.float32 or x.dim() != 4 or x.shape[1] != geometry.in_channels:
        raise ValueError(f"x must be float32 [N, {geometry.in_channels}, H, W], got {x.dtype} {list(x.shape)}")
    return geometry.output_shape(x.shape[0], x.shape[2], x.shape[3])


def sums(x: Tensor, weight: Tensor, *numbers: Any) -> Tensor:
    """The sums of products, one after the other, float32 ``[N, O, OH, OW]``."""
    geometry = Geometry.of(numbers)
    shape = geometry.output_shape(x.shape[0], x.shape[2], x.shape[3])
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


define_layer("conv2d_weight_only", Geometry.SCHEMA, sums, check, channel_dim=1, integers=False)
