"""What an engine gives the worker: seconds of single calls."""

import resource
import time
from collections.abc import Callable
from typing import Protocol


class Timed(Protocol):
    def times(self, seconds: float, calls: int) -> list[float]:
        """Seconds of every call, for at least ``seconds`` in all and ``calls`` calls."""


class TimedFunction:
    """A Python function, with the cost of calling the engine from Python taken off.

    ``overhead``: seconds of a call of the same engine that computes nothing; engines that give none pay for Python.
    """

    def __init__(self, function: Callable[[], object], overhead: float = 0.0) -> None:
        self._function, self._overhead = function, overhead

    def times(self, seconds: float, calls: int) -> list[float]:
        """As the test binding's: calls in which the system gave the core to somebody else are left out, and repeated
        for up to five times as long, as long calls would suffer from them more than short ones."""
        all_calls: list[float] = []
        undisturbed: list[float] = []
        begin = time.perf_counter()

        def go_on() -> bool:
            elapsed = time.perf_counter() - begin
            return elapsed < seconds or len(all_calls) < calls or (len(undisturbed) < calls and elapsed < 5 * seconds)

        while go_on():
            switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
            start = time.perf_counter()
            self._function()
            elapsed = time.perf_counter() - start
            all_calls.append(max(elapsed - self._overhead, 1e-9))
            if resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw == switches:
                undisturbed.append(all_calls[-1])
        return undisturbed or all_calls


def overhead(empty: Callable[[], object]) -> float:
    """Seconds of a call of ``empty``: the shortest of many."""
    return min(TimedFunction(empty).times(0.02, 50))
