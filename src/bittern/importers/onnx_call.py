"""What the converters of ONNX operations are given: the node, and its inputs as constants or results in the graph."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from bittern._fields import short
from bittern.importers.errors import CheckpointError
from bittern.importers.graph_builder import GraphBuilder
from bittern.importers.onnx_file import OnnxNode

Operand = Tensor | str
"""A constant, or the name of a result in the graph."""

_MAX_NUMBERS = 2**28


@dataclass(frozen=True)
class OnnxCall:
    """``inputs``: None where one is left out."""

    graph: GraphBuilder
    node: OnnxNode
    inputs: tuple[Operand | None, ...]

    def error(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self.node.kind} {self.node.name!r} {text}")

    def value(self, index: int = 0) -> str:
        """An input that depends on the network's input."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(found, str):
            raise self.error(f"has {'no' if found is None else 'a constant as'} input {index}, expected a result")
        return found

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """Of an input in the graph, with a batch of 1."""
        return self.graph.shape(self.value(index))

    def constant(self, index: int) -> Tensor:
        found = self.optional(index)
        if found is None:
            raise self.error(f"lacks its input {index}")
        return found

    def optional(self, index: int) -> Tensor | None:
        """A constant input, None if it is left out."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(found, str):
            raise self.error(f"computes its input {index} from the network's input; it must be constant")
        return found

    def number(self, index: int) -> float:
        value = self.constant(index)
        if value.numel() != 1:
            raise self.error(f"has {list(value.shape)} numbers as input {index}, expected one")
        return float(value)

    def integers(self, key: str, default: tuple[int, ...], length: int | None = None) -> tuple[int, ...]:
        value = self.node.attributes.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(v, int) and abs(v) < 2**31 for v in value):
            raise self.error(f"has {key} {short(value)}, expected integers")
        if length is not None and len(value) != length:
            raise self.error(f"has {key} {short(value)}, expected {length} integers, for images")
        return tuple(value)

    def integer(self, key: str, default: int) -> int:
        value = self.node.attributes.get(key, default)
        if not isinstance(value, int) or abs(value) >= 2**31:
            raise self.error(f"has {key} {short(value)}, expected an integer")
        return value

    def real(self, key: str, default: float) -> float:
        value = self.node.attributes.get(key, default)
        if not isinstance(value, int | float):
            raise self.error(f"has {key} {short(value)}, expected a number")
        return float(value)

    def text(self, key: str, default: str, known: tuple[str, ...]) -> str:
        value = self.node.attributes.get(key, default)
        if value not in known:
            raise self.error(f"has {key} {short(value)}; {' and '.join(known)} are imported")
        return str(value)


def check_broadcast(call: OnnxCall, *tensors: Tensor) -> None:
    """CheckpointError if the tensors together make more numbers than a network has."""
    if prod(torch.broadcast_shapes(*(tensor.shape for tensor in tensors))) > _MAX_NUMBERS:
        raise call.error(f"makes more than {_MAX_NUMBERS} numbers of constants")
