"""What a network costs, layer by layer: parameters by bit width, multiply-accumulates by precision, memory.

Everything is read from the training graph and from the deployed graph: a multiply-accumulate is binary where the
deployed graph runs it on packed bits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import fx, nn

from bittern.export.capture import capture
from bittern.export.deployed import Deployed
from bittern.export.operations import Operation, Operations, operations
from bittern.export.reasons import binary_parameters, input_bits, module_paths, reasons
from bittern.export.rewrite import rewrite

FLOAT_BITS = 32
_SMALL_BITS = 8


@dataclass(frozen=True)
class LayerSummary:
    """A module that owns parameters or multiplies.

    Args:
        input_bits: width of the activations that are multiplied; None where nothing is.
        output_shape: of one image, without the batch dimension; None for a module that did not run.
        output_bytes: of one image, as the output is kept in memory: 1 bit an element where only its signs are read,
            else 32. None for a module that did not run.
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
        warnings: what the user should look at, such as signs that are +1 for every input.
    """

    input_shape: tuple[int, ...]
    layers: tuple[LayerSummary, ...]
    unlearned: int
    operations: tuple[Operation, ...]
    warnings: tuple[str, ...] = ()

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
        return Operations(self.operations, {}).peak

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
            "warnings": list(self.warnings),
        }


def summary(module: nn.Module, input_shape: tuple[int, ...]) -> ModelSummary:
    """Captures and rewrites ``module`` for one image of ``input_shape``, e.g. (C, H, W), and counts.

    The module is left as it is. Nothing is computed but constants, so the costs are those of `bittern.export.capture`
    and `rewrite`: seconds, and a copy of the weights.

    Raises:
        ExportError: the module cannot be exported; the message names the module, the operator and the way out.
    """
    deployed = rewrite(capture(module, torch.zeros(1, *input_shape)))
    counting = _Counting(module, deployed)
    learned = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    stored = (tensor for name, tensor in module.state_dict().items() if name not in learned)
    return ModelSummary(
        input_shape=tuple(input_shape),
        layers=tuple(layer for layer in counting.layers() if layer.parameters or layer.binary_macs or layer.float_macs),
        unlearned=sum(tensor.numel() for tensor in stored if tensor.is_floating_point()),
        operations=counting.operations.steps,
        warnings=tuple(deployed.warned),
    )


class _Counting:
    """Joins what the training graph knows of modules with what the deployed graph knows of costs."""

    def __init__(self, module: nn.Module, deployed: Deployed) -> None:
        self.operations = operations(deployed)
        self._modules = dict(module.named_modules())
        first = {id(each): path for path, each in self._modules.items()}
        self._first = {path: first[id(each)] for path, each in module.named_modules(remove_duplicate=False)}
        self._deployed, self._captured = deployed, deployed.captured
        self._reasons, self._inputs = reasons(deployed), input_bits(deployed)
        self._values = _values_of(deployed)
        binary = binary_parameters(deployed)
        named = module.named_parameters(remove_duplicate=False)
        self._binary = {id(parameter) for name, parameter in named if name in binary}
        self._last: dict[str, fx.Node] = {}  # module -> the node that computes its output
        for node in self._captured.graph.calls():
            for path in module_paths(node):
                if path in self._first:  # not a module that `forward` makes
                    self._last[self._first[path]] = node

    def layers(self) -> Iterator[LayerSummary]:
        """All modules in the order in which they end, a module behind its children; then those that do not run."""
        place = {node: index for index, node in enumerate(self._captured.graph.module.graph.nodes)}
        ran = [path for path in self._modules if path in self._last]
        ran.sort(key=lambda path: (place[self._last[path]], -len(path)))
        for path in (*ran, *(path for path in self._modules if path not in self._last)):
            yield self._layer(path)

    def _layer(self, path: str) -> LayerSummary:
        names = [
            name for name, first in self._first.items() if first == path
        ]  # several if it is used in several places
        nodes = [node for node in self._deployed.nodes if node.path in names]
        why_not = [self._reasons[name] for name in names if name in self._reasons]
        parameters: Counter[int] = Counter()
        for parameter in self._modules[path].parameters(recurse=False):
            parameters[1 if id(parameter) in self._binary else FLOAT_BITS] += parameter.numel()
        last = self._last.get(path)
        value = None if last is None else self._values.get(last.name)
        return LayerSummary(
            path=path,
            kind=type(self._modules[path]).__name__,
            input_bits=max((self._inputs[name] for name in names if name in self._inputs), default=None),
            output_shape=None if last is None else _output_shape(last),
            output_bytes=None if value is None else self._deployed.values[self.operations.kept_as[value]].bytes,
            parameters=dict(sorted(parameters.items())),
            binary_macs=sum(node.macs for node in nodes if node.is_binary),
            float_macs=sum(node.macs for node in nodes if not node.is_binary),
            not_binary="; ".join(dict.fromkeys(why_not)) or None,
        )


def _values_of(deployed: Deployed) -> dict[str, str]:
    """Node of the training graph -> the value that it became, or that took its place."""
    found: dict[str, str] = {}
    for node in deployed.nodes:
        if values := node.writes or node.reads[:1]:
            found |= dict.fromkeys(node.sources, values[0])
    for node in deployed.nodes:
        found |= {name: value for name, value in zip(node.outputs, node.writes, strict=False) if name is not None}
    return found


def _output_shape(node: fx.Node) -> tuple[int, ...]:
    """Of one image."""
    value = node.meta["val"]
    return tuple((value[0] if isinstance(value, (tuple, list)) else value).shape[1:])
