"""Rows of measurements and the CSV files that keep them."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from bittern._files import write_atomically

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class LayerRow:
    """One column of one layer. ``status`` is empty, or why there are no times. All rows of a layer are of one run.

    ``median_us``, ``low_us``, ``high_us``: median and quartiles of the rounds' medians; ``minimum_us``: shortest call.
    The column "bound ISA" is the time that the layer takes at the rate of the L1-resident loop.
    """

    group: str
    layer: str
    macs: int
    bytes: int
    column: str
    status: str
    median_us: float
    low_us: float
    high_us: float
    minimum_us: float
    rounds: int
    clock_ghz: float
    machine: str
    revision: str


@dataclass(frozen=True)
class NetworkRow:
    """One network in one engine. Milliseconds as in `LayerRow`; ``load_ms``, ``memory_mib``: benchmarks/worker.py."""

    network: str
    precision: str
    engine: str
    status: str
    threads: int
    median_ms: float
    low_ms: float
    high_ms: float
    minimum_ms: float
    rounds: int
    file_mib: float
    load_ms: float
    memory_mib: float
    machine: str
    revision: str


@dataclass(frozen=True)
class KernelRow:
    """One row of a kernels.inc: the shortest of many calls of the kernel itself.

    ``per_cycle``: MAC, or values where there are none; 0 where the clock was not measured.
    """

    family: str
    case: str
    output: str
    kernel: str
    microseconds: float
    per_cycle: float
    machine: str
    revision: str


@dataclass(frozen=True)
class ChoiceRow:
    """A layer of ``words`` a dot product by conv2d and by ``kernel``: the shortest of many calls, taken in turn."""

    isa: str
    kernel: str
    words: int
    filters: int
    pixels: int
    conv2d_us: float
    other_us: float
    machine: str
    revision: str


@dataclass(frozen=True)
class MemoryRow:
    """How many bytes this core reads and writes a cycle when it copies within ``bytes``, ``footprint`` in words."""

    footprint: str
    bytes: int
    bytes_per_cycle: float
    machine: str
    revision: str


@dataclass(frozen=True)
class StudyRow:
    """One network for 224x224 images on one thread. Milliseconds as in `LayerRow`.

    ``variant``: what was changed (benchmarks/rewrites.py), nothing if empty; in so many operators (``changed``).
    ``predicted_ms``: what `bittern inspect` predicts; 0 for rivals. ``top1``: published accuracy in percent, 0 if none.
    """

    network: str
    variant: str
    precision: str
    engine: str
    status: str
    median_ms: float
    low_ms: float
    high_ms: float
    minimum_ms: float
    rounds: int
    changed: int
    binary_macs: int
    float_macs: int
    predicted_ms: float
    top1: float
    machine: str
    revision: str


@dataclass(frozen=True)
class SplitRow:
    """Where the time of a network in Bittern goes, in milliseconds (benchmarks/split.py)."""

    network: str
    binary_ms: float
    stem_ms: float
    middle_ms: float
    head_ms: float
    glue_ms: float
    machine: str
    revision: str

    @property
    def float_ms(self) -> float:
        return self.stem_ms + self.middle_ms + self.head_ms

    @property
    def total_ms(self) -> float:
        return self.binary_ms + self.float_ms + self.glue_ms


@dataclass(frozen=True)
class ProofRow:
    """A network's program compared with PyTorch and with its operators' references on ``images`` images.

    ``packed``, ``unpacked``, ``fallbacks``: nodes, as `bittern export --explain` counts. ``bits``, ``floats``: values
    compared with the references. ``model_differences``: bits. ``margin``: bittern.export.verify.result. ``passed``: 1
    or 0. ``status`` is empty, or why nothing was compared.
    """

    network: str
    status: str
    isa: str
    images: int
    packed: int
    unpacked: int
    fallbacks: int
    bits: int
    floats: int
    reference_differences: int
    model_differences: int
    margin: float
    equal_predictions: int
    passed: int
    machine: str
    revision: str


Row = TypeVar("Row")


def write(path: Path, rows: Sequence[Any]) -> None:
    """Writes under a temporary name, then renames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.DictWriter(text, [f.name for f in fields(rows[0])], lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    write_atomically(path, text.getvalue().encode())


def read(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a file, none if it is not there."""
    if not path.exists():
        return []
    types = get_type_hints(kind)
    with path.open(newline="") as file:
        return [kind(**{name: types[name](value) for name, value in row.items()}) for row in csv.DictReader(file)]


def layer_rows(folder: Path, groups: Iterable[str]) -> list[LayerRow]:
    """The rows of all groups of layers, in order."""
    return [row for group in groups for row in read(folder / f"kernels-{group}.csv", LayerRow)]
