"""Rows about speed, and the proof that what was timed computes the right thing."""

from dataclasses import dataclass

from benchmarks.rows.csv_files import Stamped

NO_SHORTCUTS, ZEROS, ONES = "no shortcuts", "zeros", "ones"
"""Variants of networks: without shortcuts, and with binary convolutions padded with 0 and with +1."""


@dataclass(frozen=True)
class LayerRow(Stamped):
    """One column of one layer. ``status`` is empty, or why there are no times. All rows of a layer are from one run.

    ``median_us``, ``low_us``, ``high_us``: median and quartiles of the rounds' medians; ``minimum_us``: shortest call.
    The column "bound ISA" is the time that the layer takes at the rate of that loop on operands in the L1 cache.
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

    @property
    def spread(self) -> float:
        """Distance of the quartiles, as a share of the median."""
        return (self.high_us - self.low_us) / self.median_us

    @property
    def per_cycle(self) -> float:
        """Multiply-accumulates a cycle."""
        return self.macs / (self.median_us * 1e3 * self.clock_ghz)


class _Milliseconds:
    median_ms: float
    low_ms: float
    high_ms: float

    @property
    def spread(self) -> float:
        """Distance of the quartiles, as a share of the median."""
        return (self.high_ms - self.low_ms) / self.median_ms


@dataclass(frozen=True)
class NetworkRow(Stamped, _Milliseconds):
    """One network in one engine, one image at a time. Milliseconds as in `LayerRow`.

    ``load_ms``, ``memory_mib``: of a fresh process (`benchmarks.measure.engine_process.footprint`).
    """

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


@dataclass(frozen=True)
class MacsRow(Stamped, _Milliseconds):
    """One network for 224x224 images on one thread. Milliseconds as in `LayerRow`.

    ``variant``: one of those above, empty for the network as it is; ``changed``: the number of operators that differ.
    ``predicted_ms``: what `bittern inspect` predicts, 0 for rivals. ``top1``: published accuracy in percent, 0 if none.
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


@dataclass(frozen=True)
class SplitRow(Stamped):
    """Where the time of a network in Bittern goes, in milliseconds (`benchmarks.measure.split`)."""

    network: str
    binary_ms: float
    stem_ms: float
    middle_ms: float
    head_ms: float
    glue_ms: float

    @property
    def parts(self) -> tuple[float, float, float, float, float]:
        """Binary kernels, stem, other float, head, glue."""
        return self.binary_ms, self.stem_ms, self.middle_ms, self.head_ms, self.glue_ms

    @property
    def total_ms(self) -> float:
        return sum(self.parts)


@dataclass(frozen=True)
class ProofRow(Stamped):
    """A network's program compared with PyTorch and with its operators' references on ``images`` images.

    ``packed``, ``unpacked``, ``fallbacks``: nodes, as `bittern export --explain` counts. ``bits``, ``floats``: values
    compared with the references. ``model_differences``: bits. ``margin``: `bittern.export.Verification`.
    ``references_only``: 1 if the network rounds to steps, so that PyTorch's floats are no yardstick, else 0.
    ``passed``: 1 or 0. ``status`` is empty, or why nothing was compared.
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
    references_only: int
    passed: int


@dataclass(frozen=True)
class DemoRow(Stamped):
    """One of the two networks of ``bittern demo``, "binary" and "float", on ``images`` unseen digits.

    Accuracies are shares of 1. ``values``: bits and floats compared with the references, on each of ``isas``
    instruction sets; ``differences``: of all of them.
    """

    network: str
    images: int
    pytorch_accuracy: float
    accuracy: float
    equal_predictions: int
    isas: int
    values: int
    differences: int
    file_bytes: int
    median_us: float
    spread: float


@dataclass(frozen=True)
class KernelRow(Stamped):
    """One row of a kernels.inc: the shortest of many calls of the kernel itself.

    ``per_cycle``: multiply-accumulates, or values where there are none; 0 where the clock was not measured.
    """

    family: str
    case: str
    output: str
    kernel: str
    microseconds: float
    per_cycle: float


@dataclass(frozen=True)
class ChoiceRow(Stamped):
    """A layer of ``words`` a dot product by conv2d and by ``kernel``: the shortest of many calls, taken in turn."""

    isa: str
    kernel: str
    words: int
    filters: int
    pixels: int
    conv2d_us: float
    other_us: float


@dataclass(frozen=True)
class MemoryRow(Stamped):
    """Bytes that this core reads and writes a cycle when it copies within ``bytes``, ``footprint`` in words."""

    footprint: str
    bytes: int
    bytes_per_cycle: float
