"""How tensors lie in memory: float images with their channels innermost, everything else row-major.

A shape is described by the stride of each dimension, in elements of 4 bytes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Strides = tuple[int, ...]


def order(shape: Sequence[int], dtype: torch.dtype) -> tuple[int, ...]:
    """The dimensions from the outermost in memory to the innermost."""
    return (0, 2, 3, 1) if len(shape) == 4 and dtype == torch.float32 else tuple(range(len(shape)))


def strides(shape: Sequence[int], dtype: torch.dtype) -> Strides:
    """Of each dimension in memory."""
    result, size = [0] * len(shape), 1
    for dim in reversed(order(shape, dtype)):
        result[dim] = size
        size *= shape[dim]
    return tuple(result)


def row_major(shape: Sequence[int]) -> Strides:
    return strides(shape, torch.int32)


def same(shape: Sequence[int], a: Strides, b: Strides) -> bool:
    """Whether each element has the same place in both."""
    return all(x == y for size, x, y in zip(shape, a, b, strict=True) if size > 1)


def is_row_major(shape: Sequence[int], dtype: torch.dtype) -> bool:
    return same(shape, strides(shape, dtype), row_major(shape))


def stored(value: Tensor) -> Tensor:
    """The elements of a tensor as they lie in memory, in one dimension."""
    return value.detach().permute(order(value.shape, value.dtype)).contiguous().flatten()


def restored(elements: Tensor, shape: Sequence[int]) -> Tensor:
    """Inverse of `stored`, for a tensor of ``shape``."""
    return elements.as_strided(tuple(shape), strides(shape, elements.dtype))


def broadcast(shape: Sequence[int], own: Sequence[int], dtype: torch.dtype) -> Strides:
    """Strides of a tensor of shape ``own`` that is repeated to ``shape``."""
    lead = len(shape) - len(own)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(own, strides(own, dtype), strict=True))


def collapse(shape: Sequence[int], *many: Strides) -> tuple[list[int], list[list[int]]]:
    """The fewest dimensions that walk all of ``many`` in the order of ``shape``: sizes, and strides for each."""
    sizes: list[int] = []
    merged: list[list[int]] = [[] for _ in many]
    for dim, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(each[-1] == size * own[dim] for each, own in zip(merged, many, strict=True)):
            sizes[-1] *= size
            for each, own in zip(merged, many, strict=True):
                each[-1] = own[dim]
            continue
        sizes.append(size)
        for each, own in zip(merged, many, strict=True):
            each.append(own[dim])
    return sizes, merged


def padded(values: Sequence[int], length: int, fill: int) -> tuple[int, ...]:
    """With ``fill`` in front, for loops that have ``length`` dimensions."""
    return (fill,) * (length - len(values)) + tuple(values)
