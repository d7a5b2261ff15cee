"""The packed layouts of activations and weights. Bit 1 means -1; unused bits are 0.

The words are int32 because PyTorch and ExecuTorch have no unsigned 32-bit arithmetic in common; only their bits count.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

WORD_BITS = 32
FILTER_BLOCK = 16
"""Output channels that are stored side by side in packed weights: one word of each fills a 512-bit register."""


def words(channels: int) -> int:
    """Number of 32-bit words that hold ``channels`` bits."""
    return -(-channels // WORD_BITS)


@dataclass(frozen=True)
class WeightLayout:
    """Where the filters of a convolution lie in its packed weights ``[blocks, K, 16]``.

    Filters are stored in blocks of 16. A block belongs to a set of groups: one group, or, where groups have fewer than
    16 filters, as many adjacent groups as fit, so that a depthwise layer fills its blocks too. At each tap a block
    reads the ``tap_words`` words of the packed input that hold the channels of its set; a filter's bits stand where its
    channels stand in these words, and all other bits are 0 and do not count.
    """

    out_channels: int
    group_channels: int
    taps: int
    groups: int

    @property
    def group_filters(self) -> int:
        return self.out_channels // self.groups

    @property
    def set_groups(self) -> int:
        return max(1, FILTER_BLOCK // self.group_filters)

    @property
    def sets(self) -> int:
        return -(-self.groups // self.set_groups)

    @property
    def set_blocks(self) -> int:
        return -(-self.set_groups * self.group_filters // FILTER_BLOCK)

    @property
    def tap_words(self) -> int:
        channels = self.set_groups * self.group_channels
        count = min(self.sets, WORD_BITS)  # the offset in a word repeats after so many sets
        widest = max(words(i * channels % WORD_BITS + channels) for i in range(count))
        return min(widest, words(self.groups * self.group_channels))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the packed weights."""
        return self.sets * self.set_blocks, self.taps * self.tap_words, FILTER_BLOCK

    def first_words(self) -> Tensor:
        """``[sets]``: the first word of the packed input that each set reads."""
        first = torch.arange(self.sets) * (self.set_groups * self.group_channels) // WORD_BITS
        return first.clamp(max=words(self.groups * self.group_channels) - self.tap_words)

    def positions(self) -> Tensor:
        """``[O, C/groups]``: the bit of each channel of a filter among its set's ``tap_words`` words."""
        group = torch.arange(self.out_channels) // self.group_filters
        first = WORD_BITS * self.first_words()[group // self.set_groups]
        return (group * self.group_channels - first).unsqueeze(1) + torch.arange(self.group_channels)


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
    """A copy whose last stride is 1, as a view of another element size needs: `contiguous` keeps any stride of an axis
    of one element."""
    return x.clone(memory_format=torch.contiguous_format)


def pack_weight(signs: Tensor, groups: int = 1) -> Tensor:
    """Packs filters for the kernels, which read one word of 16 filters at a time.

    Args:
        signs: float ``[O, C/groups, kh, kw]`` (convolution) or ``[O, C]`` (linear); negative values are -1.

    Returns:
        int32 ``[blocks, K, 16]`` as in :class:`WeightLayout`, with K = kh * kw * tap_words in (h, w, word) order; for
        one group ``[ceil(O/16), kh * kw * ceil(C/32), 16]``. Filters that fill up a block are 0.
    """
    taps = signs.flatten(2).movedim(1, -1) if signs.dim() > 2 else signs.unsqueeze(1)  # [O, kh*kw, C/groups]
    place = WeightLayout(taps.shape[0], taps.shape[2], taps.shape[1], groups)
    bits = taps.new_zeros(*taps.shape[:2], place.tap_words * WORD_BITS, dtype=torch.bool)
    positions = place.positions().to(signs.device).unsqueeze(1).expand(taps.shape)
    packed = pack_bits(bits.scatter_(2, positions, taps < 0)).flatten(1)  # [O, K]
    per_set = place.set_groups * place.group_filters
    packed = F.pad(packed, (0, 0, 0, place.sets * per_set - place.out_channels)).unflatten(0, (place.sets, per_set))
    packed = F.pad(packed, (0, 0, 0, place.set_blocks * FILTER_BLOCK - per_set))
    blocked: Tensor = packed.unflatten(1, (place.set_blocks, FILTER_BLOCK))
    return blocked.flatten(0, 1).transpose(1, 2).contiguous()


def unpack_weight(
    packed: Tensor, out_channels: int, group_channels: int, kernel_size: tuple[int, int], groups: int
) -> Tensor:
    """Inverse of :func:`pack_weight`: int32 blocks to signs ``[O, C/groups, kh, kw]``."""
    height, width = kernel_size
    place = WeightLayout(out_channels, group_channels, height * width, groups)
    filters = packed.transpose(1, 2).unflatten(0, (place.sets, place.set_blocks)).flatten(1, 2)
    filters = filters[:, : place.set_groups * place.group_filters].flatten(0, 1)[:out_channels]
    bits = unpack_bits(filters.unflatten(1, (place.taps, place.tap_words)), place.tap_words * WORD_BITS)
    positions = place.positions().to(packed.device).unsqueeze(1).expand(-1, place.taps, -1)
    signs: Tensor = signs_of(bits.gather(2, positions)).movedim(-1, 1).unflatten(-1, (height, width))
    return signs


def signs_of(bits: Tensor) -> Tensor:
    """Booleans to signs, true to -1 and false to +1, in a float type in which PyTorch multiplies and adds them exactly.

    On the CPU float32, whose sums of up to 2^24 signs are exact in any order; elsewhere float64, because libraries for
    other devices may compute float32 with fractions (Winograd) or fewer bits (TF32).
    """
    return 1.0 - 2.0 * bits.to(torch.float32 if bits.device.type == "cpu" else torch.float64)
