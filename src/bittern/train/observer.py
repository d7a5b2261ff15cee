"""What may look on while a run trains, without changing it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from bittern.train.trainer import Position


class Observer:
    """Receives the network and the optimizer at each stage's start, and every step; override what you need.

    Every process of a run has its own.
    """

    def start(self, model: nn.Module, optimizer: Optimizer, folder: Path, at: "Position") -> None:
        """A stage begins, or a resumed run goes on in it, with step ``at.step`` (counted from 0) as its next."""

    def step(self, at: "Position") -> None:
        """The step that ``at`` stands before was made: weights are new, gradients are those that made them."""

    def epoch(self, at: "Position", row: Mapping[str, Any]) -> None:
        """An epoch has ended; ``row`` is its line of ``log.csv``."""

    def close(self) -> None:
        """The run ends, finished or not."""
