"""The rates that `bittern inspect` predicts latencies from: ``python -m benchmarks rates``.

Small programs of one or two layers run through the engine, on one thread, under every instruction set of this machine;
every node's shortest time counts. For each kind of operation the three numbers of the model (bittern/export/latency.py)
are those with the smallest sum of squared relative errors, none of them negative. The rows of other machines are kept.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure.driver import Driver
from benchmarks.measure.environments import MODELS, VENV, Say
from bittern._files import write_atomically
from bittern.cli._machine import cpu_name
from bittern.export import summary
from bittern.export.latency import FILE, Rate, Rates, all_rates, dump
from bittern.export.operations import Operation
from bittern.nn import BinaryConv2d, BinaryLinear

FOLDER = MODELS / "rates"
_PREFIX = "bittern::"


@dataclass(frozen=True)
class Program:
    """A small network. All its Bittern operators are measured, or its only float operation if it has none."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OperationTime:
    """One operation of a program, and the cycles that it took."""

    program: str
    kind: str
    macs: int
    bytes: float
    cycles: float


class _Shortcut(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y


class _Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


class _Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], 1)


def _block(channels: int, size: int, kernel: int = 3, groups: int = 1) -> Program:
    def build() -> nn.Module:
        conv = BinaryConv2d(channels, channels, kernel, padding=kernel // 2, groups=groups)
        return _Shortcut(conv, nn.BatchNorm2d(channels))

    return Program(f"shortcut-{channels}-{size}-{kernel}-{groups}", build, (channels, size, size))


def _chain(inputs: int, outputs: int, size: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Program:
    """Bits out of the first layer, floats out of the second."""

    def build() -> nn.Module:
        padding = kernel // 2
        return nn.Sequential(
            BinaryConv2d(inputs, outputs, kernel, stride, padding, groups=groups),
            nn.BatchNorm2d(outputs),
            BinaryConv2d(outputs, outputs, kernel, 1, padding, groups=outputs if groups > 1 else 1),
        )

    return Program(f"chain-{inputs}-{outputs}-{size}-{kernel}-{stride}-{groups}", build, (inputs, size, size))


def _linear(inputs: int, outputs: int, rows: int) -> Program:
    def build() -> nn.Module:
        return nn.Sequential(BinaryLinear(inputs, outputs), nn.Hardtanh(), BinaryLinear(outputs, outputs))

    return Program(f"linear-{inputs}-{outputs}-{rows}", build, (rows, inputs))


def _float(inputs: int, outputs: int, size: int, kernel: int, stride: int = 1, groups: int = 1) -> Program:
    def build() -> nn.Module:
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)

    return Program(f"float-{inputs}-{outputs}-{size}-{kernel}-{stride}-{groups}", build, (inputs, size, size))


def _plain(name: str, build: Callable[[], nn.Module], channels: int, size: int) -> Program:
    return Program(f"{name}-{channels}-{size}", build, (channels, size, size))


_STAGES = ((64, 56), (128, 28), (256, 14), (512, 7))
PROGRAMS: tuple[Program, ...] = (
    *(_block(channels, size) for channels, size in ((32, 112), *_STAGES)),
    *(_block(channels, size, 1) for channels, size in (*_STAGES, (32, 112), (1024, 7))),
    *(_block(channels, size, 3, groups) for channels, size in _STAGES[:3] for groups in (4, channels)),
    *(_chain(channels, channels, size) for channels, size in _STAGES),
    *(_chain(channels, 2 * channels, size, 3, 2) for channels, size in _STAGES[:3]),
    *(_chain(channels, channels, size, 1) for channels, size in _STAGES),
    *(_chain(channels, 64, size) for channels, size in ((256, 28), (448, 28), (448, 14), (512, 7))),
    _chain(128, 128, 28, 3, 1, 128),
    *(_linear(width, width, rows) for width in (64, 256, 1024) for rows in (1, 16, 64)),
    _float(3, 64, 224, 7, 2),
    _float(3, 32, 224, 3, 2),
    _float(3, 16, 224, 3, 2),
    *(_float(channels, channels, size, 3) for channels, size in _STAGES[:3]),
    _float(16, 64, 56, 1),
    *(_float(channels, 2 * channels, size, 1) for channels, size in ((64, 28), (128, 14), (256, 7), (448, 28))),
    *(
        _float(channels, channels, size, 3, 2, channels)
        for channels, size in ((16, 112), (64, 56), (128, 28), (256, 14))
    ),
    *(_float(32, 32, size, 3, 1, groups) for size in (56, 112) for groups in (4, 8)),
    *(
        Program(f"head-{width}", lambda width=width: nn.Linear(width, 1000), (width,))  # type: ignore[misc]
        for width in (256, 512, 1024, 4096)
    ),
    *(_plain("max-pool", lambda: nn.MaxPool2d(3, 2, 1), channels, size) for channels, size in ((64, 112), (256, 28))),
    *(_plain("avg-pool", lambda: nn.AvgPool2d(2), channels, size) for channels, size in _STAGES[:3]),
    *(_plain("mean", lambda: nn.AdaptiveAvgPool2d(1), channels, size) for channels, size in _STAGES),
    *(_plain("square", _Square, channels, size) for channels, size in ((64, 112), *_STAGES)),
    *(_plain("cat", _Twice, channels, size) for channels, size in ((384, 56), (192, 56), (384, 28), *_STAGES)),
)


def samples(names: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """In a worker: the shortest time of every operation of the named programs, in seconds."""
    from bittern.runtime import load

    shortest: dict[tuple[str, int], float] = {}
    for _ in range(rounds):  # in turn, so that what the machine does meanwhile hits all programs
        for name in names:
            engine = load(FOLDER / f"{name}.pte")
            images = np.random.default_rng(0).standard_normal(engine.metadata.input_shape, np.float32)
            nodes = engine.profile(images, runs=20)
            if engine.metadata.operators:
                nodes = [node for node in nodes if node.name.startswith(_PREFIX)]
            for index, node in enumerate(nodes):
                key = (name, index)
                shortest[key] = min(shortest.get(key, float("inf")), *node.microseconds)
    return [{"program": name, "index": index, "seconds": time * 1e-6} for (name, index), time in shortest.items()]


def measure(driver: Driver, *, rounds: int, say: Say) -> tuple[Rates, ...]:
    """Rates of this machine under every instruction set that it has, fastest first."""
    from bittern.runtime import supported_isas

    _export(say)
    clock = driver.worker(VENV, "bound", 1)
    clock.ask("load", engine="bound", path="", threads=1, options={"clock": True}, slot="clock")
    measured = []
    for isa in supported_isas():
        worker = driver.worker(VENV, "rates", 1, (("BITTERN_ISA", isa),))
        names = [program.name for program in PROGRAMS]
        times: dict[tuple[str, int], float] = {}
        cycle = 1.0
        for turn in range(rounds):
            cycle = min(cycle, clock.ask("burst", slot="clock", seconds=0.1, calls=3)[0] * 1e-6)
            for row in worker.ask("call", module="rates", function="samples", arguments=[names, 1]):
                key = (row["program"], row["index"])
                times[key] = min(times.get(key, float("inf")), row["seconds"])
            say(f"{isa}: round {turn + 1} of {rounds}")
        kinds = defaultdict(list)
        for sample in _operation_times(times, cycle):
            kinds[sample.kind].append(sample)
        rates = {kind: fit(of_kind) for kind, of_kind in sorted(kinds.items())}
        for kind, of_kind in sorted(kinds.items()):
            errors = [rates[kind].cycles(each.macs, each.bytes) / each.cycles - 1 for each in of_kind]
            say(f"{isa} {kind}: {len(errors)} operations, errors {min(errors):+.0%} to {max(errors):+.0%}")
        measured.append(Rates(cpu_name(), isa, round(1e-9 / cycle, 3), rates))
    return tuple(measured)


def write(measured: Sequence[Rates]) -> None:
    """Puts ``measured`` in front of the rows of other machines."""
    machine = measured[0].machine
    others = [row for row in all_rates() if row.machine != machine] if FILE.exists() else []
    write_atomically(FILE, dump((*measured, *others)).encode())


def fit(samples: Sequence[OperationTime]) -> Rate:
    """The three numbers with the least squared relative errors, none negative: the best of all ways to leave some out.

    Parts that are left out cost nothing; multiplications are left out only where there are none.
    """
    cycles = np.array([sample.cycles for sample in samples])
    costs = np.array([[sample.macs, sample.bytes, 1.0] for sample in samples]) / cycles[:, None]
    usable = [column for column in range(3) if costs[:, column].any()]
    best, least = np.zeros(3), float("inf")
    for count in range(1, len(usable) + 1):
        for columns in combinations(usable, count):
            if usable[0] == 0 and 0 not in columns:  # multiplications are never free
                continue
            solution, *_ = np.linalg.lstsq(costs[:, columns], np.ones(len(samples)))
            error = float(((costs[:, columns] @ solution - 1) ** 2).sum())
            if (solution >= 0).all() and error < least:
                best, least = np.zeros(3), error
                best[list(columns)] = solution
    work, size, call = best.tolist()
    return Rate(_rounded(1 / work) if work else None, _rounded(1 / size) if size else None, _rounded(call))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def timed_operations(program: Program) -> list[Operation]:
    """The operations of ``program`` that are timed: those of Bittern's operators, or all where it has none."""
    every = summary(program.build(), program.shape).operations
    ours = [each for each in every if each.kind.startswith("binary") or each.kind == "pack"]
    return ours or list(every)


def _operation_times(times: dict[tuple[str, int], float], cycle: float) -> list[OperationTime]:
    result = []
    for program in PROGRAMS:
        operations = timed_operations(program)
        measured = sum(name == program.name for name, _ in times)
        if len(operations) != measured:
            raise RuntimeError(f"{program.name}: {len(operations)} operations, but {measured} nodes ran")
        for index, operation in enumerate(operations):
            size = operation.read_bytes + operation.written_bytes
            cycles = times[program.name, index] / cycle
            result.append(OperationTime(program.name, operation.kind, operation.macs, size, cycles))
    return result


def _export(say: Say) -> None:
    from bittern.export import ExportWarning, to_pte

    missing = [program for program in PROGRAMS if not (FOLDER / f"{program.name}.pte").exists()]
    if missing:
        say(f"exporting {len(missing)} programs")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for program in missing:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExportWarning)
            to_pte(program.build(), torch.randn(1, *program.shape), FOLDER / f"{program.name}.pte")
