"""What the demo found, and whether it is what it should be."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bittern import __version__
from bittern.cli._machine import Machine

if TYPE_CHECKING:
    from bittern.export import Verification

LEAST_ACCURACY = 0.97
"""Share of the test digits that the binary network must read rightly, in PyTorch and in the engine."""


@dataclass(frozen=True)
class Network:
    """One of the two networks. ``latency`` is the median of one image in seconds, ``spread`` as in `Timing`."""

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
class Unit:
    """A stretch of the network, in both networks: time of one image in seconds, and bytes of its parameters."""

    name: str
    content: str
    binary_seconds: float
    float_seconds: float
    binary_bytes: float
    float_bytes: float


@dataclass(frozen=True)
class DemoResult:
    """``isa`` ran in the timings; ``verifications`` holds one entry for each instruction set of this machine.

    ``training``: recipe -> rows of ``log.csv``. ``seconds``: step of the demo -> its time.
    """

    seed: int
    machine: Machine
    isa: str
    images: int
    binary: Network
    twin: Network
    verifications: Sequence["Verification"]
    accuracies: Sequence[float]
    units: Sequence[Unit]
    training: Mapping[str, Sequence[Mapping[str, Any]]]
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
        return sum(layer.values for layer in self.verifications[0].layers)

    @property
    def problems(self) -> list[str]:
        """Sentences on what is not as it should be."""
        found = [
            f"{percent:.2%} of the test digits are right {where}, expected at least {LEAST_ACCURACY:.0%}"
            for percent, where in (
                (self.binary.pytorch_accuracy, "in PyTorch"),
                (self.binary.accuracy, "in the engine"),
            )
            if percent < LEAST_ACCURACY
        ]
        for check in self.verifications:
            if different := check.images - check.equal_predictions:
                found.append(f"{different} predictions differ between PyTorch and the engine ({check.isa})")
            if check.reference_differences:
                found.append(f"{check.reference_differences} values differ from the reference ({check.isa})")
            elif not check.passed:
                found.append(f"bits differ from the trained network further than rounding explains ({check.isa})")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "bittern": __version__,
            "seed": self.seed,
            "machine": self.machine.to_json(),
            "isa": self.isa,
            "test_images": self.images,
            "passed": not self.problems,
            "problems": self.problems,
            "binary": asdict(self.binary),
            "float": asdict(self.twin),
            "size_ratio": self.size_ratio,
            "speed_ratio": self.speed_ratio,
            "instruction_sets": [
                {"accuracy": accuracy, **check.to_json()}
                for accuracy, check in zip(self.accuracies, self.verifications, strict=True)
            ],
            "layers": [asdict(unit) for unit in self.units],
            "training": {recipe: list(rows) for recipe, rows in self.training.items()},
            "seconds": {**self.seconds, "total": sum(self.seconds.values())},
        }
