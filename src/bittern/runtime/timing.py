"""Fair timing: several functions in turn, so that what the machine does meanwhile hits all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of every round. ``spread`` is the distance of the quartiles as a share of the median."""

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
    functions: Mapping[str, Callable[[], object]], *, rounds: int = 30, warmup: int = 3, least_seconds: float = 0.005
) -> dict[str, Timing]:
    """Times each function once a round, in turn, and gives its time per call in every round.

    Functions faster than ``least_seconds`` are called as often as that takes within a round, so that the clock's
    resolution and a single interruption weigh little. ``warmup`` calls of each come first and are not counted.

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
        repeats[name] = max(1, round(least_seconds / max(_seconds(function, 1), 1e-9)))
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
