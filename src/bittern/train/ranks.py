"""The processes of a run: one, or those that ``torchrun`` started."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

STRATEGIES = ("auto", "ddp", "fsdp")

Item = TypeVar("Item")


def world_size() -> int:
    """Processes that ``torchrun`` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes files and reports."""
    return os.environ.get("RANK", "0") == "0"


class Ranks:
    """This process among all of a run, its device, and what the processes agree on. Wraps Lightning Fabric.

    Args:
        strategy: ``"ddp"`` keeps the network in every process, ``"fsdp"`` shares its weights and the optimizer's state
            out; ``"auto"`` is ``"ddp"``.

    Raises:
        ValueError: unknown strategy, or one that needs several processes and has one; an accelerator that is not there.
    """

    def __init__(self, accelerator: str, precision: str, strategy: str = "auto") -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        self.world = world_size()
        if self.world == 1 and strategy != "auto":
            raise ValueError(f"strategy {strategy!r} is for several processes; start them by torchrun")
        from lightning_fabric import Fabric  # takes seconds to import

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces mixed precision on stderr
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        try:
            self.fabric = Fabric(
                accelerator=accelerator,
                devices=local,
                num_nodes=self.world // local,
                precision=precision,  # type: ignore[arg-type]
                strategy=_strategy(strategy) if self.world > 1 else "auto",
            )
        except (RuntimeError, ImportError) as error:
            raise ValueError(f"accelerator {accelerator!r} cannot be used ({error}); try 'auto' or 'cpu'") from error
        self.fabric.launch()
        self.sharded = strategy == "fsdp"

    @property
    def rank(self) -> int:
        """0 is the process that writes files and reports."""
        return self.fabric.global_rank

    @property
    def device(self) -> torch.device:
        return self.fabric.device

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether a process raised it. All must ask at the same point."""
        if self.world == 1:
            return list(flags)
        raised = torch.tensor(flags, dtype=torch.int32, device=self.device)
        torch.distributed.all_reduce(raised)
        return [bool(count) for count in raised.tolist()]

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value's sum over the processes, in float64."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return total.tolist()

    def join(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes, those of the first one first."""
        if self.world == 1:
            return list(items)
        parts: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """What is inside is done by the first process, then by all others."""
        if self.rank:
            self.fabric.barrier()
        yield
        if not self.rank:
            self.fabric.barrier()

    def gather(self, value: Tensor) -> Tensor:
        """``value`` of every process, of equal shapes, [world, ...] on the CPU. In one process ``value`` itself."""
        if self.world == 1:
            return value.cpu()
        here = value.to(self.device)
        parts = [torch.empty_like(here) for _ in range(self.world)]
        torch.distributed.all_gather(parts, here)
        return torch.stack(parts).cpu()

    def mine(self, gathered: Tensor) -> Tensor:
        """What this process gave to ``gather``."""
        return gathered if self.world == 1 else gathered[self.rank].clone()


def _strategy(name: str) -> Any:
    if name != "fsdp":
        return "ddp"
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    return ModelParallelStrategy(_shard, data_parallel_size=world_size(), tensor_parallel_size=1)


def _shard(model: nn.Module, mesh: Any) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # all that it shares out so far
    fully_shard(model, mesh=mesh["data_parallel"])
    return model
