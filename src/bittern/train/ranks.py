"""The processes of a run: one, or those that ``torchrun`` started."""

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from bittern._distributed import launched

ACCELERATORS = ("auto", "cpu", "cuda", "mps")

Item = TypeVar("Item")


class Ranks:
    """This process among all of a run, its device, and what the processes agree on.

    The process group stays until the process ends: a ``DistributedDataParallel`` that outlives its group can hang when
    it is destroyed (pytorch issue 56297), and observers may keep one.

    Raises:
        ValueError: an unknown accelerator, or one that this machine lacks.
    """

    def __init__(self, accelerator: str = "auto") -> None:
        self.device = _device(accelerator)
        self.rank, self.world = launched()
        """Rank 0 is the process that writes files and reports."""
        if self.world > 1 and not distributed.is_initialized():
            if self.device.type == "cuda":
                distributed.init_process_group("nccl", device_id=self.device)
                atexit.register(distributed.destroy_process_group)  # NCCL warns at exit of a group that is left
            else:
                distributed.init_process_group("gloo")

    def parallel(self, model: nn.Module) -> nn.Module:
        """``model`` with gradients averaged over the processes; in one process ``model`` itself."""
        if self.world == 1:
            return model
        return DistributedDataParallel(model, [self.device] if self.device.type == "cuda" else None)

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether a process raised it. All processes must call it at the same point."""
        if self.world == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.int32, device=self.device)
        distributed.all_reduce(raised)
        return [bool(count) for count in raised.tolist()]

    def sum(self, *values: float) -> list[float]:
        """Each value's sum over the processes, in float64."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def join(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes, those of the first one first."""
        if self.world == 1:
            return list(items)
        parts: list[Any] = [None] * self.world
        distributed.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    def barrier(self) -> None:
        """Waits until every process has come here."""
        if self.world > 1:
            distributed.barrier()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the body before all others do."""
        if self.rank:
            self.barrier()
        yield
        if not self.rank:
            self.barrier()

    def gather(self, value: Tensor) -> Tensor:
        """``value`` of every process, of equal shapes, [world, ...] on the CPU. In one process ``value`` itself."""
        if self.world == 1:
            return value.cpu()
        here = value.to(self.device)
        parts = [torch.empty_like(here) for _ in range(self.world)]
        distributed.all_gather(parts, here)
        return torch.stack(parts).cpu()

    def mine(self, gathered: Tensor) -> Tensor:
        """What this process gave to ``gather``."""
        return gathered if self.world == 1 else gathered[self.rank].clone()


def _device(accelerator: str) -> torch.device:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if accelerator == "auto":
        accelerator = next(name for name, here in present.items() if here)
    if not present.get(accelerator, False):
        reason = "this machine has none" if accelerator in present else f"known are {', '.join(ACCELERATORS)}"
        raise ValueError(f"accelerator {accelerator!r} cannot be used ({reason}); try 'auto' or 'cpu'")
    if accelerator != "cuda":
        return torch.device(accelerator)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
