"""From the arguments of ``engine(...)`` to the arrays of the program's calls, and back from their results."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from bittern.runtime.signature import DTYPES, Signature, TensorSpec

Array = npt.NDArray[Any]
_NUMPY = {dtype: np.dtype(dtype) for dtype in DTYPES}
Batched = TypeVar("Batched", bound=Any)
"""An array, or a tensor of another library."""


def bind(signature: Signature, given: Sequence[object], named: Mapping[str, object]) -> tuple[Array, ...]:
    """The arrays of a call, in the order of the inputs, checked.

    Raises:
        TypeError: too many, missing or unknown inputs, or no numpy array.
        ValueError: another dtype or shape, an empty batch, or batches of different sizes.
    """
    specs = signature.inputs
    if named or len(given) != len(specs):
        given = _in_order([spec.name for spec in specs], given, named)
    for spec, value in zip(specs, given, strict=True):
        if not _fits(spec, value):
            raise _misfit(spec, value, _called(signature, spec))
    arrays = cast("tuple[Array, ...]", tuple(given))
    if len(specs) > 1:
        counts = {spec.name: len(array) for spec, array in zip(specs, arrays, strict=True) if spec.batched}
        if len(set(counts.values())) > 1:
            raise ValueError(
                "all inputs of a call must hold the same number of images, got "
                + ", ".join(f"{count} in {name}" for name, count in counts.items())
            )
    return arrays


def _in_order(names: Sequence[str], given: Sequence[object], named: Mapping[str, object]) -> list[object]:
    """The arguments in the order of the inputs."""
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
    return [arguments[name] for name in names]


def _called(signature: Signature, spec: TensorSpec) -> str:
    return "images" if signature.inputs[0].dtype == "float32" and len(signature.inputs) == 1 else f"input {spec.name}"


def _fits(spec: TensorSpec, value: object) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype != _NUMPY[spec.dtype]:
        return False
    if not spec.batched:
        return bool(value.shape == spec.shape)
    return bool(value.ndim == len(spec.shape) and value.shape[1:] == spec.shape[1:] and len(value) > 0)


def _misfit(spec: TensorSpec, value: object, called: str) -> Exception:
    """What is wrong with an argument that does not fit."""
    if not isinstance(value, np.ndarray):
        return TypeError(f"{called} must be a numpy array, got {type(value).__name__}")
    if value.dtype != spec.dtype:
        to = "bool" if spec.dtype == "bool" else f"np.{spec.dtype}"
        return ValueError(
            f"{called} must be {spec.dtype}, got {value.dtype}: convert them with "
            f"{called.removeprefix('input ')}.astype({to})"
        )
    rest = spec.shape[1:] if spec.batched else spec.shape
    if value.ndim == len(spec.shape) and value.shape[value.ndim - len(rest) :] == rest:
        return ValueError(f"{called} must hold at least one image, got an empty batch")
    shape = ", ".join([*(["N"] if spec.batched else []), *map(str, rest)])
    return ValueError(f"{called} must be of shape [{shape}], got {list(value.shape)}")


def count_of(signature: Signature, arrays: Sequence[Array]) -> int:
    """How many images a call is given."""
    for spec, array in zip(signature.inputs, arrays, strict=True):
        if spec.batched:
            return len(array)
    return 1


def rows_of(signature: Signature, arrays: Sequence[Batched], rows: slice | list[int]) -> tuple[Batched, ...]:
    """The same call for some of its images."""
    return tuple(array[rows] if s.batched else array for s, array in zip(signature.inputs, arrays, strict=True))


def zeros(signature: Signature) -> tuple[Array, ...]:
    """A call of one image of zeros."""
    shapes = ((1, *spec.shape[1:]) if spec.batched else spec.shape for spec in signature.inputs)
    return tuple(np.zeros(shape, spec.dtype) for shape, spec in zip(shapes, signature.inputs, strict=True))


def slices(
    signature: Signature, arrays: Sequence[Array], orders: Sequence[Sequence[int]], *, dynamic: bool
) -> Iterator[tuple[list[Array], int]]:
    """The program's calls: arrays in its ``orders`` of memory, and the number of images in each call.

    A call is of at most the exported batch; of a fixed batch (not ``dynamic``) it is filled up with zeros.
    """
    size, total = signature.batch, count_of(signature, arrays)
    if total == size:
        yield [_contiguous(array.transpose(order)) for array, order in zip(arrays, orders, strict=True)], size
        return
    for start in range(0, total, size):
        count = min(size, total - start)
        parts = []
        for spec, array, order in zip(signature.inputs, arrays, orders, strict=True):
            part = array
            if spec.batched:
                part = array[start : start + size]
                if count < size and not dynamic:
                    part = np.concatenate([part, np.zeros((size - count, *part.shape[1:]), part.dtype)])
            parts.append(_contiguous(part.transpose(order)))
        yield parts, count


def joined(signature: Signature, results: Sequence[tuple[Sequence[Array], int]]) -> tuple[Array, ...]:
    """The outputs of all calls, each with its number of images. What is the same for all images is of the first."""
    outputs = []
    for i, spec in enumerate(signature.outputs):
        if spec.batched:
            parts = [tensors[i] if len(tensors[i]) == count else tensors[i][:count] for tensors, count in results]
            output = parts[0] if len(parts) == 1 else np.concatenate(parts)
        else:
            output = results[0][0][i]
        if not output.flags.c_contiguous:
            output = np.ascontiguousarray(output)
        if output.dtype is not _NUMPY[spec.dtype]:
            output = output.view(spec.dtype)  # the native int64 is another of C's types than numpy's
        outputs.append(output)
    return tuple(outputs)


def _contiguous(images: Array) -> Array:
    """`np.ascontiguousarray`, four times as fast where few planes become pixels: it copies plane by plane."""
    few_channels = 4
    if images.ndim != 4 or images.shape[3] > few_channels or images.flags.c_contiguous:
        return images if images.flags.c_contiguous else np.ascontiguousarray(images)
    result = np.empty(images.shape, images.dtype)
    for channel in range(images.shape[3]):
        result[..., channel] = images[..., channel]
    return result
