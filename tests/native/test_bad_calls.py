"""A bad call of an operator is refused with a sentence that names the value and the rule; it never crashes."""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from native.sanitized import Native, NativeError, fresh

Arguments = tuple[str, list[Any], list[NDArray[Any]]]


def packed(*shape: int) -> NDArray[np.int32]:
    return np.zeros(shape, np.int32)


def ones(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


def conv2d_call(name: str = "conv2d") -> Arguments:
    """A valid call: 40 channels in, 20 filters of 3 x 3, a 5 x 6 image."""
    inputs: list[Any] = [packed(1, 5, 6, 2), packed(2, 18, 16), 40, 20, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1, 0]
    floats, bits = fresh((1, 20, 5, 6), np.float32, channels_last=True), fresh((1, 5, 6, 1), np.int32)
    if name == "conv2d_threshold":
        return name, [*inputs, packed(20)], [bits]
    inputs += [None] * 11
    if name == "conv2d":
        return name, inputs, [floats]
    return name, [*inputs, None], [bits] if name == "conv2d_packed" else [floats, bits]


def linear_call() -> Arguments:
    return "linear_float_packed", [packed(3, 2), packed(2, 2, 16), 40, 20, *[None] * 12], [ones(3, 20), packed(3, 1)]


def weight_only_call() -> Arguments:
    """As conv2d_call, with a float image."""
    _, inputs, outputs = conv2d_call("conv2d_float_packed")
    image = fresh((1, 40, 5, 6), np.float32, channels_last=True)
    return "conv2d_weight_only_float_packed", [image, *inputs[1:]], outputs


def linear_weight_only_call() -> Arguments:
    _, inputs, outputs = linear_call()
    return "linear_weight_only_float_packed", [ones(3, 40), *inputs[1:]], outputs


def pack_call() -> Arguments:
    return "pack", [ones(1, 40, 2, 3), None, 1], [packed(1, 2, 3, 2)]


def unpack_call() -> Arguments:
    return "unpack", [packed(1, 2, 3, 2), 40, -1], [ones(1, 2, 3, 40)]


def max_pool2d_call() -> Arguments:
    return "max_pool2d", [packed(1, 4, 6, 2), [2, 2], [2, 2], [0, 0, 0, 0], [1, 1]], [packed(1, 2, 3, 2)]


VALID: dict[str, Callable[[], Arguments]] = {
    "conv2d": conv2d_call,
    "conv2d_packed": lambda: conv2d_call("conv2d_packed"),
    "conv2d_float_packed": lambda: conv2d_call("conv2d_float_packed"),
    "conv2d_threshold": lambda: conv2d_call("conv2d_threshold"),
    "linear_float_packed": linear_call,
    "conv2d_weight_only": weight_only_call,
    "linear_weight_only": linear_weight_only_call,
    "pack": pack_call,
    "unpack": unpack_call,
    "max_pool2d": max_pool2d_call,
}

HUGE = 2**31 - 1
INPUTS: list[tuple[str, int, object, str]] = [
    ("conv2d", 0, packed(1, 5, 6, 3), r"the last dimension of x must be ceil\(in_channels / 32\) = 2, is 3"),
    ("conv2d", 0, packed(5, 6, 2), "x must have 4 dimensions, has 3"),
    ("conv2d", 0, ones(1, 5, 6, 2), "x must be of type Int, is Float"),
    ("conv2d", 0, packed(1, 5, 6, 2).astype(np.int64), "x must be of type Int, is Long"),
    ("conv2d", 0, packed(1, 0, 6, 2), "x must not be empty, dimension 1 is 0"),
    ("conv2d", 0, packed(1, 6, 5, 2).transpose(0, 2, 1, 3), "x must be contiguous in memory"),
    ("conv2d", 0, 3, "x must be a tensor"),
    ("conv2d", 0, None, "x must be a tensor"),
    ("conv2d", 1, packed(2, 17, 16), r"weight must be of shape \[2, 18, 16\]"),
    ("conv2d", 1, packed(2, 18, 8), r"weight must be of shape \[2, 18, 16\]"),
    ("conv2d", 1, packed(2, 16, 18).transpose(0, 2, 1), "weight must be contiguous in memory"),
    ("conv2d", 2, 0, r"in_channels must be in \[1, 2147483647\], is 0"),
    ("conv2d", 2, -40, "in_channels must be in"),
    ("conv2d", 2, HUGE, "the last dimension of x must be"),
    ("conv2d", 2, 2**63 - 1, "in_channels must be in"),
    ("conv2d", 2, 40.0, "in_channels must be an integer"),
    ("conv2d", 3, 21, "dimension 1 of out must be 21, is 20"),
    ("conv2d", 3, HUGE, "weight must be of shape"),
    ("conv2d", 4, [3], "kernel_size must hold 2 integers, holds 1"),
    ("conv2d", 4, [0, 3], r"kernel_size\[0\] must be in \[1, 2147483647\], is 0"),
    ("conv2d", 4, [HUGE, HUGE], "at most 2.24 weights"),
    ("conv2d", 4, 3, "kernel_size must be a list of integers"),
    ("conv2d", 5, [0, 1], r"stride\[0\] must be in"),
    ("conv2d", 5, [2, 1], "dimension 2 of out must be 3, is 5"),
    ("conv2d", 6, [1, 1, 1], "padding must hold 4 integers, holds 3"),
    ("conv2d", 6, [-1, 1, 1, 1], r"padding\[0\] must be in \[0, 2147483647\], is -1"),
    ("conv2d", 6, [HUGE, HUGE, 1, 1], "dimension 2 of out would be"),
    ("conv2d", 7, [HUGE, HUGE], "the window of 4294967295 along the height is larger than the padded input of 7"),
    ("conv2d", 8, 3, "groups must divide in_channels and out_channels, is 3 for 40 and 20"),
    ("conv2d", 8, 0, "groups must be in"),
    ("conv2d", 9, 2, r"pad_value must be in \[-1, 1\], is 2"),
    ("conv2d", 10, float("nan"), "dot_min must not be NaN"),
    ("conv2d", 10, ones(20), "dot_min must be a number or None"),
    ("conv2d", 12, ones(19), r"mul must be of shape \[20\], has 19 values in 1 dimensions"),
    ("conv2d", 12, ones(20, 1), r"mul must be of shape \[20\], has 20 values in 2 dimensions"),
    ("conv2d", 12, packed(20), "mul must be of type Float, is Int"),
    ("conv2d", 13, 1.0, "add must be a tensor"),
    ("conv2d", 16, ones(21), r"act_slope must be of shape \[20\]"),
    ("conv2d", 17, ones(1, 20, 5, 7), "residual must have the shape of the result"),
    ("conv2d", 17, ones(1, 20, 30), "residual must have the shape of the result"),
    ("conv2d", 17, ones(1, 20, 5, 6), "residual must be channels_last in memory"),
    ("conv2d_packed", 21, ones(32), r"threshold must be of shape \[20\]"),
    ("conv2d_threshold", 10, ones(20), "threshold must be of type Int, is Float"),
    ("conv2d_threshold", 10, packed(32), r"threshold must be of shape \[20\]"),
    ("conv2d_threshold", 10, None, "threshold must be a tensor"),
    ("linear_float_packed", 0, packed(3, 1), r"the last dimension of x must be ceil\(in_features / 32\) = 2, is 1"),
    ("linear_float_packed", 1, packed(1, 2, 16), r"weight must be of shape \[2, 2, 16\]"),
    ("linear_float_packed", 2, 2**24 + 1, r"in_features must be in \[1, 16777216\]"),
    ("linear_float_packed", 3, 0, "out_features must be in"),
    ("linear_float_packed", 11, ones(3, 21), "residual must have the shape of the result"),
    ("conv2d_weight_only", 0, packed(1, 40, 5, 6), "x must be of type Float, is Int"),
    ("conv2d_weight_only", 0, ones(40, 5, 6), "x must have 4 dimensions, has 3"),
    ("conv2d_weight_only", 0, ones(1, 40, 5, 6), "x must be channels_last in memory"),
    ("conv2d_weight_only", 0, fresh((1, 41, 5, 6), np.float32, channels_last=True), "x must have 40 channels, has 41"),
    ("conv2d_weight_only", 1, packed(2, 17, 16), r"weight must be of shape \[2, 18, 16\]"),
    ("conv2d_weight_only", 1, packed(2, 16, 18).transpose(0, 2, 1), "weight must be contiguous in memory"),
    ("conv2d_weight_only", 2, HUGE, "x must have 2147483647 channels, has 40"),
    ("conv2d_weight_only", 4, [HUGE, HUGE], "at most 2.24 weights"),
    ("conv2d_weight_only", 6, [HUGE, HUGE, 1, 1], "dimension 2 of out0 would be"),
    ("conv2d_weight_only", 7, [1, HUGE], "along the width is larger"),
    ("conv2d_weight_only", 8, 2, r"groups must be in \[1, 1\], is 2"),
    ("conv2d_weight_only", 9, 1, r"pad_value must be in \[0, 0\], is 1"),
    ("linear_weight_only", 0, ones(3, 39), "the last dimension of x must be in_features = 40, is 39"),
    ("linear_weight_only", 0, ones(40, 3).T, "x must be contiguous in memory"),
    ("linear_weight_only", 1, packed(1, 2, 16), r"weight must be of shape \[2, 2, 16\]"),
    ("pack", 0, ones(40, 2, 3), "x must have 4 dimensions for channel_dim 1, has 3"),
    ("pack", 0, packed(1, 40, 2, 3), "x must be of type Float, is Int"),
    ("pack", 0, ones(40, 1, 2, 3).transpose(1, 0, 3, 2), "x must be contiguous or channels_last in memory"),
    ("pack", 1, ones(39), r"threshold must be of shape \[40\]"),
    ("pack", 2, 0, "channel_dim must be 1 or -1, is 0"),
    ("unpack", 1, 65, r"the last dimension of x must be ceil\(channels / 32\) = 3, is 2"),
    ("unpack", 1, 32, r"the last dimension of x must be ceil\(channels / 32\) = 1, is 2"),
    ("unpack", 2, 1, "dimension 1 of out must be 40, is 2"),
    ("max_pool2d", 1, [5, 2], "the window of 5 along the height is larger than the padded input of 4"),
    ("max_pool2d", 1, [0, 2], r"kernel_size\[0\] must be in"),
    ("max_pool2d", 2, [1, 2], "dimension 1 of out must be 3, is 2"),
    ("max_pool2d", 4, [1, HUGE], "along the width is larger"),
]


@pytest.mark.parametrize("name", VALID)
def test_the_unchanged_calls_are_accepted(any_native: Native, name: str) -> None:
    any_native.operator(*VALID[name]())


@pytest.mark.parametrize(("name", "position", "value", "message"), INPUTS)
def test_a_wrong_argument_is_refused(any_native: Native, name: str, position: int, value: object, message: str) -> None:
    operator, inputs, outputs = VALID[name]()
    inputs[position] = value
    with pytest.raises(NativeError, match=rf"bittern::{operator}\.out: .*{message}"):
        any_native.operator(operator, inputs, outputs)


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("conv2d", ones(1, 20, 5, 6), "out must be channels_last in memory"),
        ("conv2d", ones(1, 5, 6, 20), "dimension 1 of out must be 20, is 5"),
        ("conv2d", ones(20, 5, 6), "out must have 4 dimensions, has 3"),
        ("conv2d", packed(1, 20, 5, 6), "out must be of type Float, is Int"),
        ("conv2d_packed", packed(1, 5, 6, 2), "dimension 3 of out must be 1, is 2"),
        ("conv2d_packed", packed(1, 6, 5, 1).transpose(0, 2, 1, 3), "out must be contiguous in memory"),
        ("conv2d_threshold", ones(1, 5, 6, 1), "out must be of type Int, is Float"),
        ("pack", packed(1, 2, 2, 3).transpose(0, 2, 3, 1), "out must be contiguous in memory"),
        ("unpack", ones(1, 2, 40, 3).transpose(0, 1, 3, 2), "out must be contiguous in memory"),
        ("max_pool2d", packed(1, 2, 3, 1), "dimension 3 of out must be 2, is 1"),
    ],
)
def test_a_wrong_output_is_refused(any_native: Native, name: str, output: NDArray[Any], message: str) -> None:
    operator, inputs, _ = VALID[name]()
    with pytest.raises(NativeError, match=message):
        any_native.operator(operator, inputs, [output])


@pytest.mark.parametrize("name", VALID)
def test_a_call_with_too_few_values_is_refused(any_native: Native, name: str) -> None:
    operator, inputs, outputs = VALID[name]()
    for count in range(len(inputs)):
        with pytest.raises(NativeError, match="its schema has"):
            any_native.operator(operator, inputs[:count], outputs)


def test_scratch_memory_is_limited(any_native: Native) -> None:
    # A stride as large as the padding keeps the output small while the padded input would need 4 TiB.
    padding = 2**20
    name, inputs, _ = conv2d_call()
    inputs[5:7] = [padding, padding], [padding] * 4
    with pytest.raises(NativeError, match="bytes of scratch memory, more than 2147483648"):
        any_native.operator(name, inputs, [fresh((1, 20, 3, 3), np.float32, channels_last=True)])


def test_an_operator_that_does_not_exist_is_an_error(any_native: Native) -> None:
    with pytest.raises(NativeError, match=r"no operator is named bittern::conv3d\.out"):
        any_native.operator("conv3d", [], [])


def test_the_sanitizer_sees_a_write_past_the_end(start_native: Callable[[str | None], Native]) -> None:
    """All other tests rely on this."""
    native = start_native("portable")
    words = np.zeros(2, np.uint32)
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        native.pack("portable", ones(96), {}, 32, 1, 0, 3, words)
    native.pack("portable", ones(96), {}, 32, 1, 0, 2, words)  # a new process answers


WRONG: list[Any] = [
    None,
    -1,
    0,
    1,
    2,
    7,
    HUGE,
    2**62,
    -(2**63),
    0.5,
    float("inf"),
    [],
    [0],
    [1, 1],
    [-1] * 4,
    [HUGE] * 4,
]
WRONG += [packed(1), packed(2, 3), packed(1, 5, 6, 2), ones(20), ones(1, 20, 5, 6), packed(2, 18, 16), ones(0)]


@pytest.mark.parametrize("name", VALID)
def test_random_arguments_never_crash(any_native: Native, name: str) -> None:
    chance = random.Random(name)
    for _ in range(150):
        operator, inputs, outputs = VALID[name]()
        for _ in range(chance.randint(1, 3)):
            inputs[chance.randrange(len(inputs))] = chance.choice(WRONG)
        with contextlib.suppress(NativeError):
            any_native.operator(operator, inputs, outputs)
