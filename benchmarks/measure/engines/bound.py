"""The bound of an instruction set as an engine: the time that a layer's arithmetic takes in the L1-resident loop."""

from pathlib import Path
from typing import Any

from benchmarks.measure.engines.executorch import binding
from benchmarks.measure.engines.timed import Timed


class Bound:
    def __init__(self, isa: str, macs: int) -> None:
        self._native, self._isa, self._macs = binding(), isa, macs

    def times(self, seconds: float, calls: int) -> list[float]:
        return [self._macs / self._native.bound(self._isa, 20)]


class Clock:
    """A million cycles of this core."""

    def __init__(self) -> None:
        self._native = binding()

    def times(self, seconds: float, calls: int) -> list[float]:
        return [1e6 / self._native.cycles_per_second()]


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    return Clock() if options.get("clock") else Bound(options["isa"], options["macs"])
