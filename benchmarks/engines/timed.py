"""What an engine gives the worker: seconds of single calls."""

import time
from collections.abc import Callable
from typing import Protocol


class Timed(Protocol):
    def times(self, seconds: float, calls: int) -> list[float]:
        """Seconds of every call, for at least ``seconds`` in all and ``calls`` calls."""


class TimedFunction:
    """A Python function, with the cost of calling the engine from Python taken off.

    ``overhead``: seconds of a call of the same engine that computes nothing; so Python costs no engine anything.
    """

    def __init__(self, function: Callable[[], object], overhead: float = 0.0) -> None:
        self._function, self._overhead = function, overhead

    def times(self, seconds: float, calls: int) -> list[float]:
        times: list[float] = []
        begin = start = time.perf_counter()
        while len(times) < calls or start - begin < seconds:
            self._function()
            end = time.perf_counter()
            times.append(max(end - start - self._overhead, 1e-9))
            start = end
        return times


def overhead(empty: Callable[[], object]) -> float:
    """Seconds of a call of ``empty``: the shortest of many."""
    return min(TimedFunction(empty).times(0.02, 50))
