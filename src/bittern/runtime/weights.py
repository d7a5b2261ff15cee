"""The binary weights of a loaded file: unpacked from the constants of its operators."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bittern.runtime.bits import SignArray, unpack_filters
from bittern.runtime.metadata import Operator

_MUL = 2
"""Place of the factor among the steps of the epilogue (`bittern.ops.epilogue`)."""


@dataclass(frozen=True, eq=False)
class BinaryWeights:
    """The binary weights of one packed layer.

    Args:
        signs: int8 of -1 and +1 in PyTorch's layout: ``[O, C/groups, kh, kw]`` of a convolution, ``[O, C]`` of a linear
            layer. One-dimensional layers are images of one row, so that kh is 1.
        scale: float32 ``[O]``, by which the file multiplies the dot products of signs: the magnitude of the filter's
            weights, times whatever factor followed and was folded into it, such as BatchNorm's. None: the layer writes
            bits by integer thresholds, and no factor is left.
    """

    signs: SignArray
    scale: npt.NDArray[np.float32] | None


def weights_of(operators: Sequence[Operator], inputs: Sequence[Sequence[Any]]) -> dict[str, BinaryWeights]:
    """The weights of all packed layers among ``operators``, by module path; ``inputs``: the arguments of each."""
    pairs = zip(operators, inputs, strict=True)
    return by_path((operator.path, binary_weights_of(operator, arguments)) for operator, arguments in pairs)


def by_path(found: Iterable[tuple[str, BinaryWeights | None]]) -> dict[str, BinaryWeights]:
    """One entry for each module; "path#0", "path#1" ... where it has several layers that differ."""
    parts: dict[str, list[BinaryWeights]] = defaultdict(list)
    for path, weights in found:
        if weights is not None and not any(_same(weights, other) for other in parts[path]):
            parts[path].append(weights)
    result: dict[str, BinaryWeights] = {}
    for path, layers in parts.items():
        result |= {path if len(layers) == 1 else f"{path}#{i}": weights for i, weights in enumerate(layers)}
    return result


def binary_weights_of(operator: Operator, inputs: Sequence[Any]) -> BinaryWeights | None:
    """None for an operator without weights."""
    name, threshold = operator.op.removesuffix("_threshold"), operator.op.endswith("_threshold")
    kind = name.removesuffix("_float_packed").removesuffix("_packed").removesuffix("_weight_only")
    if kind not in ("conv2d", "linear"):
        return None
    packed, channels, filters = inputs[1], inputs[2], inputs[3]
    kernel, groups, steps = (1, 1), 1, 4
    if kind == "conv2d":
        (height, width), groups, steps = inputs[4], inputs[8], 10
        kernel = (height, width)
    signs = unpack_filters(packed, filters, channels, kernel, groups)
    signs[flags(operator.flipped, filters)] *= -1
    scale = None if threshold else inputs[steps + _MUL]
    if scale is None and not threshold:
        scale = np.ones(filters, np.float32)
    return BinaryWeights(signs if kind == "conv2d" else signs.reshape(filters, channels), scale)


def flags(text: str, count: int) -> npt.NDArray[np.bool_]:
    """``[count]``: flag o is bit o of a number in hexadecimal."""
    number = int(text or "0", 16)
    return np.array([bool(number >> o & 1) for o in range(count)], dtype=np.bool_)


def _same(a: BinaryWeights, b: BinaryWeights) -> bool:
    if a.signs.shape != b.signs.shape or (a.scale is None) != (b.scale is None):
        return False
    return np.array_equal(a.signs, b.signs) and (a.scale is None or np.array_equal(a.scale, b.scale))  # type: ignore[arg-type]
