"""What a network takes and gives: the names, shapes and dtypes of its tensors, and how its result holds them.

    Signature --export.capture--> made --metadata--> stored in the file --engine--> checks inputs, nests outputs

A call has a flat list of tensors on both sides; only `Signature.nest` and `Signature.flatten` know of tuples and dicts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bittern._fields import Fields, short

DTYPES = ("float32", "int64", "int32", "uint8", "bool")
"""Of inputs and outputs."""
SINGLE_INPUT, SINGLE_OUTPUT = "x", "output"
"""The names of the tensors of a network that has one of each, where nobody gave them others."""

_KINDS = ("tuple", "list", "dict")
_DEEPEST = 32  # levels of a result


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that a network takes or gives.

    Args:
        shape: as exported; where ``batched`` its first dimension is the batch.
        batched: every image has its own part of it; else it is one and the same for all images of a call.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    batched: bool = True

    def __str__(self) -> str:
        sizes = ["N", *map(str, self.shape[1:])] if self.batched else map(str, self.shape)
        return f"{self.name} {self.dtype} [{', '.join(sizes)}]"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype, "batched": self.batched}


@dataclass(frozen=True)
class Nested:
    """A part of a result that holds others. ``kind``: "tuple", "list" or "dict"; ``keys``: of a dict only."""

    kind: str
    items: "tuple[Structure, ...]"
    keys: tuple[str | int, ...] = ()


Structure = int | None | Nested
"""A result: the number of a tensor in the flat list of outputs, None, or a container of results."""


@dataclass(frozen=True)
class Signature:
    """``inputs`` in the order of a call, ``outputs`` in the order of the flat list, ``structure`` of the result.

    The result of a network that returns one tensor has the structure 0.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    structure: Structure

    @staticmethod
    def single(input_shape: Sequence[int], output_shape: Sequence[int]) -> "Signature":
        """Of a network of one float32 input and one float32 output: that of a file that states none."""
        inputs = TensorSpec(SINGLE_INPUT, tuple(input_shape), batched=bool(input_shape))
        outputs = TensorSpec(SINGLE_OUTPUT, tuple(output_shape), batched=bool(output_shape))
        return Signature((inputs,), (outputs,), 0)

    @property
    def is_single(self) -> bool:
        """Whether it is one float32 tensor on each side, as of an image classifier."""
        tensors = (*self.inputs, *self.outputs)
        floats = all(tensor.dtype == "float32" and tensor.batched for tensor in tensors)
        return floats and len(self.inputs) == 1 and self.structure == 0

    @property
    def batch(self) -> int:
        """How many images the program computes at a time."""
        for each in self.inputs:
            if each.batched:
                return each.shape[0]
        return 1

    def nest(self, tensors: Sequence[Any]) -> Any:
        """The flat list of outputs as the network gives them."""
        return _nested(self.structure, tensors)

    def flatten(self, result: Any) -> tuple[Any, ...]:
        """What `nest` was given for ``result``."""
        found = dict(_flattened(self.structure, result))
        return tuple(found[i] for i in range(len(self.outputs)))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; :meth:`read` reads it back."""
        return {
            "inputs": [each.to_json() for each in self.inputs],
            "outputs": [each.to_json() for each in self.outputs],
            "structure": _structure_to_json(self.structure),
        }

    @staticmethod
    def read(value: object, name: str) -> "Signature":
        """Reads what :meth:`to_json` gave; ValueError for anything else, in which the value is called ``name``."""
        fields = Fields(value, name)
        inputs = tuple(_read_tensor(each, name) for each in fields.objects("inputs"))
        outputs = tuple(_read_tensor(each, name) for each in fields.objects("outputs"))
        for tensors, what in ((inputs, "inputs"), (outputs, "outputs")):
            names = [tensor.name for tensor in tensors]
            if not names or len(set(names)) != len(names):
                raise ValueError(f"{name}: {what} must have names, each its own, are {short(names)}")
        if len({tensor.shape[0] for tensor in (*inputs, *outputs) if tensor.batched}) > 1:
            raise ValueError(f"{name}: batched tensors differ in their first dimension, which is the batch")
        structure = _read_structure(fields.value("structure"), name)
        leaves = sorted(_leaves(structure))
        if leaves != list(range(len(outputs))):
            raise ValueError(f"{name}: structure must hold each of the {len(outputs)} outputs once: {short(leaves)}")
        return Signature(inputs, outputs, structure)


def _nested(structure: Structure, tensors: Sequence[Any]) -> Any:
    if not isinstance(structure, Nested):
        return None if structure is None else tensors[structure]
    items = [_nested(item, tensors) for item in structure.items]
    if structure.kind == "dict":
        return dict(zip(structure.keys, items, strict=True))
    return tuple(items) if structure.kind == "tuple" else items


def _flattened(structure: Structure, result: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(structure, Nested):
        items = [result[key] for key in structure.keys] if structure.kind == "dict" else result
        for inner, item in zip(structure.items, items, strict=True):
            yield from _flattened(inner, item)
    elif structure is not None:
        yield structure, result


def _leaves(structure: Structure) -> Iterator[int]:
    if isinstance(structure, Nested):
        for item in structure.items:
            yield from _leaves(item)
    elif structure is not None:
        yield structure


def _structure_to_json(structure: Structure) -> Any:
    if not isinstance(structure, Nested):
        return structure
    items = [_structure_to_json(item) for item in structure.items]
    # Pairs, as JSON's own objects keep neither order nor integers.
    return {
        structure.kind: [list(pair) for pair in zip(structure.keys, items, strict=True)] if structure.keys else items
    }


def _read_tensor(fields: Fields, name: str) -> TensorSpec:
    tensor = TensorSpec(fields.text("name"), fields.sizes("shape"), fields.text("dtype"), fields.flag("batched"))
    if tensor.dtype not in DTYPES:
        raise ValueError(f"{name}: {short(tensor.name)} is {short(tensor.dtype)}, not one of {', '.join(DTYPES)}")
    if tensor.batched and not tensor.shape:
        raise ValueError(f"{name}: {short(tensor.name)} is batched and has no dimensions")
    return tensor


def _read_structure(value: object, name: str, depth: int = 0) -> Structure:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping) and len(value) == 1:
        ((kind, items),) = value.items()
        if kind in _KINDS and isinstance(items, list):
            keys = tuple(_key(item) for item in items) if kind == "dict" else ()
            if None not in keys and len(set(keys)) == len(keys):
                inner = [item[1] for item in items] if kind == "dict" else items
                return Nested(kind, tuple(_read_structure(item, name, depth + 1) for item in inner), keys)  # type: ignore[arg-type]
    raise ValueError(f"{name}: structure must be made of outputs' numbers, {', '.join(_KINDS)}, is {short(value)}")


def _key(item: object) -> str | int | None:
    """The key of a pair; None for anything else."""
    if not isinstance(item, list) or len(item) != 2 or isinstance(item[0], bool):
        return None
    return item[0] if isinstance(item[0], (str, int)) else None
