"""Cutting parameters into pieces that stay in a core's cache while a chain of elementwise operations passes over them.

On a CPU an optimizer's step is bound by memory: every operation on a whole layer reads and writes all of it. A piece is
read from and written to memory once, however long the chain is.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

PIECE = 131072
"""Values of a piece for each thread, 512 KiB of float32. Larger ones leave the cache, smaller ones cost more in calls
than they save."""


def blocks(*tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """For each parameter: pieces [n] of its tensors (weights, gradient, state), all at the same place.

    Writing to a piece writes to the tensor. Tensors that are sparse, on a GPU or not laid out alike come whole.
    """
    for of_parameter in zip(*tensors, strict=True):
        flat = _in_memory_order(of_parameter)
        if flat is None:
            yield of_parameter
        else:
            yield from zip(*(t.view(-1).split(PIECE * torch.get_num_threads()) for t in flat), strict=True)


def filter_blocks(*tensors: Sequence[Tensor]) -> Iterator[tuple[int, slice, tuple[Tensor, ...]]]:
    """As ``blocks``, in pieces of whole filters: index of the parameter, the filters, and their tensors [filters, n].

    Filters are what dimension 0 counts; a parameter of fewer than two dimensions is one filter.
    """
    for index, of_parameter in enumerate(zip(*tensors, strict=True)):
        filters = of_parameter[0].shape[0] if of_parameter[0].dim() > 1 else 1
        flat = _in_memory_order(of_parameter)
        if flat is None:
            yield index, slice(None), tuple(as_filters(t) for t in of_parameter)
            continue
        rows = tuple(t.view(filters, -1) for t in flat)
        step = max(1, PIECE * torch.get_num_threads() // max(1, rows[0].shape[1]))
        for first in range(0, filters, step):
            piece = slice(first, first + step)
            yield index, piece, tuple(row[piece] for row in rows)


def as_filters(x: Tensor) -> Tensor:
    """``x`` itself if dimension 0 counts its filters, else ``x`` as one filter [1, n]."""
    return x if x.dim() > 1 else x.view(1, -1)


def _in_memory_order(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Contiguous views of ``tensors``, all in the same order, dimension 0 outermost; None where there is none."""
    plain = all(type(t) in (Tensor, torch.nn.Parameter) and t.device.type == "cpu" for t in tensors)
    if not plain or torch.compiler.is_compiling():
        return None
    if all(t.is_contiguous() for t in tensors):
        return tensors
    if all(t.dim() == 4 and t.is_contiguous(memory_format=torch.channels_last) for t in tensors):
        return tuple(t.permute(0, 2, 3, 1) for t in tensors)
    return None
