"""From the arguments of ``engine(...)`` to the arrays of the program's calls, and back from their results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bittern.runtime.signature import Signature, TensorSpec

Array = npt.NDArray[Any]
Batched = TypeVar("Batched", bound=Any)
"""An array, or a tensor of another library."""


def bind(signature: Signature, given: Sequence[object], named: Mapping[str, object]) -> tuple[Array, ...]:
    """The arrays of a call, in the order of the inputs, checked.

    Raises:
        TypeError: too many, missing or unknown inputs, or no numpy array.
        ValueError: another dtype or shape, an empty batch, or batches of different sizes.
    """
    names = [spec.name for spec in signature.inputs]
    takes = f"the network takes {', '.join(names)}"
    if len(given) > len(names):
        raise TypeError(f"{takes}; got {len(given)} inputs")
    arguments = dict(zip(names, given, strict=False))
    for name, value in named.items():
        if name not in names:
            raise TypeError(f"the network has no input {name!r}: {takes}")
        if name in arguments:
            raise TypeError(f"input {name!r} is given twice: {takes}")
        arguments[name] = value
    if missing := [name for name in names if name not in arguments]:
        raise TypeError(f"input {', '.join(map(repr, missing))} is missing: {takes}")
    arrays = tuple(_checked(spec, arguments[spec.name], _called(signature, spec)) for spec in signature.inputs)
    counts = {s.name: len(array) for s, array in zip(signature.inputs, arrays, strict=True) if s.batched}
    if len(set(counts.values())) > 1:
        raise ValueError(
            "all inputs of a call must hold the same number of images, got "
            + ", ".join(f"{count} in {name}" for name, count in counts.items())
        )
    return arrays


def _called(signature: Signature, spec: TensorSpec) -> str:
    return "images" if signature.inputs[0].dtype == "float32" and len(signature.inputs) == 1 else f"input {spec.name}"


def _checked(spec: TensorSpec, value: object, called: str) -> Array:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{called} must be a numpy array, got {type(value).__name__}")
    if value.dtype != spec.dtype:
        raise ValueError(
            f"{called} must be {spec.dtype}, got {value.dtype}: convert them with "
            f"{called.removeprefix('input ')}.astype({'bool' if spec.dtype == 'bool' else f'np.{spec.dtype}'})"
        )
    rest = spec.shape[1:] if spec.batched else spec.shape
    if value.ndim != len(spec.shape) or value.shape[value.ndim - len(rest) :] != rest:
        shape = ", ".join([*(["N"] if spec.batched else []), *map(str, rest)])
        raise ValueError(f"{called} must be of shape [{shape}], got {list(value.shape)}")
    if spec.batched and len(value) == 0:
        raise ValueError(f"{called} must hold at least one image, got an empty batch")
    return value


def count_of(signature: Signature, arrays: Sequence[Array]) -> int:
    """How many images a call is given."""
    return next((len(array) for spec, array in zip(signature.inputs, arrays, strict=True) if spec.batched), 1)


def rows_of(signature: Signature, arrays: Sequence[Batched], rows: slice | list[int]) -> tuple[Batched, ...]:
    """The same call for some of its images."""
    return tuple(array[rows] if s.batched else array for s, array in zip(signature.inputs, arrays, strict=True))


def slices(
    signature: Signature, arrays: Sequence[Array], orders: Sequence[Sequence[int]], *, dynamic: bool
) -> Iterator[tuple[list[Array], int]]:
    """The program's calls: arrays in its ``orders`` of memory, and the number of images in each call.

    A call is of at most the exported batch; of a fixed batch (not ``dynamic``) it is filled up with zeros.
    """
    size = signature.batch
    for start in range(0, count_of(signature, arrays), size):
        parts, count = [], size
        for spec, array, order in zip(signature.inputs, arrays, orders, strict=True):
            part = array[start : start + size] if spec.batched else array
            if spec.batched:
                count = len(part)
                if count < size and not dynamic:
                    part = np.concatenate([part, np.zeros((size - count, *part.shape[1:]), part.dtype)])
            parts.append(_contiguous(part.transpose(order)))
        yield parts, count


def joined(signature: Signature, results: Sequence[tuple[Sequence[Array], int]]) -> tuple[Array, ...]:
    """The outputs of all calls, each with its number of images. What is the same for all images is of the first."""
    outputs = []
    for i, spec in enumerate(signature.outputs):
        parts = [tensors[i][:count] if spec.batched else tensors[i] for tensors, count in results]
        output = np.concatenate(parts) if spec.batched and len(parts) > 1 else parts[0]
        output = np.ascontiguousarray(output) if output.ndim else output
        outputs.append(output.view(spec.dtype))  # the native int64 is another of C's types than numpy's
    return tuple(outputs)


def _contiguous(images: Array) -> Array:
    """`np.ascontiguousarray`, four times as fast where few planes become pixels: it copies plane by plane."""
    few_channels = 4
    if images.ndim != 4 or images.shape[3] > few_channels or images.flags.c_contiguous:
        return np.ascontiguousarray(images) if images.ndim else images
    result = np.empty(images.shape, images.dtype)
    for channel in range(images.shape[3]):
        result[..., channel] = images[..., channel]
    return result
