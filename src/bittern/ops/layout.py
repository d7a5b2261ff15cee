"""The packed layouts of activations and weights. Bit 1 means -1; unused bits are 0.

The words are int32 because PyTorch and ExecuTorch have no unsigned 32-bit arithmetic in common; only their bits count.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WORD_BITS = 32
FILTER_BLOCK = 16
"""Output channels that are stored side by side in packed weights: one word of each fills a 512-bit register."""


def words(channels: int) -> int:
    """Number of 32-bit words that hold ``channels`` bits."""
    return -(-channels // WORD_BITS)


def filter_blocks(out_channels: int, groups: int = 1) -> int:
    """Number of blocks of 16 filters; a block never spans two groups."""
    return groups * math.ceil(out_channels // groups / FILTER_BLOCK)


def pack_bits(bits: Tensor) -> Tensor:
    """Packs booleans ``[..., C]`` (true = -1) to int32 ``[..., ceil(C/32)]``: channel c in bit c % 32, word c // 32."""
    channels = bits.shape[-1]
    padded = F.pad(bits.to(torch.uint8), (0, words(channels) * WORD_BITS - channels))
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    octets: Tensor = padded.unflatten(-1, (-1, 8)) << shifts
    # Four bytes are one word, the lowest first: little-endian, as the kernels are.
    return _dense(octets.sum(-1, dtype=torch.uint8)).view(torch.int32)


def unpack_bits(packed: Tensor, channels: int) -> Tensor:
    """Inverse of :func:`pack_bits`: int32 ``[..., ceil(C/32)]`` to booleans ``[..., C]``."""
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    octets = _dense(packed).view(torch.uint8).unsqueeze(-1) >> shifts
    return (octets & 1).bool().flatten(-2)[..., :channels]


def _dense(x: Tensor) -> Tensor:
    """A copy whose last stride is 1, which a view of another element size needs. `contiguous` keeps the stride of an
    axis of one element."""
    return x.clone(memory_format=torch.contiguous_format)


def pack_weight(signs: Tensor, groups: int = 1) -> Tensor:
    """Packs filters for the kernels, which read one word of 16 filters at a time.

    Args:
        signs: float ``[O, C/groups, kh, kw]`` (convolution) or ``[O, C]`` (linear); negative values are -1.

    Returns:
        int32 ``[groups * ceil(O/groups/16), K, 16]`` with K = kh * kw * ceil(C/groups/32) words in (h, w, word) order.
        Filters that fill up the last block of a group are 0.
    """
    out_channels = signs.shape[0]
    per_group = out_channels // groups
    taps = signs.flatten(2).movedim(1, -1) if signs.dim() > 2 else signs.unsqueeze(1)  # [O, kh*kw, C]
    packed = pack_bits(taps < 0).flatten(1).unflatten(0, (groups, per_group))  # [groups, O/groups, K]
    blocks = filter_blocks(out_channels, groups) // groups
    packed = F.pad(packed, (0, 0, 0, blocks * FILTER_BLOCK - per_group))
    blocked: Tensor = packed.unflatten(1, (blocks, FILTER_BLOCK))
    return blocked.flatten(0, 1).transpose(1, 2).contiguous()


def unpack_weight(
    packed: Tensor, out_channels: int, group_channels: int, kernel_size: tuple[int, int], groups: int
) -> Tensor:
    """Inverse of :func:`pack_weight`: int32 blocks to signs ``[O, C/groups, kh, kw]``."""
    height, width = kernel_size
    filters = packed.transpose(1, 2).unflatten(0, (groups, -1)).flatten(1, 2)[:, : out_channels // groups].flatten(0, 1)
    bits = unpack_bits(filters.unflatten(-1, (height * width, words(group_channels))), group_channels)
    signs: Tensor = signs_of(bits).movedim(-1, 1).unflatten(-1, (height, width))
    return signs


def signs_of(bits: Tensor) -> Tensor:
    """Booleans to signs, true to -1 and false to +1, of a float type in which PyTorch multiplies and adds them exactly.

    On the CPU float32, whose sums of up to 2^24 signs are exact in any order; elsewhere float64, as libraries of other
    devices may choose algorithms with fractions (Winograd) or fewer bits (TF32) for float32.
    """
    return 1.0 - 2.0 * bits.to(torch.float32 if bits.device.type == "cpu" else torch.float64)
