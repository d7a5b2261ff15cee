"""The images of a rank in an epoch, and their batches."""

import torch
from torch import Tensor

from bittern.data.errors import DataError


def batches(
    count: int,
    *,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    start: int = 0,
    shuffle: bool = True,
    drop_last: bool = True,
) -> list[Tensor]:
    """Indices int64 [B] of each batch of ``rank``: batch b = order[(b W + rank) B : (b W + rank + 1) B].

    B is ``batch_size``, W is ``world``; order is a permutation of 0..count-1 that depends on ``seed`` alone. Together,
    W ranks see what one process sees in batches of W B images. See `bittern.data.ImageSource.epoch`.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= rank < world:
        raise ValueError(f"rank must be 0..world-1, got {rank} of {world}")
    if start < 0:
        raise ValueError(f"start must be at least 0, got {start}")
    together = batch_size * world
    if drop_last and count < together:
        of = f" x {world} ranks" if world > 1 else ""
        raise DataError(f"{count} images do not fill a batch of {batch_size}{of}; choose a smaller batch_size")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)) if shuffle else torch.arange(count)
    end = count // together * together if drop_last else count
    firsts = range(start * together + rank * batch_size, end, together)
    return [order[first : min(first + batch_size, end)] for first in firsts]


def evenly(count: int, maximum: int) -> list[int]:
    """At most ``maximum`` of 0..count-1, evenly spread, because some data sets are sorted."""
    return [i * count // maximum for i in range(maximum)] if count > maximum else list(range(count))
