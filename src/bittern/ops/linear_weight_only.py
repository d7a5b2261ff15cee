"""`bittern::linear_weight_only`: rows of real values times packed weights, and the epilogue.

    v = 0;  for features i in order:  v = v + x(..., i) * w(o, i)                w in {-1, +1}, in float32

Floats are ``[..., O]``, bits ``[..., ceil(O/32)]``. The output forms are those of `bittern.ops._layer_forms`.
"""

import torch
from torch import Tensor

from bittern.ops import layout
from bittern.ops._layer_forms import define_layer
from bittern.ops.linear import FEATURES, check_weight


def check(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> tuple[int, ...]:
    """Raises ValueError if the operands do not fit; returns the float output's shape ``[..., O]``."""
    check_weight(weight, in_features, out_features)
    if x.dtype != torch.float32 or x.dim() < 1 or x.shape[-1] != in_features:
        raise ValueError(f"x must be float32 [..., {in_features}], got {x.dtype} {list(x.shape)}")
    return (*x.shape[:-1], out_features)


def sums(x: Tensor, weight: Tensor, in_features: int, out_features: int) -> Tensor:
    """The sums of products, one after the other, float32 ``[..., O]``."""
    total = x.new_zeros((*x.shape[:-1], out_features))
    signs = layout.unpack_weight(weight, out_features, in_features, (1, 1), 1).flatten(1)
    columns = signs.T.to(x.dtype).contiguous()
    for i in range(in_features):
        total += x[..., i : i + 1] * columns[i]
    return total


define_layer("linear_weight_only", FEATURES, sums, check, channel_dim=-1, integers=False)
