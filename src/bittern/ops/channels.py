"""Channels of packed activations without unpacking them: `bittern::cat`, `bittern::slice`, `bittern::negate`.

cat:     y(..., :) = the words of a, then the words of b            a holds a multiple of 32 channels
slice:   y(..., :) = x(..., first : first + words)                  whole words
negate:  y(..., c) = -x(..., c) where bit c of `mask` is set        a bitwise XOR
"""

import torch
from torch import Tensor

from bittern.ops._library import define


def _check(**tensors: Tensor) -> None:
    for name, x in tensors.items():
        if x.dtype != torch.int32 or x.dim() < 1:
            raise ValueError(f"{name} must be packed, int32 [..., words], got {x.dtype} {list(x.shape)}")


def _check_cat(a: Tensor, b: Tensor) -> None:
    _check(a=a, b=b)
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError(f"a and b must agree in all axes but the last, got {list(a.shape)} and {list(b.shape)}")


def _cat(a: Tensor, b: Tensor) -> Tensor:
    _check_cat(a, b)
    return torch.cat([a, b], -1)


def _cat_fake(a: Tensor, b: Tensor) -> Tensor:
    _check_cat(a, b)
    return a.new_empty((*a.shape[:-1], a.shape[-1] + b.shape[-1]))


def _check_slice(x: Tensor, first: int, words: int) -> None:
    _check(x=x)
    if first < 0 or words < 1 or first + words > x.shape[-1]:
        raise ValueError(f"words {first} to {first + words} are not all in the {x.shape[-1]} words of x")


def _slice(x: Tensor, first: int, words: int) -> Tensor:
    _check_slice(x, first, words)
    return x[..., first : first + words].clone(memory_format=torch.contiguous_format)


def _slice_fake(x: Tensor, first: int, words: int) -> Tensor:
    _check_slice(x, first, words)
    return x.new_empty((*x.shape[:-1], words))


def _check_negate(x: Tensor, mask: Tensor) -> None:
    _check(x=x, mask=mask)
    if tuple(mask.shape) != (x.shape[-1],):
        raise ValueError(f"mask must be [{x.shape[-1]}], as many words as a pixel of x, got {list(mask.shape)}")


def _negate(x: Tensor, mask: Tensor) -> Tensor:
    _check_negate(x, mask)
    return torch.bitwise_xor(x, mask)


def _negate_fake(x: Tensor, mask: Tensor) -> Tensor:
    _check_negate(x, mask)
    return torch.empty_like(x)


define("cat", "Tensor a, Tensor b", _cat, _cat_fake)
define("slice", "Tensor x, int first, int words", _slice, _slice_fake)
define("negate", "Tensor x, Tensor mask", _negate, _negate_fake)
