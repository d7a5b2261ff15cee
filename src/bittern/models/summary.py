"""What a network costs, layer by layer: parameters per bit width, multiply-accumulates per precision, memory.

One forward pass is watched operator by operator. A multiply-accumulate is binary where both of its operands came out
of ``bittern::binarize``, whatever the classes of the layers are.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from bittern.models.activations import Activations, Operation, activations
from bittern.models.reasons import reasons
from bittern.models.record import FLOAT_BITS, Record, record

_SMALL_BITS = 8


@dataclass(frozen=True)
class LayerSummary:
    """A module that owns parameters or multiplies.

    Args:
        input_bits: width of the activations that are multiplied; None where nothing is.
        output_shape: of one image, without the batch dimension; None for a module that did not run.
        output_bytes: of one image, as the output is kept in memory: 1 bit an element where only its signs are read,
            else 32 (``bittern.models.activations``). None for a module that did not run.
        parameters: bit width -> how many; 1 bit for those that are binarized before use.
        not_binary: why its products are not of signs by signs; None if they are, or if there are none.
    """

    path: str
    kind: str
    input_bits: int | None
    output_shape: tuple[int, ...] | None
    output_bytes: float | None
    parameters: Mapping[int, int]
    binary_macs: int
    float_macs: int
    not_binary: str | None

    @property
    def bytes(self) -> float:
        """Size of the parameters at their bit widths."""
        return sum(bits * count for bits, count in self.parameters.items()) / 8


@dataclass(frozen=True)
class ModelSummary:
    """The layers in the order of execution, and their sums.

    Args:
        unlearned: how many numbers of its buffers are stored but not learned: BatchNorm's running means and variances,
            fixed filters. Keras, and so Larq, counts these as parameters too.
        operations: what the layers come to where the exporter joins steps; the memory that activations take.
    """

    input_shape: tuple[int, ...]
    layers: tuple[LayerSummary, ...]
    unlearned: int
    operations: tuple[Operation, ...]

    @property
    def parameters(self) -> dict[int, int]:
        """Bit width -> number of parameters."""
        total: Counter[int] = Counter()
        for layer in self.layers:
            total.update(layer.parameters)
        return dict(sorted(total.items()))

    @property
    def larq_parameters(self) -> int:
        """The number of parameters as Larq and Keras count: with what is stored but not learned."""
        return sum(self.parameters.values()) + self.unlearned

    @property
    def bytes(self) -> float:
        """Size of the parameters at their bit widths. Buffers do not count: exported, they are folded into others."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def small_bytes(self) -> float:
        """Size with 1 bit for binary parameters and 8 for all others."""
        return sum(min(bits, _SMALL_BITS) * count for bits, count in self.parameters.items()) / 8

    @property
    def float_bytes(self) -> float:
        """Size if every parameter were a float32."""
        return sum(self.parameters.values()) * FLOAT_BITS / 8

    @property
    def binary_macs(self) -> int:
        return sum(layer.binary_macs for layer in self.layers)

    @property
    def float_macs(self) -> int:
        return sum(layer.float_macs for layer in self.layers)

    @property
    def binary_mac_share(self) -> float:
        """Of all multiply-accumulates, 0..1; 0 if there are none."""
        total = self.binary_macs + self.float_macs
        return self.binary_macs / total if total else 0.0

    @property
    def peak(self) -> Operation | None:
        """The operation during which the activations take most memory, ``live_bytes``; None if nothing runs."""
        return Activations(self.operations, ()).peak

    def to_json(self) -> dict[str, Any]:
        peak = self.peak
        return {
            "input_shape": list(self.input_shape),
            "layers": [{**asdict(layer), "bytes": layer.bytes} for layer in self.layers],
            "parameters": self.parameters,
            "larq_parameters": self.larq_parameters,
            "bytes": self.bytes,
            "small_bytes": self.small_bytes,
            "float_bytes": self.float_bytes,
            "binary_macs": self.binary_macs,
            "float_macs": self.float_macs,
            "binary_mac_share": self.binary_mac_share,
            "activation_bytes": peak.live_bytes if peak else 0.0,
            "activation_peak": peak.path if peak else None,
            "operations": [asdict(operation) for operation in self.operations],
        }


def summary(model: nn.Module, input_shape: tuple[int, ...]) -> ModelSummary:
    """Runs ``model`` once, in eval mode, on one input of zeros of ``input_shape``, e.g. (C, H, W), and counts.

    On the meta device (``with torch.device("meta"): model = ...``) neither weights nor activations take memory.

    Raises:
        ValueError: the model is on the meta device and needs values of tensors, or does not take such an input.
    """
    seen = record(model, tuple(input_shape))
    kept = activations(seen)
    why = reasons(seen)
    modules = dict(model.named_modules())
    paths = [*seen.outputs, *(path for path in modules if path not in seen.outputs)]
    layers = (_layer(path, modules[path], seen, kept, why) for path in paths)
    learned = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    stored = (tensor for name, tensor in model.state_dict().items() if name not in learned)
    unlearned = sum(tensor.numel() for tensor in stored if tensor.is_floating_point())
    counted = tuple(x for x in layers if x.parameters or x.binary_macs or x.float_macs)
    return ModelSummary(tuple(input_shape), counted, unlearned, kept.operations)


def _layer(path: str, module: nn.Module, seen: Record, kept: Activations, why: Mapping[str, str]) -> LayerSummary:
    products = [step.product for step in seen.steps if step.product is not None and step.path == path]
    shape, value = seen.outputs.get(path, (None, None))
    parameters: Counter[int] = Counter()
    # A weight that is standardized before its sign is taken says so itself.
    latent = getattr(module, "latent_weights", ()) if getattr(module, "binarize_weight", True) else ()
    for name, parameter in module.named_parameters(recurse=False):
        is_binary = seen.is_binarized(parameter) or name in latent
        parameters[1 if is_binary else FLOAT_BITS] += parameter.numel()
    return LayerSummary(
        path,
        type(module).__name__,
        max((1 if product.input_binary else FLOAT_BITS for product in products), default=None),
        shape,
        None if value is None else kept.value_bytes[value],
        dict(sorted(parameters.items())),
        binary_macs=sum(product.macs for product in products if product.binary),
        float_macs=sum(product.macs for product in products if not product.binary),
        not_binary=why.get(path),
    )
