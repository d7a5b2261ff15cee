"""`bittern::linear`: rows of packed bits times packed weights, and the epilogue.

    dot(..., o) = sum over i of a(..., i) * w(o, i)                       a, w in {-1, +1}

Floats are ``[..., O]``, bits ``[..., ceil(O/32)]``. The output forms are those of `bittern.ops._layer_forms`.
"""

import torch
from torch import Tensor

from bittern.ops import epilogue, layout
from bittern.ops._layer_forms import define_layer

FEATURES = "int in_features, int out_features"


def check(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> tuple[int, ...]:
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
    signs = layout.signs_of(layout.unpack_bits(x, in_features))
    filters = layout.unpack_weight(weight, out_features, in_features, (1, 1), 1).flatten(1)
    return (signs @ filters.T).round_()


define_layer("linear", FEATURES, dot, check, channel_dim=-1, integers=True)
