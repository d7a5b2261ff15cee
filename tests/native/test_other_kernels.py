"""Every kernel of pack and max_pool2d, run by name, on ranges of pixels."""

import numpy as np
import pytest

from native.reference import max_pool2d, pack, random_signs, words
from native.sanitized import Native

FILLER = 0x5A5A5A5A
RANGES = [(0, 0), (0, 1), (1, 2), (3, 18), (5, 40), (0, 42), (41, 42)]


@pytest.mark.parametrize(("begin", "end"), RANGES)
@pytest.mark.parametrize("plane", [1, 21])
@pytest.mark.parametrize("channels", [1, 16, 33, 70])
def test_pack_writes_only_the_pixels_asked_for(
    any_native: Native, pack_kernel: str, channels: int, plane: int, begin: int, end: int
) -> None:
    x = np.random.default_rng(0).normal(size=(42, channels)).astype(np.float32)
    memory = x if plane == 1 else x.reshape(2, plane, channels).transpose(0, 2, 1)
    before = np.full(42 * words(channels), FILLER, np.uint32)
    packed = any_native.pack(
        pack_kernel, np.ascontiguousarray(memory).reshape(-1), {}, channels, plane, begin, end, before
    )
    expected = before.reshape(42, -1).copy()
    expected[begin:end] = pack(x[begin:end] < 0).view(np.uint32)
    np.testing.assert_array_equal(packed.reshape(42, -1), expected)


@pytest.mark.parametrize(("begin", "end"), RANGES)
@pytest.mark.parametrize("channels", [1, 16, 33, 70])
def test_unpack_writes_only_the_pixels_asked_for(
    any_native: Native, pack_kernel: str, channels: int, begin: int, end: int
) -> None:
    signs = random_signs(np.random.default_rng(0), 42, channels)
    before = np.full(signs.size, np.nan, np.float32)
    values = any_native.unpack(pack_kernel, pack(signs < 0).view(np.uint32).reshape(-1), channels, begin, end, before)
    expected = np.full(signs.shape, np.nan, np.float32)
    expected[begin:end] = signs[begin:end]
    np.testing.assert_array_equal(values.reshape(signs.shape), expected)


@pytest.mark.parametrize(("begin", "end"), RANGES)
def test_binarize_writes_only_the_values_asked_for(any_native: Native, pack_kernel: str, begin: int, end: int) -> None:
    x = np.random.default_rng(0).normal(size=42).astype(np.float32)
    y = any_native.binarize(pack_kernel, x, begin, end, np.full(42, np.nan, np.float32))
    expected = np.full(42, np.nan, np.float32)
    expected[begin:end] = np.where(x[begin:end] < 0, -1, 1)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("begin", "end"), RANGES)
@pytest.mark.parametrize("depth", [1, 15, 16, 17])
def test_max_pool2d_writes_only_the_pixels_asked_for(
    any_native: Native, max_pool2d_kernel: str, depth: int, begin: int, end: int
) -> None:
    shape = (2, 6, 7, depth)
    x = np.random.default_rng(0).integers(-(2**31), 2**31, shape).astype(np.int32)
    expected = max_pool2d(x, (2, 2), (2, 1), (0, 0, 1, 1), (1, 2)).view(np.uint32).reshape(-1, depth)
    assert expected.shape[0] == 42
    before = np.full(expected.size, FILLER, np.uint32)
    rows, columns = (6, 2, 2, 1, 0, 0), (7, 2, 1, 2, 1, 1)
    pooled = any_native.max_pool2d(
        max_pool2d_kernel, x.view(np.uint32).reshape(-1), depth, rows, columns, begin, end, before
    )
    outside = np.r_[0:begin, end:42]
    np.testing.assert_array_equal(pooled.reshape(42, -1)[begin:end], expected[begin:end])
    assert (pooled.reshape(42, -1)[outside] == FILLER).all()
