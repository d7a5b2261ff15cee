"""What may watch a run train, without changing it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bittern.train.position import Position


class Observer:
    """Is called when a stage starts, after every step and after every epoch; override what you need.

    Every process of a run has its own.
    """

    def start(self, model: nn.Module, optimizer: Optimizer, folder: Path, at: Position) -> None:
        """A stage starts, or a resumed run continues it; its next step is ``at.step``, counted from 0.

        ``model`` may be wrapped by ``DistributedDataParallel`` and by ``torch.compile``.
        """

    def step(self, at: Position) -> None:
        """Step ``at.step`` was made: the weights are new, the gradients are those that changed them."""

    def epoch(self, at: Position, row: Mapping[str, Any]) -> None:
        """An epoch has ended; ``row`` is its line of ``log.csv``."""

    def close(self) -> None:
        """The run ends, finished or not."""
