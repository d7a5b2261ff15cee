"""What the demo found, and whether it is as expected."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.text import Text

from bittern import __version__
from bittern.cli._layers import LayerTime
from bittern.cli._machine import Machine
from bittern.cli._output import bytes_text, count_text, percent_text, seconds_text, table
from bittern.export import Explanation, ModelSummary, Verification
from bittern.study.read import StudyData

MIN_ACCURACY = 0.97
"""Share of the test digits that the binary network must read correctly, in PyTorch and in the engine."""


@dataclass(frozen=True)
class NetworkResult:
    """One of the two networks. ``latency``: median of one image in seconds; ``spread`` as in `Timing`."""

    recipe: str
    file: str
    size: int
    accuracy: float
    pytorch_accuracy: float
    equal_predictions: int
    largest_logit_difference: float
    latency: float
    spread: float


@dataclass(frozen=True)
class Demo:
    """What one demo found. ``logits`` to ``explanation`` describe the binary network.

    Args:
        isa: the instruction set of the timings.
        pixels: of the test digits, uint8 [N, H, W].
        labels: of the test digits, int64 [N].
        logits: the engine's for the test digits, [N, 10].
        checks: one for each instruction set of this machine.
        layers: the nodes of the program with their times.
        studies: what was recorded during both trainings.
        seconds: step of the demo -> its time.
    """

    seed: int
    machine: Machine
    isa: str
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    binary: NetworkResult
    twin: NetworkResult
    logits: npt.NDArray[np.float32]
    checks: Sequence[Verification]
    layers: Sequence[LayerTime]
    summary: ModelSummary
    explanation: Explanation
    studies: Sequence[StudyData]
    seconds: Mapping[str, float]

    @property
    def size_ratio(self) -> float:
        return self.twin.size / self.binary.size

    @property
    def speed_ratio(self) -> float:
        return self.twin.latency / self.binary.latency

    @property
    def values_compared(self) -> int:
        """Bits and floats that one instruction set's verification compared with the reference."""
        return sum(layer.values for layer in self.checks[0].layers)

    @property
    def problems(self) -> list[str]:
        """A sentence on each thing that is not as expected."""
        found = [
            f"{share:.2%} of the test digits are read correctly {where}, expected at least {MIN_ACCURACY:.0%}"
            for share, where in ((self.binary.pytorch_accuracy, "in PyTorch"), (self.binary.accuracy, "in the engine"))
            if share < MIN_ACCURACY
        ]
        for check in self.checks:
            if different := check.images - check.equal_predictions:
                found.append(f"{different} predictions differ between PyTorch and the engine ({check.isa})")
            if check.reference_differences:
                found.append(f"{check.reference_differences} values differ from the reference ({check.isa})")
            elif not check.passed:
                found.append(f"bits differ from the trained network by more than rounding explains ({check.isa})")
        return found

    @property
    def figures(self) -> list[tuple[str, ...]]:
        """Both networks side by side, as text: name, binary, float twin, ratio."""
        both = (self.binary, self.twin)
        faster = f"{self.speed_ratio:.1f} x faster"
        speed = faster if self.speed_ratio >= 1 else f"{1 / self.speed_ratio:.1f} x slower"
        return [
            ("accuracy in PyTorch", *(percent_text(n.pytorch_accuracy) for n in both), ""),
            ("accuracy in the engine", *(percent_text(n.accuracy) for n in both), ""),
            ("same predictions in both", *(f"{n.equal_predictions} of {len(self.labels)}" for n in both), ""),
            ("largest logit difference", *(f"{n.largest_logit_difference:.1e}" for n in both), ""),
            ("file", *(bytes_text(n.size) for n in both), f"{self.size_ratio:.1f} x smaller"),
            ("latency, 1 image, 1 thread", *(seconds_text(n.latency) for n in both), speed),
            ("spread of the latency", *(f"{n.spread:.1%}" for n in both), ""),
        ]

    def tables(self) -> Group:
        """What the demo prints at its end."""
        figures = table(["", ">Binary", ">Float twin", ">Ratio"])
        for row in self.figures:
            figures.add_row(*row)
        checks = table(["Kernels", ">Same predictions", ">Differ from reference", ">Bits differ from PyTorch's"])
        for check in self.checks:
            checks.add_row(
                check.isa,
                f"{check.equal_predictions} of {check.images}",
                f"{count_text(check.reference_differences)} of {count_text(self.values_compared)}",
                count_text(check.model_differences),
            )
        where = f"on {self.machine}; timed with {self.isa} kernels against XNNPACK, interleaved, single-threaded"
        return Group(figures, checks, Text(where, style="dim"))

    def to_json(self) -> dict[str, Any]:
        return {
            "bittern": __version__,
            "seed": self.seed,
            "machine": self.machine.to_json(),
            "isa": self.isa,
            "test_images": len(self.labels),
            "passed": not self.problems,
            "problems": self.problems,
            "binary": asdict(self.binary),
            "float": asdict(self.twin),
            "size_ratio": self.size_ratio,
            "speed_ratio": self.speed_ratio,
            "instruction_sets": [
                {"accuracy": float((np.array(check.predictions) == self.labels).mean()), **check.to_json()}
                for check in self.checks
            ],
            "layers": [layer.to_json() for layer in self.layers],
            "training": {study.name: study.log for study in self.studies},
            "seconds": {**self.seconds, "total": sum(self.seconds.values())},
        }
