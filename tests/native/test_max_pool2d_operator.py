"""max_pool2d equals the equation for every instruction set, window and size."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from native.reference import Conv, max_pool2d, pack, random_signs, unpack
from native.sanitized import Native, NativeError, fresh


def check(
    native: Native,
    shape: tuple[int, int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    threads: int = 1,
) -> None:
    x = pack(random_signs(np.random.default_rng(0), *shape) < 0)
    expected = max_pool2d(x, kernel, stride, padding, dilation)
    arguments = [x, *(list(pair) for pair in (kernel, stride, padding, dilation))]
    (pooled,) = native.operator("max_pool2d", arguments, [fresh(expected.shape, np.int32)], threads=threads)
    np.testing.assert_array_equal(pooled, expected)


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 480, 511, 512, 513, 1056])
def test_any_number_of_channels(native: Native, channels: int) -> None:
    check(native, (2, 6, 5, channels), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (1, 0, 0, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
def test_any_window(
    native: Native, stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> None:
    check(native, (2, 8, 9, 40), (3, 3), stride, padding, dilation)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_nothing(native: Native, threads: int) -> None:
    check(native, (3, 61, 60, 600), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), threads)


def test_plus_one_is_the_larger_value(native: Native) -> None:
    signs = np.full((1, 2, 2, 3), -1.0)
    signs[0, 1, 0, 1] = 1.0
    (pooled,) = native.operator(
        "max_pool2d", [pack(signs < 0), [2, 2], [2, 2], [0, 0, 0, 0], [1, 1]], [fresh((1, 1, 1, 1), np.int32)]
    )
    np.testing.assert_array_equal(unpack(pooled, 3), [[[[-1.0, 1.0, -1.0]]]])


def test_a_window_of_padding_alone_is_refused(native: Native) -> None:
    x = np.zeros((1, 3, 3, 1), np.int32)
    with pytest.raises(NativeError, match=r"max_pool2d\.out: window 0 of 4 holds padding only"):
        native.operator("max_pool2d", [x, [2, 2], [2, 2], [3, 3, 0, 0], [1, 1]], [fresh((1, 4, 1, 1), np.int32)])


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_any_pooling_equals_the_reference(
    native: Native,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    size: tuple[int, int],
) -> None:
    out = Conv(1, 1, kernel, stride, padding, dilation).out_size(*size)
    for axis in range(2):
        starts = np.arange(out[axis])[:, None] * stride[axis] - padding[2 * axis]
        taps = starts + np.arange(kernel[axis]) * dilation[axis]
        assume(out[axis] > 0 and ((taps >= 0) & (taps < size[axis])).any(axis=1).all())
    check(native, (1, *size, 33), kernel, stride, padding, dilation)
