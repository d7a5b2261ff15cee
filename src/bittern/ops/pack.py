"""`bittern::pack`: float activations to packed bits, and `bittern::unpack`, its inverse.

pack:    bit(..., c) = x(..., c) < threshold(c)        threshold None: x < 0; NaN gives bit 0, which is +1
unpack:  y(..., c) = -1 if bit(..., c) else +1
"""

import torch
from torch import Tensor

from bittern.ops import layout
from bittern.ops._library import IMAGE_FORMAT, define, empty_image
from bittern.ops.epilogue import below


def _check_channel_dim(channel_dim: int, dim: int) -> None:
    if channel_dim not in (1, -1) or (channel_dim == 1 and dim != 4):
        raise ValueError(f"channel_dim must be 1 (4-D images) or -1 (rows), got {channel_dim} for {dim} dimensions")


def _pack(x: Tensor, threshold: Tensor | None, channel_dim: int) -> Tensor:
    _check_channel_dim(channel_dim, x.dim())
    return layout.pack_bits(below(x, threshold, channel_dim).movedim(channel_dim, -1)).contiguous()


def _pack_fake(x: Tensor, threshold: Tensor | None, channel_dim: int) -> Tensor:
    _check_channel_dim(channel_dim, x.dim())
    channels = x.shape[channel_dim]
    if x.dtype != torch.float32:
        raise ValueError(f"pack reads float32, got {x.dtype}")
    if threshold is not None and tuple(threshold.shape) != (channels,):
        raise ValueError(f"threshold must be [{channels}], one value per channel, got {list(threshold.shape)}")
    pixels = (x.shape[0], x.shape[2], x.shape[3]) if channel_dim == 1 else tuple(x.shape[:-1])
    return x.new_empty((*pixels, layout.words(channels)), dtype=torch.int32)


def _check_packed(x: Tensor, channels: int, channel_dim: int) -> None:
    _check_channel_dim(channel_dim, x.dim())
    if x.dtype != torch.int32 or x.shape[-1] != layout.words(channels):
        expected = f"int32 [..., {layout.words(channels)}]"
        raise ValueError(f"{channels} channels need {expected}, got {x.dtype} {list(x.shape)}")


def _unpack(x: Tensor, channels: int, channel_dim: int) -> Tensor:
    _check_packed(x, channels, channel_dim)
    signs = layout.signs_of(layout.unpack_bits(x, channels)).to(torch.float32).movedim(-1, channel_dim)
    if channel_dim == 1:
        return torch.empty_like(signs, memory_format=IMAGE_FORMAT).copy_(signs)
    return signs.contiguous()


def _unpack_fake(x: Tensor, channels: int, channel_dim: int) -> Tensor:
    _check_packed(x, channels, channel_dim)
    if channel_dim == 1:
        return empty_image(x, (x.shape[0], channels, x.shape[1], x.shape[2]))
    return x.new_empty((*x.shape[:-1], channels), dtype=torch.float32)


define("pack", "Tensor x, Tensor? threshold, int channel_dim", _pack, _pack_fake)
define("unpack", "Tensor x, int channels, int channel_dim", _unpack, _unpack_fake)
