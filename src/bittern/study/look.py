"""What the instruments see at one step of the training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bittern.study.layers import LatentWeight

MOMENTS = {
    "exp_avg": "first_moment",
    "momentum_buffer": "first_moment",
    "momentum": "first_moment",
    "average": "first_moment",
    "exp_avg_sq": "second_moment",
    "square": "second_moment",
}
"""Name of an optimizer's buffer of the weight's shape -> what it is; torch's names and those of ``bittern.optim``."""


class Look:
    """The ``weights`` after step ``step``, with what the step made of them; all tensors in float32.

    Args:
        before: the values before the step, by name; where they were not kept, there is no ``update``.
        sums: instrument -> site -> what its ``observe`` returned, added up over the step's forward passes and all
            processes.
        window_ends: whether a window ends here. Some instruments count over a window: ``snapshot_every`` samples,
            which is longer where samples are rarer, and shorter where a run started or was resumed. A snapshot out of
            turn ends none.
    """

    def __init__(
        self,
        step: int,
        weights: Sequence[LatentWeight],
        optimizers: Sequence[Optimizer] = (),
        before: Mapping[str, Tensor] | None = None,
        sums: Mapping[str, Mapping[str, Tensor]] | None = None,
        window_ends: bool = True,
    ) -> None:
        self.step = step
        self.window_ends = window_ends
        self.weights = weights
        self._optimizers = optimizers
        self._before = before or {}
        self._sums = sums or {}
        self._updates: dict[str, Tensor] = {}

    def value(self, weight: LatentWeight) -> Tensor:
        return weight.values.float()

    def gradient(self, weight: LatentWeight) -> Tensor | None:
        """Of the step, as the optimizer saw it; None if the layer got none."""
        grad = weight.parameter.grad
        return None if grad is None else grad.detach().float()

    def update(self, weight: LatentWeight) -> Tensor | None:
        """w_t - w_{t-1}, including learning rate, decay and clipping."""
        if weight.name not in self._updates and weight.name in self._before:
            self._updates[weight.name] = self.value(weight) - self._before[weight.name]
        return self._updates.get(weight.name)

    def moments(self, weight: LatentWeight) -> dict[str, Tensor]:
        """The optimizer's buffers that are listed in ``MOMENTS``, by what they are."""
        found: dict[str, Tensor] = {}
        for optimizer in self._optimizers:
            state: Mapping[str, Any] = optimizer.state.get(weight.parameter, {})
            for name, value in state.items():
                if name in MOMENTS and isinstance(value, Tensor) and value.shape == weight.parameter.shape:
                    found[MOMENTS[name]] = value.detach().float()
        return found

    def sums(self, instrument: str) -> Mapping[str, Tensor]:
        return self._sums.get(instrument, {})


def per_filter(values: Tensor) -> list[int]:
    """The dimensions that a mean over each filter goes over."""
    return list(range(1, values.dim()))


def histogram(values: Tensor, low: float, high: float, bins: int) -> Tensor:
    """Counts of ``values`` [bins] between ``low`` and ``high``; the outermost bins also hold everything beyond."""
    index = ((values.flatten() - low) * (bins / (high - low))).nan_to_num_(nan=0.0).clamp_(0, bins - 1).long()
    return torch.bincount(index, minlength=bins)
