"""Work that two processes do together, for tests of torch.distributed."""

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing

SECONDS = 180
"""That two processes may take. They wait for each other, so that a mistake would else wait for ever."""


def in_two_processes(work: Callable[..., None], *args: Any) -> None:
    """Runs ``work(rank, *args)`` in two processes that share a gloo group, and fails where they do not end."""
    with tempfile.TemporaryDirectory() as folder:
        context = torch.multiprocessing.spawn(  # type: ignore[attr-defined, no-untyped-call]
            _process, (Path(folder) / "rendezvous", work, args), nprocs=2, join=False
        )
        deadline = time.monotonic() + SECONDS
        while not context.join(timeout=1):
            if time.monotonic() > deadline:
                alive = [process for process in context.processes if process.is_alive()]
                for process in alive:
                    process.kill()
                pytest.fail(f"{len(alive)} of two processes had not ended after {SECONDS} s")


def _process(rank: int, rendezvous: Path, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    work(rank, *args)
    # A DistributedDataParallel that outlives the group ends it while it holds Python's lock, for which the group's
    # thread may wait: both would wait for ever (pytorch issue 56297).
    gc.collect()
    torch.distributed.destroy_process_group()
