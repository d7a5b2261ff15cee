"""conv2d_weight_only, linear_weight_only and their forms equal the PyTorch references, in every bit and float."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from native.reference import Conv, words
from native.sanitized import Native, fresh
from native.test_random_shapes import EXAMPLES, Values, check, paddings, pairs, seeds, steps, value_calls

torch = pytest.importorskip("torch")


def check_forms(
    native: Native,
    operator: str,
    operands: list[object],
    finish: list[object],
    outputs: tuple[NDArray[np.float32], NDArray[np.int32]],
    threads: int = 1,
) -> None:
    """All three forms of ``operator``."""
    check(native, value_calls(operator, operands, finish, outputs, threads))


def check_convolution(
    native: Native,
    conv: Conv,
    image: tuple[int, int, int],
    values: Values,
    finish: list[object] | None = None,
    threads: int = 1,
) -> None:
    n, h, w = image
    x = values.floats(n, h, w, conv.in_channels).transpose(0, 3, 1, 2)
    weight = values.weight(conv.out_channels, conv.in_channels, *conv.kernel_size)
    out = (n, *conv.out_size(h, w))
    outputs = (
        fresh((n, conv.out_channels, *out[1:]), np.float32, channels_last=True),
        fresh((*out, words(conv.out_channels)), np.int32),
    )
    check_forms(native, "conv2d_weight_only", [x, weight, *conv.arguments()], finish or [None] * 12, outputs, threads)


def check_linear(
    native: Native, rows: tuple[int, ...], features: int, filters: int, values: Values, threads: int = 1
) -> None:
    operands: list[object] = [values.floats(*rows, features), values.weight(filters, features), features, filters]
    outputs = fresh((*rows, filters), np.float32), fresh((*rows, words(filters)), np.int32)
    check_forms(native, "linear_weight_only", operands, [None] * 12, outputs, threads)


SIZES = (1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100)


@pytest.mark.parametrize("channels", SIZES)
def test_any_number_of_input_channels(native: Native, channels: int) -> None:
    check_convolution(native, Conv(channels, 18, padding=(1, 1, 1, 1)), (1, 5, 6), Values(channels, False))


@pytest.mark.parametrize("filters", SIZES)
def test_any_number_of_filters(native: Native, filters: int) -> None:
    values = Values(filters, False)
    finish: list[object] = [None] * 12
    finish[2], finish[3], finish[11] = values.floats(filters), values.floats(filters), values.floats(filters)
    check_convolution(native, Conv(3, filters, (2, 3)), (1, 6, 7), values, finish)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [*range(1, 20), 95, 96, 97, 200])
def test_any_number_of_pixels(native: Native, rows: int, threads: int) -> None:
    check_linear(native, (rows,), 70, 50, Values(rows, False), threads)


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize("features", [255, 256, 257, 1000])
def test_long_rows_are_computed_in_slices(native: Native, features: int, rows: int) -> None:
    check_linear(native, (rows,), features, 33, Values(features, False), 2)


@pytest.mark.parametrize(("kernel", "channels"), [((11, 11), 3), ((3, 3), 100), ((2, 7), 41)])
def test_slices_hold_many_runs_or_a_part_of_one(native: Native, kernel: tuple[int, int], channels: int) -> None:
    conv = Conv(channels, 40, kernel, (2, 1), (5, 3, 1, 2))
    check_convolution(native, conv, (2, 14, 15), Values(channels, False), threads=2)


def test_a_first_layer_of_an_image_runs_on_all_threads(native: Native) -> None:
    check_convolution(native, Conv(3, 96, (11, 11), (4, 4), (2, 2, 2, 2)), (1, 63, 63), Values(0, False), threads=2)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, int, int]]:
    kernel, stride, dilation, padding = draw(pairs), draw(pairs), draw(pairs), draw(paddings)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    height = draw(st.integers(1, 9)) + max(0, extent[0] - padding[0] - padding[1] - 1)
    width = draw(st.integers(1, 9)) + max(0, extent[1] - padding[2] - padding[3] - 1)
    conv = Conv(draw(st.integers(1, 70)), draw(st.integers(1, 70)), kernel, stride, padding, dilation)
    return conv, (draw(st.integers(1, 3)), height, width)


@EXAMPLES
@given(problem=convolutions(), seed=seeds, special=st.booleans(), threads=st.integers(1, 2), data=st.data())
def test_any_convolution(native: Native, problem: Any, seed: int, special: bool, threads: int, data: Any) -> None:
    conv, (n, h, w) = problem
    values = Values(seed, special)
    residual = values.floats(n, *conv.out_size(h, w), conv.out_channels).transpose(0, 3, 1, 2)
    finish = steps(data, values, conv.out_channels, residual)
    check_convolution(native, conv, (n, h, w), values, finish, threads)


@EXAMPLES
@given(
    rows=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    features=st.integers(1, 400),
    filters=st.integers(1, 150),
    seed=seeds,
    special=st.booleans(),
    threads=st.integers(1, 2),
)
def test_any_linear_layer(
    native: Native, rows: tuple[int, ...], features: int, filters: int, seed: int, special: bool, threads: int
) -> None:
    check_linear(native, rows, features, filters, Values(seed, special), threads)
