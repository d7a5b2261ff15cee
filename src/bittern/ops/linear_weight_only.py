"""`bittern::linear_weight_only` and its output forms: rows of real values times packed weights, and the epilogue.

    v = 0;  for features i in order:  v = v + x(..., i) * w(o, i)                w in {-1, +1}, in float32

| operator | returns |
|---|---|
| linear_weight_only | float32 [..., O] |
| linear_weight_only_packed | int32 [..., ceil(O/32)], bit = v < threshold |
| linear_weight_only_float_packed | both |
"""

from typing import Any

import torch
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._library import define
from bittern.ops.conv2d import check_threshold
from bittern.ops.linear import check_weight, packed, split_arguments


def _check(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> tuple[int, ...]:
    """Raises ValueError if the operands do not fit; returns the float output's shape ``[..., O]``."""
    check_weight(weight, in_features, out_features)
    if x.dtype != torch.float32 or x.dim() < 1 or x.shape[-1] != in_features:
        raise ValueError(f"x must be float32 [..., {in_features}], got {x.dtype} {list(x.shape)}")
    return (*x.shape[:-1], out_features)


def sums(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> Tensor:
    """The sums of products, one after the other, float32 ``[..., O]``."""
    total = x.new_zeros(_check(x, weight, in_features, out_features))
    signs = layout.unpack_weight(weight, out_features, in_features, (1, 1), 1).flatten(1)
    columns = signs.T.to(x.dtype).contiguous()
    for i in range(in_features):
        total += x[..., i : i + 1] * columns[i]
    return total


def _value(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> tuple[Tensor, Tensor | None]:
    finish, threshold = split_arguments(args)
    finish.check(out_features, _check(x, weight, in_features, out_features))
    return finish(sums(x, weight, in_features, out_features), channel_dim=-1), threshold


def _linear(*args: Any) -> Tensor:
    return _value(*args)[0]


def _linear_packed(*args: Any) -> Tensor:
    return packed(*_value(*args))


def _linear_float_packed(*args: Any) -> tuple[Tensor, Tensor]:
    v, threshold = _value(*args)
    return v, packed(v, threshold)


def _float_fake(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> Tensor:
    finish, threshold = split_arguments(args)
    shape = _check(x, weight, in_features, out_features)
    finish.check(out_features, shape)
    check_threshold(threshold, out_features, torch.float32)
    return x.new_empty(shape)


def _packed_fake(x: Tensor, weight: Tensor, in_features: int, out_features: int, *args: Any) -> Tensor:
    shape = _float_fake(x, weight, in_features, out_features, *args).shape
    return x.new_empty((*shape[:-1], layout.words(out_features)), dtype=torch.int32)


def _float_packed_fake(*args: Any) -> tuple[Tensor, Tensor]:
    return _float_fake(*args), _packed_fake(*args)


_ARGUMENTS = f"Tensor x, Tensor weight, int in_features, int out_features, {epilogue.SCHEMA}"
_WITH_THRESHOLD = f"{_ARGUMENTS}, Tensor? threshold=None"
define("linear_weight_only", _ARGUMENTS, _linear, _float_fake)
define("linear_weight_only_packed", _WITH_THRESHOLD, _linear_packed, _packed_fake)
define("linear_weight_only_float_packed", _WITH_THRESHOLD, _linear_float_packed, _float_packed_fake, outputs=2)
