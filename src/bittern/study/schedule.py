"""When the instruments look, and what that costs."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from statistics import fmean, median
from time import perf_counter

LADDER = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Steps between samples that a schedule with a budget chooses from."""

_MIN_SAMPLES = 3
"""A cost is trusted after this many samples."""


class StepKind(StrEnum):
    """What happens at a step: ``PLAIN`` only counts flips, ``SAMPLE`` reads scalars, ``SNAPSHOT`` maps as well."""

    PLAIN = "plain"
    SAMPLE = "sample"
    SNAPSHOT = "snapshot"


class SamplingSchedule:
    """Every ``every``-th step is a sample, every ``snapshot_every``-th sample a snapshot, as is the first step.

    With ``adapt`` the interval between samples grows along ``LADDER`` until the cost is within ``budget``, a share of
    the training time. It never shrinks.
    """

    def __init__(self, every: int, snapshot_every: int, budget: float, adapt: bool) -> None:
        self.every, self.snapshot_every, self.budget, self.adapt = every, snapshot_every, budget, adapt

    @property
    def window(self) -> int:
        """Steps from one snapshot to the next."""
        return self.every * self.snapshot_every

    def kind(self, step: int, first: bool) -> StepKind:
        """Of step number ``step``, counted from 1."""
        if first or self.window_ends(step):
            return StepKind.SNAPSHOT
        return StepKind.SAMPLE if step % self.every == 0 else StepKind.PLAIN

    def window_ends(self, step: int) -> bool:
        """Whether ``step`` is a snapshot in its turn."""
        return step % self.window == 0

    def revise(self, cost: "Cost") -> None:
        if not self.adapt or cost.samples < _MIN_SAMPLES:
            return
        affordable = (step for step in LADDER if cost.at(step, self.snapshot_every) <= 0.8 * self.budget)
        self.every = max(self.every, next(affordable, LADDER[-1]))


class Cost:
    """The watch's share of the training time, from the durations of whole steps.

    A plain step takes p seconds on the clock, c of them in the watch; a sample s, a snapshot t: medians, so that an
    occasional evaluation, or another process, does not count::

        share = (c N_plain + (s - p + c) N_sample + (t - p + c) N_snapshot) / ((p - c) N)

    Devices other than a CPU run asynchronously: there p is the median of the means between samples, which wait for the
    device.
    """

    def __init__(self, on_cpu: bool) -> None:
        self.now = perf_counter
        self._average: Callable[[Sequence[float]], float] = median if on_cpu else fmean
        self._ended = self.now()
        self._stretch: list[tuple[float, float]] = []
        self._plain: list[tuple[float, float]] = []
        self._costly: dict[StepKind, list[float]] = {StepKind.SAMPLE: [], StepKind.SNAPSHOT: []}
        self.steps: dict[StepKind, int] = dict.fromkeys(StepKind, 0)

    @property
    def samples(self) -> int:
        return len(self._costly[StepKind.SAMPLE])

    def add(self, kind: StepKind, began: float, count: bool = True) -> None:
        """A step ended; the watch's part of it began at ``began``. Not ``count``: it is not typical."""
        now = self.now()
        duration, inside = now - self._ended, now - began
        self._ended = now
        self.steps[kind] += 1
        if not count:
            return
        if kind is StepKind.PLAIN:
            self._stretch.append((duration, inside))
            return
        self._costly[kind].append(duration)
        if self._stretch:
            durations, insides = zip(*self._stretch, strict=True)
            self._plain.append((self._average(durations), self._average(insides)))
        self._stretch = []

    def resume(self) -> None:
        """What happened since the last step, such as an evaluation, is no part of the next one."""
        self._ended = self.now()

    def at(self, every: int, snapshot_every: int) -> float:
        """The share if every ``every``-th step were a sample; 0 as long as nothing is known."""
        samples, snapshots = 1 / every * (1 - 1 / snapshot_every), 1 / (every * snapshot_every)
        return self._share(1 - 1 / every, samples, snapshots)

    @property
    def share(self) -> float:
        """Of the steps so far; 0 as long as nothing is known."""
        return self._share(*(float(self.steps[kind]) for kind in StepKind))

    def _share(self, plain: float, samples: float, snapshots: float) -> float:
        if not self._plain or not self.samples:
            return 0.0
        step = median(duration for duration, _ in self._plain)
        own = median(inside for _, inside in self._plain)
        sample = median(self._costly[StepKind.SAMPLE])
        snapshot = median(self._costly[StepKind.SNAPSHOT] or [sample])
        extra = own * plain + max(0.0, sample - step + own) * samples + max(0.0, snapshot - step + own) * snapshots
        return extra / ((step - own) * (plain + samples + snapshots))
