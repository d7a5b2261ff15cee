"""The operators' equations in plain numpy: the oracle of the native tests, written from their definitions.

Signs are float64 arrays of -1 and +1; a float32 epilogue is computed step by step in float32.
"""

import itertools
import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

WORD = 32
BLOCK = 16


def words(channels: int) -> int:
    return math.ceil(channels / WORD)


def pack(negative: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Booleans [..., C] to int32 [..., ceil(C / 32)]: channel c is bit c % 32 of word c // 32."""
    packed = np.zeros((*negative.shape[:-1], words(negative.shape[-1])), np.uint32)
    for c in range(negative.shape[-1]):
        packed[..., c // WORD] |= negative[..., c].astype(np.uint32) << np.uint32(c % WORD)
    return packed.view(np.int32)


def unpack(packed: NDArray[np.int32], channels: int) -> NDArray[np.float64]:
    """Signs [..., C] of packed bits."""
    bits = np.empty((*packed.shape[:-1], channels), np.bool_)
    for c in range(channels):
        bits[..., c] = packed.view(np.uint32)[..., c // WORD] >> np.uint32(c % WORD) & np.uint32(1)
    return np.where(bits, -1.0, 1.0)


def pack_weight(signs: NDArray[np.float64], groups: int = 1) -> NDArray[np.int32]:
    """Signs [O, kh, kw, C / groups] to int32 [blocks, kh * kw * tap words, 16]: ops/layout.py's WeightLayout."""
    filters, depth = signs.shape[0] // groups, signs.shape[3]
    together = max(1, BLOCK // filters)  # groups that share a block
    sets, blocks = math.ceil(groups / together), math.ceil(together * filters / BLOCK)
    all_words = words(groups * depth)
    spans = [(s * together * depth // WORD, words((s + 1) * together * depth)) for s in range(max(sets, WORD))]
    width = min(max(last - first for first, last in spans[: min(sets, WORD)]), all_words)
    packed = np.zeros((sets * blocks, math.prod(signs.shape[1:3]) * width, BLOCK), np.int32)
    for o in range(signs.shape[0]):
        group = o // filters
        at = group // together
        first = min(spans[at][0], all_words - width)
        taps = np.ones((*signs.shape[1:3], width * WORD))
        start = group * depth - first * WORD
        taps[..., start : start + depth] = signs[o]
        block, lane = divmod(o - at * together * filters, BLOCK)
        packed[at * blocks + block, :, lane] = pack(taps < 0).reshape(-1)
    return packed


@dataclass
class Conv:
    """The integers of a convolution, in the order of the operators' arguments."""

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    pad_value: int = 0

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        (kh, kw), (sh, sw), (dh, dw) = self.kernel_size, self.stride, self.dilation
        top, bottom, left, right = self.padding
        return (
            (height + top + bottom - dh * (kh - 1) - 1) // sh + 1,
            (width + left + right - dw * (kw - 1) - 1) // sw + 1,
        )

    def arguments(self) -> list[object]:
        return [
            value if isinstance(value, int) else list(value) for value in (getattr(self, f.name) for f in fields(self))
        ]


def conv2d(x: NDArray[np.float64], weight: NDArray[np.float64], conv: Conv) -> NDArray[np.int64]:
    """Dot products [N, OH, OW, O] of signs x [N, H, W, C] with filters [O, kh, kw, C / groups]."""
    top, bottom, left, right = conv.padding
    border = ((0, 0), (top, bottom), (left, right), (0, 0))
    padded = np.pad(x, border, constant_values=conv.pad_value)
    height, width = conv.out_size(*x.shape[1:3])
    (sh, sw), (dh, dw) = conv.stride, conv.dilation
    channels, filters = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    dot = np.zeros((x.shape[0], height, width, conv.out_channels))
    for i, j, group in itertools.product(*map(range, (*conv.kernel_size, conv.groups))):
        rows = slice(i * dh, i * dh + (height - 1) * sh + 1, sh)
        columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
        taps = padded[:, rows, columns, group * channels : (group + 1) * channels]
        outputs = slice(group * filters, (group + 1) * filters)
        dot[..., outputs] += taps @ weight[outputs, i, j].T
    return dot.astype(np.int64)


@dataclass
class Epilogue:
    """The epilogue's arguments in order; per-channel arrays are float32 [O], residual [..., O]."""

    dot_min: float | None = None
    dot_max: float | None = None
    mul: NDArray[np.float32] | None = None
    add: NDArray[np.float32] | None = None
    act_min: float | None = None
    act_max: float | None = None
    act_slope: NDArray[np.float32] | None = None
    residual: NDArray[np.float32] | None = None
    shift_in: NDArray[np.float32] | None = None
    shift_slope: NDArray[np.float32] | None = None
    shift_out: NDArray[np.float32] | None = None

    def arguments(self) -> list[object]:
        return [getattr(self, f.name) for f in fields(self)]

    def __call__(self, dot: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [..., O] of integers [..., O]: one rounding a step."""

        def clamp(v: NDArray[np.float32], low: float | None, high: float | None) -> NDArray[np.float32]:
            # np.maximum gives NaN where v is NaN, as the definition asks.
            v = v if low is None else np.maximum(v, np.float32(low))
            return v if high is None else np.minimum(v, np.float32(high))

        def prelu(v: NDArray[np.float32], slope: NDArray[np.float32] | None) -> NDArray[np.float32]:
            return v if slope is None else np.where(v > 0, v, v * slope)

        with np.errstate(all="ignore"):
            v = clamp(dot.astype(np.float32), self.dot_min, self.dot_max)
            v = v if self.mul is None else v * self.mul
            v = v if self.add is None else v + self.add
            v = prelu(clamp(v, self.act_min, self.act_max), self.act_slope)
            v = v if self.residual is None else v + self.residual
            v = v if self.shift_in is None else v + self.shift_in
            v = prelu(v, self.shift_slope)
            v = v if self.shift_out is None else v + self.shift_out
        assert v.dtype == np.float32
        return v


def max_pool2d(
    x: NDArray[np.int32],
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> NDArray[np.int32]:
    """Packed maxima of packed [N, H, W, words]."""
    conv = Conv(1, 1, kernel_size, stride, padding, dilation)
    height, width = conv.out_size(*x.shape[1:3])
    out = np.full((x.shape[0], height, width, x.shape[3]), -1, np.int32)
    for y, z, i, j in itertools.product(range(height), range(width), *map(range, kernel_size)):
        row = y * stride[0] - padding[0] + i * dilation[0]
        column = z * stride[1] - padding[2] + j * dilation[1]
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            out[:, y, z] &= x[:, row, column]
    return out


def random_signs(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return rng.choice([-1.0, 1.0], shape)
