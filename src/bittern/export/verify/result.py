"""What `bittern.export.verify` finds: differences per layer, and whether they are errors."""

from dataclasses import asdict, dataclass
from typing import Any

from bittern._text import listed

MARGIN = 1e-4
"""How far apart floats may be, and how close to its threshold a differing bit must lie, as a share of the layer's
largest value: about 1000 roundings of 2^-24 each, which is what a sum of a thousand products may lose."""


@dataclass(frozen=True)
class Where:
    """One value of a layer's output. ``pixel``: row and column of an image; position of a token; empty for a vector."""

    image: int
    channel: int
    pixel: tuple[int, ...] = ()

    def __str__(self) -> str:
        pixel = f", pixel {','.join(map(str, self.pixel))}" if self.pixel else ""
        return f"image {self.image}, channel {self.channel}{pixel}"


@dataclass(frozen=True)
class LayerCheck:
    """One output of one operator, over all images.

    Args:
        output: "bits" or "float".
        values: bits or floats compared.
        reference_differences: how many differ from the operator's reference; ``reference_where`` is the first of them.
        model_differences: bits that differ from the trained model; None where the model has no such tensor, and for
            floats.
        margin: how far from its threshold the furthest of an image's first differing bits lies, or how far a float is
            from the trained model's before any bit differed, as a share of the layer's largest value. ``model_where``
            is that bit or float; None if nothing differs.
        largest_difference: of floats from the trained model's before any bit differed, in their own unit.
        largest_reference_difference: of floats from the reference's.
        other_constants: arguments that differ from those that the exporter makes of the trained model; compared only
            where the model's values do not decide.
    """

    path: str
    operator: str
    output: str
    values: int = 0
    reference_differences: int = 0
    reference_where: Where | None = None
    largest_reference_difference: float | None = None
    model_differences: int | None = None
    margin: float = 0.0
    model_where: Where | None = None
    largest_difference: float | None = None
    other_constants: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """No difference from the reference, and none from the model that rounding does not explain."""
        return self.reference_differences == 0 and self.margin <= MARGIN


@dataclass(frozen=True)
class Verification:
    """Result of :func:`verify`. ``predictions`` and ``model_predictions`` are the classes per image,
    none where the network gives no row of logits for each image.

    ``isa``: the instruction set of the engine, or "reference" if the references ran in its place. ``logit_margin``: the
    largest difference of the logits of images without a differing bit, as a share of the largest. ``capture_margin``:
    likewise, of the graph that torch captured from the module itself; large where the module branches on what torch
    takes for fixed, such as a batch of 1. ``int8``: float
    layers of the file are rounded to 8 bits, so no margin is expected of them. ``steps``: the network itself rounds
    floats to steps (`torch.round`), and a value between two of them may come out a whole step away.
    """

    isa: str
    images: int
    layers: tuple[LayerCheck, ...]
    predictions: tuple[int, ...]
    model_predictions: tuple[int, ...]
    logit_margin: float
    largest_logit_difference: float
    capture_margin: float = 0.0
    int8: bool = False
    steps: bool = False

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "failed"
        failed = [layer.path or layer.operator for layer in self.layers if not self.layer_passed(layer)]
        equal = f"{self.equal_predictions} of {self.images} predictions are equal" if self.predictions else "no classes"
        return "\n".join(
            (
                f"{verdict} on {self.images} images, {len(self.layers)} layers, kernels: {self.isa}",
                f"layers that fail: {listed(failed) or 'none'}",
                f"differ from the references: {self.reference_differences} values",
                f"differ from the trained network: {self.model_differences} bits",
                f"{equal}; logits differ by at most {self.largest_logit_difference:.2g}",
            )
        )

    @property
    def equal_predictions(self) -> int:
        return sum(a == b for a, b in zip(self.predictions, self.model_predictions, strict=True))

    @property
    def reference_differences(self) -> int:
        return sum(layer.reference_differences for layer in self.layers)

    @property
    def model_differences(self) -> int:
        return sum(layer.model_differences or 0 for layer in self.layers)

    @property
    def passed(self) -> bool:
        """No difference from the references, and none from the model that rounding does not explain.

        Of an int8 file, and of a network that rounds to steps, the first alone, and constants that are the model's.
        """
        close = self.int8 or self.steps or self.logit_margin <= MARGIN
        return close and self.capture_margin <= MARGIN and all(map(self.layer_passed, self.layers))

    def layer_passed(self, layer: LayerCheck) -> bool:
        """Whether ``layer`` is as it should be in this file."""
        if self.int8 or self.steps:
            return layer.reference_differences == 0 and not layer.other_constants
        return layer.passed

    def to_json(self) -> dict[str, Any]:
        return {
            "isa": self.isa,
            "images": self.images,
            "margin": MARGIN,
            "int8": self.int8,
            "steps": self.steps,
            "passed": self.passed,
            "equal_predictions": self.equal_predictions if self.predictions else None,
            "logit_margin": self.logit_margin,
            "capture_margin": self.capture_margin,
            "largest_logit_difference": self.largest_logit_difference,
            "reference_differences": self.reference_differences,
            "model_differences": self.model_differences,
            "layers": [{**asdict(layer), "passed": self.layer_passed(layer)} for layer in self.layers],
        }
