"""A grid of convolutions, compared with the PyTorch references of bittern.ops in every output form.

A geometry is a problem's shapes, strides and padding; a combination adds an epilogue, a number of threads and an output
form. The reference computes the dot products of a geometry once; forms, epilogues, threads and instruction sets share
them. Every combination has a name from which `only` finds it again, and its operands come from that name alone.
"""

import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import bittern.ops  # noqa: F401  (defines the operators)
from bittern.ops import layout
from bittern.ops.epilogue import Epilogue, below
from native.reference import Conv
from native.sanitized import Call, Native, NativeError, fresh

FORMS = ("conv2d", "conv2d_packed", "conv2d_float_packed", "conv2d_threshold")
EPILOGUES = ("none", "relu", "all")
THREADS = (1, 2)
COMBINATIONS = len(EPILOGUES) * len(THREADS)
"""Of one geometry, for each output form."""

Image = tuple[int, int, int]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """``image`` is N, H, W; channels and filters are those of one group; ``padding`` is a key of PADDINGS."""

    image: Image
    channels: int
    kernel: Pair
    filters: int
    groups: int
    stride: Pair
    dilation: Pair
    padding: str

    @property
    def name(self) -> str:
        n, h, w = self.image
        sizes = f"{n}x{h}x{w}x{self.groups * self.channels}-{_by(self.kernel)}x{self.groups * self.filters}"
        steps = f"groups{self.groups}-stride{_by(self.stride)}-dilation{_by(self.dilation)}"
        return f"{sizes}-{steps}-{self.padding}"

    @property
    def conv(self) -> Conv:
        padding, pad_value = PADDINGS[self.padding](self)
        channels, filters = self.groups * self.channels, self.groups * self.filters
        return Conv(channels, filters, self.kernel, self.stride, padding, self.dilation, self.groups, pad_value)

    @property
    def fits(self) -> bool:
        """The padded image holds a window."""
        return min(self.conv.out_size(*self.image[1:])) >= 1


def _by(pair: Pair) -> str:
    return f"{pair[0]}x{pair[1]}"


def _same(g: Geometry) -> tuple[int, int, int, int]:
    """Output size ceil(size / stride), the odd pixel of padding after the image."""
    sides = []
    for size, kernel, stride, dilation in zip(g.image[1:], g.kernel, g.stride, g.dilation, strict=True):
        both = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
        sides += [both // 2, both - both // 2]
    return sides[0], sides[1], sides[2], sides[3]


PADDINGS: dict[str, Callable[[Geometry], tuple[tuple[int, int, int, int], int]]] = {
    "valid": lambda g: ((0, 0, 0, 0), 0),
    "same": lambda g: (_same(g), 0),
    "one": lambda g: (_same(g), 1),
    "minus": lambda g: (_same(g), -1),
    "uneven": lambda g: ((2, 0, 1, 3), 0),
    "unevenminus": lambda g: ((0, 3, 2, 1), -1),
}
"""Padding of the four sides, and the value there."""


def big_grid() -> Iterator[Geometry]:
    """Larq Compute Engine's grid, with all three padding values and uneven padding in addition."""
    images = [
        (1, 7, 7, 4),
        (3, 8, 5, 64),
        (5, 7, 7, 96),
        (1, 8, 5, 128),
        (1, 7, 7, 192),
        (1, 8, 5, 256),
        (1, 7, 7, 512),
    ]
    kernels, filters = [(1, 1), (2, 3), (3, 3)], [4, 36, 64]
    axes = itertools.product(images, kernels, filters, [1, 2, 4], [(1, 1), (2, 3)], [(1, 1), (3, 2)], PADDINGS)
    for (n, h, w, c), kernel, o, groups, stride, dilation, padding in axes:
        yield Geometry((n, h, w), c // groups, kernel, o // groups, groups, stride, dilation, padding)


def odd_grid() -> Iterator[Geometry]:
    """Odd channel counts, groups of any size, depthwise."""
    sizes = [  # channels and filters of a group, groups
        *((1, 1, 37), (1, 2, 17), (1, 16, 3), (3, 3, 5), (8, 8, 4), (16, 16, 3), (16, 1, 2), (7, 20, 3)),
        *((33, 17, 1), (31, 130, 1), (100, 5, 2), (32, 48, 2), (65, 33, 1), (129, 20, 1), (160, 96, 1)),
    ]
    images, kernels = [(2, 6, 5), (1, 3, 11)], [(1, 1), (3, 3), (1, 4), (5, 2)]
    axes = itertools.product(images, kernels, sizes, [(1, 1), (2, 1)], [(1, 1), (2, 3)], PADDINGS)
    for image, kernel, (channels, filters, groups), stride, dilation, padding in axes:
        yield Geometry(image, channels, kernel, filters, groups, stride, dilation, padding)


def large_grid() -> Iterator[Geometry]:
    """Enough work that two threads share it."""
    problems = [((1, 14, 14), 128, 128, 1), ((2, 17, 19), 40, 33, 3), ((1, 28, 28), 64, 64, 1), ((4, 15, 16), 1, 1, 96)]
    axes = itertools.product(problems, [(1, 1), (3, 3)], [(1, 1), (2, 2)], PADDINGS)
    for (image, channels, filters, groups), kernel, stride, padding in axes:
        yield Geometry(image, channels, kernel, filters, groups, stride, (1, 1), padding)


def deep_grid() -> Iterator[Geometry]:
    """Enough pixels, filters and words for the kernels of large layers (conv2d_pairs, conv2d_lookup)."""
    images, kernels = [(1, 9, 8), (3, 6, 7)], [(1, 1), (2, 3), (3, 3)]
    axes = itertools.product(images, kernels, [64, 128, 192], [128, 150], [(1, 1), (1, 2)], [(1, 1), (2, 1)], PADDINGS)
    for image, kernel, channels, filters, stride, dilation, padding in axes:
        yield Geometry(image, channels, kernel, filters, 1, stride, dilation, padding)


GRIDS = {"big": big_grid, "odd": odd_grid, "large": large_grid, "deep": deep_grid}


@functools.cache
def _dot(geometry: Geometry) -> Tensor:
    """The reference's dot products [N, O, OH, OW], in channels_last memory."""
    x, weight = _operands(geometry)
    result: Tensor = torch.ops.bittern.conv2d(x, weight, *geometry.conv.arguments())
    return result


def _operands(geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Packed random activations and weights. In one geometry of eight nearly all products are -1, or nearly all +1, so
    that too narrow a counter overflows."""
    seed = zlib.crc32(geometry.name.encode())
    rng, conv = np.random.default_rng(seed), geometry.conv
    x = rng.integers(0, 2, (*geometry.image, conv.in_channels), np.uint8)
    weight = rng.choice(np.array([-1, 1], np.float32), (conv.out_channels, geometry.channels, *geometry.kernel))
    if seed % 8 == 0:
        x[...] = 1
        weight = np.where(rng.random(weight.shape) < 0.02, weight, np.float32(1 if seed % 16 == 0 else -1))
    return layout.pack_bits(torch.from_numpy(x)), layout.pack_weight(torch.from_numpy(weight), conv.groups)


def _steps(epilogue: str, dot: Tensor, name: str) -> tuple[list[object], Tensor | None, Tensor]:
    """The epilogue's arguments, its float threshold, and integer thresholds that split the dot products."""
    count, channels = dot.shape[:2]
    rng = np.random.default_rng(zlib.crc32(f"{name}-{epilogue}".encode()))

    def floats(scale: float = 1.0) -> Tensor:
        return torch.from_numpy(rng.normal(0, scale, channels).astype(np.float32))

    deviation = float(dot.std()) if dot.numel() > 1 else 1.0
    low, high = int(dot.min()), int(dot.max())
    limits = torch.from_numpy(rng.integers(low - 1, high + 2, channels, np.int32))
    scale = 1 / (deviation + 1)
    if epilogue == "none":
        return [None, None, floats(scale), floats(), *[None] * 7], None, limits
    if epilogue == "relu":
        return [0.0, None, floats(scale), floats(), *[None] * 7], floats(), limits
    limits[::2] = torch.from_numpy(
        rng.choice(np.array([-(2**31), 2**31 - 1, low, high, 0], np.int32), -(-channels // 2))
    )
    residual = torch.from_numpy(rng.normal(0, 1, (count, *dot.shape[2:], channels)).astype(np.float32))
    steps = [-deviation, 1.5 * deviation, floats(scale), floats(), -1.0, 1.25, floats(), residual.movedim(-1, 1)]
    return [*steps, floats(), floats(), floats()], floats(), limits


@dataclass(frozen=True)
class Combination:
    """A call of an operator, and what its outputs must equal."""

    name: str
    call: Call
    expected: tuple[NDArray[np.generic], ...]


def combinations(geometry: Geometry) -> Iterator[Combination]:
    """COMBINATIONS calls for each form."""
    dot, conv = _dot(geometry), geometry.conv
    x, weight = (operand.numpy() for operand in _operands(geometry))
    n, o, h, w = dot.shape
    floats = fresh((n, o, h, w), np.float32, channels_last=True)
    bits = fresh((n, h, w, layout.words(o)), np.int32)
    outputs = dict(zip(FORMS, ([floats], [bits], [floats, bits], [bits]), strict=True))
    for epilogue in EPILOGUES:
        steps, threshold, limits = _steps(epilogue, dot, geometry.name)
        v = Epilogue(*steps)(dot, channel_dim=1)  # type: ignore[arg-type]
        packed = layout.pack_bits(below(v, threshold, 1).movedim(1, -1)).numpy()
        below_limits = layout.pack_bits(below(dot, limits, 1).movedim(1, -1)).numpy()
        arrays = [value.numpy() if isinstance(value, Tensor) else value for value in (*steps, threshold)]
        arguments: dict[str, list[object]] = dict.fromkeys(FORMS, arrays)
        arguments |= {"conv2d": arrays[:-1], "conv2d_threshold": [limits.numpy()]}
        expected = dict(zip(FORMS, ((v.numpy(),), (packed,), (v.numpy(), packed), (below_limits,)), strict=True))
        for threads, form in itertools.product(THREADS, FORMS):
            call = Call(form, [x, weight, *conv.arguments(), *arguments[form]], outputs[form], threads)
            yield Combination(f"{geometry.name}-{epilogue}-threads{threads}-{form}", call, expected[form])


def compare(native: Native, geometries: Iterable[Geometry]) -> int:
    """Runs all combinations of ``geometries``; returns how many. AssertionError names the first one that differs."""
    return sum(_run(native, list(combinations(geometry))) for geometry in geometries)


def only(native: Native, name: str) -> int:
    """Runs the combination called ``name``, or all of the geometry called so; returns how many."""
    for geometry in itertools.chain.from_iterable(grid() for grid in GRIDS.values()):
        if name.startswith(geometry.name):
            found = [combination for combination in combinations(geometry) if combination.name.startswith(name)]
            if found:
                return _run(native, found)
    raise ValueError(f"no combination of the grid is called {name!r}")


def _run(native: Native, batch: list[Combination]) -> int:
    try:
        answers = native.operators([combination.call for combination in batch])
    except (NativeError, AssertionError) as error:  # refused, or ended by a sanitizer: which one?
        if len(batch) == 1:
            raise AssertionError(f"{batch[0].name} {_AGAIN.format(batch[0].name)}: {error}") from error
        return sum(_run(native, [combination]) for combination in batch)
    for combination, results in zip(batch, answers, strict=True):
        for result, expected in zip(results, combination.expected, strict=True):
            if not np.array_equal(result, expected) and not _equal(result, expected):
                raise AssertionError(_report(combination.name, result, expected))
    return len(batch)


def _equal(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    """Also where both are NaN."""
    return a.dtype == b.dtype == np.float32 and np.array_equal(a, b, equal_nan=True)


def _report(name: str, result: NDArray[np.generic], expected: NDArray[np.generic]) -> str:
    if result.shape != expected.shape:
        return f"{name}: the output has shape {result.shape}, the reference {expected.shape}"
    wrong = np.argwhere(result != expected)
    at = tuple(wrong[0])
    return (
        f"{name} {_AGAIN.format(name)}: {len(wrong)} of {result.size} values differ, the first at "
        f"{[int(i) for i in at]}: {result[at]}, the reference says {expected[at]}"
    )


_AGAIN = "(alone: GRID={} pytest tests/native/test_grid.py -k alone)"
