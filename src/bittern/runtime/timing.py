"""Fair timing: functions take turns, so that whatever else the machine does affects all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds per call in every round. ``spread`` is the interquartile range as a share of the median."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / self.median


def interleaved(
    functions: Mapping[str, Callable[[], object]], *, rounds: int = 30, warmup: int = 3, min_seconds: float = 0.005
) -> dict[str, Timing]:
    """Times each function once per round, in turn.

    A function faster than ``min_seconds`` is repeated for that long within a round, so that the clock's resolution and
    single interruptions matter little. ``warmup`` calls of each come first and are not counted.

    Raises:
        ValueError: no function, or ``rounds`` below 1.
    """
    if not functions:
        raise ValueError("there is no function to time")
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    repeats: dict[str, int] = {}
    for name, function in functions.items():
        for _ in range(warmup):
            function()
        repeats[name] = max(1, round(min_seconds / max(_seconds(function, 1), 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds[name].append(_seconds(function, repeats[name]))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def _seconds(function: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats
