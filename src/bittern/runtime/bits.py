"""Packed bits as signs, with numpy alone: the inverse of the layouts in `bittern.ops.layout`."""

import numpy as np
import numpy.typing as npt

from bittern.runtime.errors import ModelFileError

SignArray = npt.NDArray[np.int8]

WORD_BITS = 32
FILTER_BLOCK = 16


def unpack_signs(words: npt.NDArray[np.generic], channels: int) -> SignArray:
    """int32 ``[..., ceil(channels / 32)]`` to int8 ``[..., channels]``, -1 where the bit is set, else +1."""
    octets = np.ascontiguousarray(words).astype("<i4", copy=False).view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, bitorder="little")
    return (1 - 2 * bits[..., :channels].astype(np.int8)).astype(np.int8)


def unpack_filters(
    packed: npt.NDArray[np.generic], filters: int, channels: int, kernel: tuple[int, int], groups: int
) -> SignArray:
    """Weights int32 ``[blocks, K, 16]`` to int8 ``[filters, channels / groups, kh, kw]``.

    Raises:
        ModelFileError: ``packed`` has another shape than such a layer's.
    """
    taps, group_channels, group_filters = kernel[0] * kernel[1], channels // groups, filters // groups
    set_groups = max(1, FILTER_BLOCK // group_filters)
    sets = -(-groups // set_groups)
    set_blocks = -(-set_groups * group_filters // FILTER_BLOCK)
    blocks, depth, lanes = packed.shape
    if (blocks, depth % taps, lanes) != (sets * set_blocks, 0, FILTER_BLOCK):
        raise ModelFileError(f"packed weights of shape {list(packed.shape)} are not those of {filters} filters")
    tap_words = depth // taps
    rows = packed.transpose(0, 2, 1).reshape(sets, set_blocks * FILTER_BLOCK, taps, tap_words)
    rows = rows[:, : set_groups * group_filters].reshape(-1, taps, tap_words)[:filters]
    signs = unpack_signs(rows, tap_words * WORD_BITS)
    # Channels stand where they stand in the words of the input that the filter's set of groups reads.
    group = np.arange(filters) // group_filters
    words = -(-channels // WORD_BITS)
    first = np.minimum(group // set_groups * set_groups * group_channels // WORD_BITS, words - tap_words)
    places = (group * group_channels - WORD_BITS * first)[:, np.newaxis] + np.arange(group_channels)
    picked = np.take_along_axis(signs, np.broadcast_to(places[:, np.newaxis], (filters, taps, group_channels)), 2)
    return np.ascontiguousarray(picked.transpose(0, 2, 1)).reshape(filters, group_channels, *kernel)
