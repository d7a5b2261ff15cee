"""Schedules of hyper-parameters: factors over the progress of training, by names that a recipe can hold."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from bittern._lookup import find


class Schedule(ABC):
    """A factor at each moment of training: ``schedule(progress)``, with progress from 0 to 1.

    It starts at 1, except in a warm-up; ``end`` is the factor at 1, and may be more than 1.
    ``torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step / steps))`` uses it for a learning rate.
    """

    equation: ClassVar[str]

    def __call__(self, progress: float) -> float:
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must be in [0, 1], the share of the training that is done, got {progress}")
        return self.factor(progress)

    @abstractmethod
    def factor(self, p: float) -> float:
        """The factor at ``p`` in [0, 1]."""


@dataclass(frozen=True)
class Constant(Schedule):
    equation = "1"

    def factor(self, p: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Linear(Schedule):
    equation = "1 + (end - 1) p"
    end: float = 0.0

    def factor(self, p: float) -> float:
        return 1 + (self.end - 1) * p


@dataclass(frozen=True)
class Cosine(Schedule):
    equation = "end + (1 - end) (1 + cos(pi p)) / 2"
    end: float = 0.0

    def factor(self, p: float) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * p)) / 2


@dataclass(frozen=True)
class Polynomial(Schedule):
    equation = "end + (1 - end) (1 - p)^power"
    power: float = 2.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise ValueError(f"power must be more than 0, got {self.power}")

    def factor(self, p: float) -> float:
        return float(self.end + (1 - self.end) * (1 - p) ** self.power)


@dataclass(frozen=True)
class Exponential(Schedule):
    equation = "end^p"
    end: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.end < math.inf:
            raise ValueError(f"end must be more than 0, got {self.end}; an exponential never reaches 0")

    def factor(self, p: float) -> float:
        return float(self.end**p)


@dataclass(frozen=True, init=False)
class Step(Schedule):
    """``Step(0.1, 0.5, 0.75)`` is 1 at first, 0.1 from the middle on, and 0.01 in the last quarter."""

    equation = "ratio^(number of milestones <= p)"
    ratio: float
    milestones: tuple[float, ...]

    def __init__(self, ratio: float = 0.1, *milestones: float) -> None:
        milestones = milestones or (0.5, 0.75)
        if not all(0 < m < 1 for m in milestones):
            raise ValueError(f"milestones must be in (0, 1), shares of the training, got {milestones}")
        object.__setattr__(self, "ratio", ratio)
        object.__setattr__(self, "milestones", milestones)

    def factor(self, p: float) -> float:
        return float(self.ratio ** sum(m <= p for m in self.milestones))


@dataclass(frozen=True)
class Warmup(Schedule):
    """``p / share`` during the first ``share`` of the training, then all of ``schedule`` in the rest."""

    equation = "p / share, then schedule((p - share) / (1 - share))"
    schedule: Schedule
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"the share of the warm-up must be in [0, 1), got {self.share}")

    def factor(self, p: float) -> float:
        return p / self.share if p < self.share else self.schedule((p - self.share) / (1 - self.share))


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "polynomial": Polynomial,
    "exponential": Exponential,
    "step": Step,
}


def list_schedules() -> list[str]:
    """The names of all schedules."""
    return list(SCHEDULES)


def get_schedule(text: str) -> Schedule:
    """A schedule from its name, or name and numbers: ``"cosine"``, ``"linear:0.01"``, ``"step:0.1,0.5,0.75"``.

    The numbers are the fields of its class, in order. ValueError for an unknown name or numbers that do not fit.
    """
    name, _, numbers = text.partition(":")
    cls = find("schedule", name, SCHEDULES)
    try:
        return cls(*(float(number) for number in numbers.split(",") if numbers))
    except TypeError:
        raise ValueError(f"schedule {text!r} has too many numbers; {name} is {cls.equation}") from None
    except ValueError as error:
        raise ValueError(f"schedule {text!r}: {error}; {name} is {cls.equation}") from None


class HyperparameterScheduler:
    """Multiplies hyper-parameters of an optimizer's groups by schedules: ``lr``, ``gamma``, ``threshold`` ...

    In each group that has the key, it multiplies the current value; a 0-dimensional tensor is written in place. To
    schedule some groups of a ``CaseOptimizer``, pass one of its ``optimizers``.

    Args:
        schedules: by key of the groups; each a schedule, or text for ``get_schedule``.
        steps: steps of the training, if ``step`` counts them; otherwise call ``set_progress``.
    """

    def __init__(self, optimizer: Optimizer, schedules: Mapping[str, Schedule | str], steps: int | None = None) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.optimizer = optimizer
        self.schedules = {k: get_schedule(s) if isinstance(s, str) else s for k, s in schedules.items()}
        self.steps = steps
        self.steps_done = 0
        self._start = [{key: _number(key, g[key]) for key in schedules if key in g} for g in optimizer.param_groups]
        for key in schedules:
            if not any(key in start for start in self._start):
                known = sorted({k for g in optimizer.param_groups for k in g if k != "params"})
                raise ValueError(f"no group has a hyper-parameter {key!r}: there are {', '.join(known)}")
        self.set_progress(0.0)

    def step(self) -> None:
        """Call it after each step of the optimizer; after the last one, values stay as they are."""
        if self.steps is None:
            raise ValueError("step needs the number of steps: pass steps, or call set_progress")
        self.steps_done += 1
        self.set_progress(min(self.steps_done / self.steps, 1.0))

    def set_progress(self, progress: float) -> None:
        """Sets the values at ``progress`` in [0, 1] of the training."""
        for group, start in zip(self.optimizer.param_groups, self._start, strict=True):
            for key, value in start.items():
                now = value * self.schedules[key](progress)
                if isinstance(group[key], Tensor):
                    group[key].fill_(now)
                else:
                    group[key] = now

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs; plain numbers."""
        return {"steps_done": self.steps_done, "start": [dict(start) for start in self._start]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from ``state``. Load the optimizer's own state first."""
        if [set(start) for start in state["start"]] != [set(start) for start in self._start]:
            raise ValueError(
                "the state is of a scheduler with other groups or keys; make this one for the same groups and schedules"
            )
        self.steps_done = state["steps_done"]
        self._start = [dict(start) for start in state["start"]]
        if self.steps is not None:
            self.set_progress(min(self.steps_done / self.steps, 1.0))


def _number(key: str, value: Any) -> float:
    if isinstance(value, Tensor):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a schedule multiplies numbers, but {key} is {value!r}")
    return float(value)
