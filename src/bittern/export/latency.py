"""How long a network will take, predicted from what its operations took elsewhere.

The model is a line for every kind of operation (`bittern.export.operations`)::

    seconds = (macs / macs_per_cycle + bytes / bytes_per_cycle + cycles_per_call) / clock

bytes are those that it reads and writes, constants included. What its elementwise steps read and write is added at the
rate of "other". ``rates.json`` holds the three numbers for every kind, in cycles of one core, measured on one machine
with one thread (``python -m benchmarks rates``). The latency of a network is the sum: caches, threads and costs between
operations are left out, and every operation is assumed to run in a fast kernel.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bittern.export.operations import Operation
from bittern.export.summary import ModelSummary

FILE = Path(__file__).with_name("rates.json")
_ANY_OTHER = "other"


@dataclass(frozen=True)
class Rate:
    """Of one kind of operation; None for a part that costs nothing."""

    macs_per_cycle: float | None
    bytes_per_cycle: float | None
    cycles_per_call: float

    def cycles(self, macs: float, size: float) -> float:
        work = macs / self.macs_per_cycle if self.macs_per_cycle else 0.0
        return work + (size / self.bytes_per_cycle if self.bytes_per_cycle else 0.0) + self.cycles_per_call


@dataclass(frozen=True)
class Rates:
    """Of one machine and instruction set. ``clock_ghz``: of the core when it was measured."""

    machine: str
    isa: str
    clock_ghz: float
    kinds: Mapping[str, Rate]

    def seconds(self, operation: Operation) -> float:
        rate = self.kinds.get(operation.kind, self.kinds[_ANY_OTHER])
        cycles = rate.cycles(operation.macs, operation.read_bytes + operation.written_bytes)
        if operation.elementwise_bytes:
            cycles += self.kinds[_ANY_OTHER].cycles(0, operation.elementwise_bytes)
        return cycles / (self.clock_ghz * 1e9)


@dataclass(frozen=True)
class Prediction:
    """``seconds``: of one image on one thread; ``operations``: their path, kind and seconds, in order."""

    machine: str
    isa: str
    operations: tuple[tuple[str, str, float], ...]

    @property
    def seconds(self) -> float:
        return sum(seconds for _, _, seconds in self.operations)

    def of(self, path: str) -> float:
        """The seconds of the operations of one module."""
        return sum(seconds for each, _, seconds in self.operations if each == path)

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "isa": self.isa,
            "seconds": self.seconds,
            "operations": [{"path": path, "kind": kind, "seconds": s} for path, kind, s in self.operations],
        }


def predict(summary: ModelSummary, rates: Rates) -> Prediction:
    """The latency of a network at ``rates``."""
    each = tuple((operation.path, operation.kind, rates.seconds(operation)) for operation in summary.operations)
    return Prediction(rates.machine, rates.isa, each)


def nearest_rates(machine: str | None = None, isa: str | None = None) -> Rates:
    """The closest measured rates: of the same instruction set first, then of the same machine.

    Ties, and a machine and instruction set that are both unknown, give the first of ``rates.json``.
    """
    return max(all_rates(), key=lambda rates: (rates.isa == isa, rates.machine == machine))


@cache
def all_rates() -> tuple[Rates, ...]:
    """What ``rates.json`` holds."""
    return tuple(
        Rates(**row | {"kinds": {kind: Rate(**rate) for kind, rate in row["kinds"].items()}})
        for row in json.loads(FILE.read_text())["rates"]
    )


def dump(rates: tuple[Rates, ...]) -> str:
    """The content of ``rates.json``."""
    return json.dumps({"rates": [asdict(row) for row in rates]}, indent=1) + "\n"
