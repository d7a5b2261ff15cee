"""What an engine returns: something that can tell the seconds of single calls."""

import resource
import time
from collections.abc import Callable
from typing import Protocol


class Timed(Protocol):
    def times(self, seconds: float, calls: int) -> list[float]:
        """Seconds of every call; calls go on for at least ``seconds``, and at least ``calls`` of them."""


class TimedFunction:
    """A Python function, less the cost of calling the engine from Python.

    ``overhead``: seconds of a call of the same engine that computes nothing; engines without one pay for Python.
    """

    def __init__(self, function: Callable[[], object], overhead: float = 0.0) -> None:
        self._function, self._overhead = function, overhead

    def times(self, seconds: float, calls: int) -> list[float]:
        """Like the test binding's: calls during which the system gave the core to another process are dropped and
        repeated for up to five times as long, because they would hurt long calls more than short ones."""
        all_calls: list[float] = []
        undisturbed: list[float] = []
        begin = time.perf_counter()

        def unfinished() -> bool:
            elapsed = time.perf_counter() - begin
            return elapsed < seconds or len(all_calls) < calls or (len(undisturbed) < calls and elapsed < 5 * seconds)

        while unfinished():
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
