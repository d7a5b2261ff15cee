"""`bittern::max_pool2d`: max pooling of packed activations, which is a bitwise AND, as bit 0 is +1.

bit(n, y, x, c) = AND over the taps (i, j) inside the image of bit(n, y*sh + i*dh - top, x*sw + j*dw - left, c)
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bittern.ops import layout
from bittern.ops._library import define
from bittern.ops.conv2d import output_size


def _check(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """Raises ValueError if a window holds no tap of the image; returns the output's shape ``[N, OH, OW, words]``."""
    if x.dtype != torch.int32 or x.dim() != 4:
        raise ValueError(f"x must be int32 [N, H, W, words], got {x.dtype} {list(x.shape)}")
    if min(*kernel_size, *stride, *dilation) < 1 or min(padding) < 0:
        raise ValueError(
            f"kernel, stride and dilation must be >= 1, padding >= 0: {kernel_size}, {stride}, {dilation}, {padding}"
        )
    sizes = []
    for axis in (0, 1):
        size, before, after = x.shape[1 + axis], padding[2 * axis], padding[2 * axis + 1]
        out = output_size(size, before + after, kernel_size[axis], stride[axis], dilation[axis])
        starts = [position * stride[axis] - before for position in range(out)]
        taps = [[start + tap * dilation[axis] for tap in range(kernel_size[axis])] for start in starts]
        if out < 1 or any(not any(0 <= tap < size for tap in window) for window in taps):
            raise ValueError(f"every window needs a tap inside the image: size {size}, padding {before} + {after}")
        sizes.append(out)
    return (x.shape[0], *sizes, x.shape[3])


def _max_pool2d(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    shape = _check(x, kernel_size, stride, padding, dilation)
    top, bottom, left, right = padding
    signs = layout.signs_of(layout.unpack_bits(x, x.shape[3] * layout.WORD_BITS)).movedim(-1, 1)
    # -inf never wins, so that taps outside the image do not count.
    signs = F.pad(signs, (left, right, top, bottom), value=float("-inf"))
    pooled = F.max_pool2d(signs, list(kernel_size), list(stride), 0, list(dilation))
    return layout.pack_bits((pooled < 0).movedim(1, -1)).reshape(shape)


def _max_pool2d_fake(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Tensor:
    return x.new_empty(_check(x, kernel_size, stride, padding, dilation))


define(
    "max_pool2d",
    "Tensor x, int[2] kernel_size, int[2] stride, int[4] padding, int[2] dilation",
    _max_pool2d,
    _max_pool2d_fake,
)
