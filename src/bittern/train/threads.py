"""How many threads torch computes on while other processes decode images."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_DECODING = 4
"""One of so many CPUs, and at least one, is left to the processes that decode."""


@contextmanager
def beside_decoding() -> Iterator[None]:
    """Inside, torch leaves CPUs to the processes that decode images; afterwards its threads are as many as before.

    Threads of a parallel loop wait for the last of them: where a decoder has its CPU, all others spin. On two CPUs that
    other work kept busy, epochs took six times as long on two threads as on one. Fewer threads than CPUs, or
    ``OMP_NUM_THREADS``, are somebody's choice and stay.
    """
    before, cpus = torch.get_num_threads(), len(os.sched_getaffinity(0))
    if before < cpus or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    torch.set_num_threads(max(1, cpus - max(1, cpus // _DECODING)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
