"""What a network is in C: buffers, and calls of kernels on them, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ARENA, INPUT, OUTPUT, CONSTANT = "arena", "input", "output", "constant"


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory of one tensor or of several in turn; two buffers are the same only if they are the same object.

    Args:
        name: a C identifier.
        count: elements of 4 bytes.
        dtype: float32, or int32 for packed words.
        kind: `ARENA`, or memory of the caller (`INPUT`, `OUTPUT`), or `CONSTANT`.
        data: the elements of a constant, as they lie in memory.
    """

    name: str
    count: int
    dtype: torch.dtype
    kind: str
    data: Tensor | None = None

    @property
    def bytes(self) -> int:
        return 4 * self.count


@dataclass(frozen=True)
class Struct:
    """A value of a C struct, by its fields.

    A field is an int, a float, a tuple of ints (an array), a tensor or None (a pointer), or a `Struct`. Tensors are
    float32, words of bits (int32), or integers (int64), which C holds in 4 bytes too.
    """

    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class KernelCall:
    """``function(&layer, *operands)``.

    Args:
        node, path: of the deployed graph, for which it works.
        operands: None is NULL. ``writes``: those that it writes, ``scratch``: those whose contents nobody reads.
        shared: pairs of operands, one read and one written, which may have the same memory.
    """

    function: str
    layer: Struct
    operands: tuple[Buffer | None, ...]
    writes: tuple[Buffer, ...]
    node: str
    path: str
    scratch: tuple[Buffer, ...] = ()
    shared: tuple[tuple[Buffer, Buffer], ...] = ()

    @property
    def reads(self) -> tuple[Buffer, ...]:
        own = (*self.writes, *self.scratch)
        return tuple(each for each in self.operands if each is not None and not any(each is other for other in own))

    @property
    def constant_bytes(self) -> int:
        return sum(4 * tensor.numel() for tensor in tensors(self.layer))


@dataclass(frozen=True)
class Port:
    """An input or output of the network: ``name`` of the graph, ``shape`` of the tensor as PyTorch has it."""

    name: str
    shape: tuple[int, ...]
    buffer: Buffer


@dataclass(frozen=True)
class CNetwork:
    """A network as calls of C kernels.

    Args:
        calls: in the order of execution.
        inputs, outputs: of the whole.
        offsets: where each buffer of the arena begins, in bytes; ``arena_bytes``: of all.
        values: name of a node of the deployed graph -> buffers of its tensors, for those that are computed.
    """

    calls: tuple[KernelCall, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    offsets: Mapping[Buffer, int]
    arena_bytes: int
    values: Mapping[str, tuple[Buffer, ...]]

    @property
    def constant_bytes(self) -> int:
        """Of weights and tables, each counted once."""
        unique = {key(tensor): 4 * tensor.numel() for call in self.calls for tensor in tensors(call.layer)}
        unique |= {key(b.data): b.bytes for call in self.calls for b in call.operands if b and b.data is not None}
        return sum(unique.values())


def tensors(layer: Struct) -> Sequence[Tensor]:
    """The arrays that a struct points to."""
    found: list[Tensor] = []
    for value in layer.fields.values():
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, Struct):
            found += tensors(value)
    return found


def key(tensor: Tensor) -> tuple[torch.dtype, bytes]:
    """The same for arrays of the same elements."""
    return tensor.dtype, tensor.contiguous().numpy().tobytes()
