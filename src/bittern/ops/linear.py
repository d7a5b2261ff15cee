"""`bittern::linear` and its output forms: rows of packed bits times packed weights, and the epilogue.

    dot(..., o) = sum over i of a(..., i) * w(o, i)                       a, w in {-1, +1}

| operator | returns |
|---|---|
| linear | float32 [..., O] |
| linear_packed | int32 [..., ceil(O/32)], bit = v < threshold |
| linear_float_packed | both |
| linear_threshold | int32 [..., ceil(O/32)], bit = dot < threshold with int32 [O]: no float arithmetic |
"""

from typing import Any

import torch
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._library import define
from bittern.ops.conv2d import check_threshold
from bittern.ops.epilogue import Epilogue, below

_EPILOGUE_ARGUMENTS = len(epilogue.FIELDS)


def split_arguments(args: tuple[Any, ...]) -> tuple[Epilogue, Tensor | None]:
    """Operator arguments behind the features to epilogue and the packed output's threshold."""
    threshold = args[_EPILOGUE_ARGUMENTS] if len(args) > _EPILOGUE_ARGUMENTS else None
    return Epilogue(*args[:_EPILOGUE_ARGUMENTS]), threshold


def _check(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> tuple[int, ...]:
    """Raises ValueError if the operands do not fit; returns the float output's shape ``[..., O]``."""
    check_weight(weight, in_features, out_features)
    row = layout.words(in_features)
    if x.dtype != torch.int32 or x.dim() < 1 or x.shape[-1] != row:
        raise ValueError(f"x must be int32 [..., {row}] for {in_features} features, got {x.dtype} {list(x.shape)}")
    return (*x.shape[:-1], out_features)


def check_weight(weight: Tensor, in_features: int, out_features: int) -> None:
    """Raises ValueError if the numbers are out of range or the packed weights do not fit them."""
    if in_features < 1 or out_features < 1 or in_features > epilogue.MAX_DOT:
        raise ValueError(f"features must be in [1, {epilogue.MAX_DOT}], got {in_features} in and {out_features} out")
    expected = layout.WeightLayout(out_features, in_features, 1, 1).shape
    if weight.dtype != torch.int32 or tuple(weight.shape) != expected:
        raise ValueError(f"weight must be int32 {list(expected)}, got {weight.dtype} {list(weight.shape)}")


def dot(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> Tensor:
    """The integer dot products, exact, as floats ``[..., O]``."""
    _check(x, weight, in_features, out_features)
    signs = layout.signs_of(layout.unpack_bits(x, in_features))
    filters = layout.unpack_weight(weight, out_features, in_features, (1, 1), 1).flatten(1)
    return (signs @ filters.T).round_()


def _value(x: Tensor, weight: Tensor, in_features: int, out_features: int, finish: Epilogue) -> Tensor:
    finish.check(out_features, _check(x, weight, in_features, out_features))
    return finish(dot(x, weight, in_features, out_features), channel_dim=-1)


def packed(v: Tensor, threshold: Tensor | None) -> Tensor:
    """Bits ``v < threshold`` of rows ``[..., O]`` as int32 ``[..., ceil(O/32)]``."""
    return layout.pack_bits(below(v, threshold, -1))


def _linear(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> Tensor:
    return _value(x, weight, in_features, out_features, split_arguments(args)[0])


def _linear_packed(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> Tensor:
    finish, threshold = split_arguments(args)
    return packed(_value(x, weight, in_features, out_features, finish), threshold)


def _linear_float_packed(
    x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any
) -> tuple[Tensor, Tensor]:
    finish, threshold = split_arguments(args)
    v = _value(x, weight, in_features, out_features, finish)
    return v, packed(v, threshold)


def _linear_threshold(x: Tensor, weight: Tensor, in_features: int, out_features: int, threshold: Tensor) -> Tensor:
    return packed(dot(x, weight, in_features, out_features), threshold)


def _float_fake(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> Tensor:
    finish, threshold = split_arguments(args)
    shape = _check(x, weight, in_features, out_features)
    finish.check(out_features, shape)
    check_threshold(threshold, out_features, torch.float32)
    return x.new_empty(shape, dtype=torch.float32)


def _packed_fake(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> Tensor:
    shape = _float_fake(x, weight, in_features, out_features, *args).shape
    return x.new_empty((*shape[:-1], layout.words(out_features)))


def _float_packed_fake(
    x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any
) -> tuple[Tensor, Tensor]:
    return (
        _float_fake(x, weight, in_features, out_features, *args),
        _packed_fake(x, weight, in_features, out_features, *args),
    )


def _threshold_fake(x: Tensor, weight: Tensor, in_features: int, out_features: int, threshold: Tensor) -> Tensor:
    check_threshold(threshold, out_features, torch.int32)
    return _packed_fake(x, weight, in_features, out_features)


_ARGUMENTS = "Tensor x, Tensor weight, int in_features, int out_features"
define("linear", f"{_ARGUMENTS}, {epilogue.SCHEMA}", _linear, _float_fake)
define("linear_packed", f"{_ARGUMENTS}, {epilogue.SCHEMA}, Tensor? threshold=None", _linear_packed, _packed_fake)
define(
    "linear_float_packed",
    f"{_ARGUMENTS}, {epilogue.SCHEMA}, Tensor? threshold=None",
    _linear_float_packed,
    _float_packed_fake,
    outputs=2,
)
define("linear_threshold", f"{_ARGUMENTS}, Tensor threshold", _linear_threshold, _threshold_fake)
