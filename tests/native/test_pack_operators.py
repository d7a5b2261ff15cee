"""pack, unpack and binarize equal the equations for every instruction set, size and layout."""

import numpy as np
import pytest
from numpy.typing import NDArray

from native.reference import pack, random_signs, unpack, words
from native.sanitized import Native, fresh

SIZES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96)
SPECIAL = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45], np.float32)


def floats(*shape: int) -> NDArray[np.float32]:
    """Normal numbers among which every special value stands."""
    x = np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
    x.reshape(-1)[::3] = np.resize(SPECIAL, -(-x.size // 3))
    return x


def binarized(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(x < 0, np.float32(-1), np.float32(1))


@pytest.mark.parametrize("channels", SIZES)
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("with_threshold", [True, False])
def test_pack_of_maps(native: Native, channels: int, channels_last: bool, with_threshold: bool) -> None:
    x = floats(2, 5, 7, channels)  # [N, H, W, C]
    threshold = floats(channels) if with_threshold else None
    nchw = x.transpose(0, 3, 1, 2)
    operand = nchw if channels_last else np.ascontiguousarray(nchw)
    (packed,) = native.operator("pack", [operand, threshold, 1], [fresh((2, 5, 7, words(channels)), np.int32)])
    np.testing.assert_array_equal(packed, pack(x < (0 if threshold is None else threshold)))


@pytest.mark.parametrize("pixels", [1, 2, 15, 16, 17, 33])
def test_pack_of_planes_of_any_size(native: Native, pixels: int) -> None:
    x = floats(3, pixels, 1, 35)
    operand = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    (packed,) = native.operator("pack", [operand, None, 1], [fresh((3, pixels, 1, 2), np.int32)])
    np.testing.assert_array_equal(packed, pack(x < 0))


@pytest.mark.parametrize("rows", [(), (1,), (4,), (2, 3, 2)])
@pytest.mark.parametrize("channels", [1, 31, 33, 64])
def test_pack_of_rows(native: Native, rows: tuple[int, ...], channels: int) -> None:
    x, threshold = floats(*rows, channels), floats(channels)
    output = fresh((*rows, words(channels)), np.int32)
    (packed,) = native.operator("pack", [x, threshold, -1], [output])
    np.testing.assert_array_equal(packed, pack(x < threshold))


@pytest.mark.parametrize("channels", SIZES)
def test_unpack_inverts_pack(native: Native, channels: int) -> None:
    signs = random_signs(np.random.default_rng(0), 2, 3, 5, channels)
    packed = pack(signs < 0)
    (rows,) = native.operator("unpack", [packed, channels, -1], [fresh(signs.shape, np.float32)])
    np.testing.assert_array_equal(rows, signs)
    output = fresh((2, channels, 3, 5), np.float32, channels_last=True)
    (nchw,) = native.operator("unpack", [packed, channels, 1], [output])
    np.testing.assert_array_equal(nchw, signs.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(unpack(packed, channels), signs)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("channels_last", [True, False])
def test_binarize_keeps_the_layout(native: Native, size: int, channels_last: bool) -> None:
    x = floats(1, 2, 3, size).transpose(0, 3, 1, 2)
    x = x if channels_last else np.ascontiguousarray(x)
    (y,) = native.operator("binarize", [x], [fresh(x.shape, np.float32, channels_last=channels_last)])
    np.testing.assert_array_equal(y, binarized(x))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(native: Native, threads: int) -> None:
    x = floats(2, 41, 43, 70)
    operand, output = x.transpose(0, 3, 1, 2), fresh((2, 41, 43, 3), np.int32)
    (packed,) = native.operator("pack", [operand, None, 1], [output], threads=threads)
    np.testing.assert_array_equal(packed, pack(x < 0))
    (signs,) = native.operator("unpack", [packed, 70, -1], [fresh(x.shape, np.float32)], threads=threads)
    np.testing.assert_array_equal(signs, binarized(x))
    (signs,) = native.operator("binarize", [x], [fresh(x.shape, np.float32)], threads=threads)
    np.testing.assert_array_equal(signs, binarized(x))
