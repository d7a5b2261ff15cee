"""Operators equal the PyTorch references for any shape, window, epilogue and special value that hypothesis draws.

The other tests of operators compare with equations in numpy, and vary one thing at a time.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from native.reference import Conv, words
from native.sanitized import Call, Native, fresh

torch = pytest.importorskip("torch")

EXAMPLES = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-45, -1e-45, 1.0], np.float32)

RESIDUAL = 7
"""Its position among the epilogue's arguments."""

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
paddings = st.tuples(*[st.integers(0, 5)] * 4)
seeds = st.integers(0, 2**32 - 1)


class Values:
    """Random operands; one in eight floats is special if ``special``."""

    def __init__(self, seed: int, special: bool) -> None:
        self._rng, self._special = np.random.default_rng(seed), special

    def floats(self, *shape: int) -> NDArray[np.float32]:
        x = self._rng.normal(0, 3, shape).astype(np.float32)
        where = self._rng.random(shape) < 0.125
        return np.where(where, self._rng.choice(SPECIAL, shape), x) if self._special else x

    def bits(self, *shape: int) -> NDArray[np.int32]:
        """int32 [..., words] of booleans [..., channels]."""
        from bittern.ops import layout

        packed: NDArray[np.int32] = layout.pack_bits(torch.from_numpy(self._rng.random(shape) < 0.5)).numpy()
        return packed

    def weight(self, *shape: int, groups: int = 1) -> NDArray[np.int32]:
        from bittern.ops import layout

        signs = torch.from_numpy(self._rng.choice(np.array([-1, 1], np.float32), shape))
        packed: NDArray[np.int32] = layout.pack_weight(signs, groups).numpy()
        return packed

    def limits(self, depth: int, count: int) -> NDArray[np.int32]:
        """Integer thresholds around the dot products of ``depth`` bits, and the extreme ones."""
        near = self._rng.integers(-depth - 1, depth + 2, count, np.int32)
        extreme = self._rng.choice(np.array([-(2**31), 2**31 - 1, -depth, depth, 0], np.int32), count)
        return np.where(self._rng.random(count) < 0.2, extreme, near)


def steps(data: st.DataObject, values: Values, channels: int, residual: NDArray[np.float32]) -> list[object]:
    """The epilogue's arguments and a float threshold; each may be None."""

    def bound() -> float | None:
        return data.draw(st.none() | st.floats(allow_nan=False, width=32) | st.floats(-40, 40, width=32))

    def channel() -> NDArray[np.float32] | None:
        return values.floats(channels) if data.draw(st.booleans()) else None

    head = [bound(), bound(), channel(), channel(), bound(), bound(), channel()]
    return [*head, residual if data.draw(st.booleans()) else None, channel(), channel(), channel(), channel()]


def check_forms(
    native: Native,
    operator: str,
    operands: list[object],
    finish: list[object],
    limits: NDArray[np.int32],
    outputs: tuple[NDArray[np.float32], NDArray[np.int32]],
    threads: int,
) -> None:
    """All four forms of ``operator``."""
    calls = value_calls(operator, operands, finish, outputs, threads)
    check(native, [*calls, Call(f"{operator}_threshold", [*operands, limits], outputs[1:], threads)])


def value_calls(
    operator: str,
    operands: list[object],
    finish: list[object],
    outputs: tuple[NDArray[np.float32], NDArray[np.int32]],
    threads: int,
) -> list[Call]:
    """The forms of ``operator`` that compute floats; and again, with the floats in the residual's memory."""
    floats, bits = outputs
    calls = [
        Call(operator, [*operands, *finish[:-1]], [floats], threads),
        Call(f"{operator}_packed", [*operands, *finish], [bits], threads),
        Call(f"{operator}_float_packed", [*operands, *finish], [floats, bits], threads),
    ]
    in_place = [] if finish[RESIDUAL] is None else [calls[0], calls[2]]
    return [*calls, *(computed_in_place(call, len(operands) + RESIDUAL) for call in in_place)]


def computed_in_place(call: Call, residual: int) -> Call:
    """``call`` with its float output in the memory of its input number ``residual``."""
    inputs = list(call.inputs)
    memory = inputs[residual] = np.copy(inputs[residual], order="K")
    return replace(call, inputs=inputs, outputs=[memory, *call.outputs[1:]])


def check(native: Native, calls: list[Call]) -> None:
    """The reference gives the outputs of every call."""
    import bittern.ops  # noqa: F401

    def tensor(x: object) -> object:
        return torch.from_numpy(x) if isinstance(x, np.ndarray) else x

    for call, results in zip(calls, native.operators(calls), strict=True):
        expected = getattr(torch.ops.bittern, call.name)(*map(tensor, call.inputs))
        for result, reference in zip(results, (expected,) if len(results) == 1 else expected, strict=True):
            np.testing.assert_array_equal(result, reference.numpy(), err_msg=call.name)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, int, int]]:
    """Any kernel, stride, dilation, uneven padding of any value and groups, with the image's N, H, W."""
    groups = draw(st.integers(1, 8) | st.sampled_from([17, 33, 40]))
    limit = max(1, 200 // groups)
    channels, filters = draw(st.integers(1, limit)), draw(st.integers(1, limit))
    kernel, stride, dilation, padding = draw(pairs), draw(pairs), draw(pairs), draw(paddings)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    height = draw(st.integers(1, 9)) + max(0, extent[0] - padding[0] - padding[1] - 1)
    width = draw(st.integers(1, 9)) + max(0, extent[1] - padding[2] - padding[3] - 1)
    pad_value, images = draw(st.integers(-1, 1)), draw(st.integers(1, 3))
    conv = Conv(groups * channels, groups * filters, kernel, stride, padding, dilation, groups, pad_value)
    return conv, (images, height, width)


@EXAMPLES
@given(problem=convolutions(), seed=seeds, special=st.booleans(), threads=st.integers(1, 2), data=st.data())
def test_any_convolution(
    native: Native,
    problem: tuple[Conv, tuple[int, int, int]],
    seed: int,
    special: bool,
    threads: int,
    data: st.DataObject,
) -> None:
    conv, (n, h, w) = problem
    values, filters, depth = Values(seed, special), conv.out_channels, conv.in_channels // conv.groups
    out = (n, *conv.out_size(h, w))
    x = values.bits(n, h, w, conv.in_channels)
    weight = values.weight(filters, depth, *conv.kernel_size, groups=conv.groups)
    residual = values.floats(*out, filters).transpose(0, 3, 1, 2)
    finish = steps(data, values, filters, residual)
    limits = values.limits(depth * conv.kernel_size[0] * conv.kernel_size[1], filters)
    outputs = (
        fresh((n, filters, *out[1:]), np.float32, channels_last=True),
        fresh((*out, words(filters)), np.int32),
    )
    check_forms(native, "conv2d", [x, weight, *conv.arguments()], finish, limits, outputs, threads)


@EXAMPLES
@given(
    rows=st.lists(st.integers(1, 5), max_size=3).map(tuple),
    features=st.integers(1, 400),
    filters=st.integers(1, 150),
    seed=seeds,
    special=st.booleans(),
    threads=st.integers(1, 2),
    data=st.data(),
)
def test_any_linear_layer(
    native: Native,
    rows: tuple[int, ...],
    features: int,
    filters: int,
    seed: int,
    special: bool,
    threads: int,
    data: st.DataObject,
) -> None:
    values = Values(seed, special)
    operands: list[object] = [values.bits(*rows, features), values.weight(filters, features), features, filters]
    finish = steps(data, values, filters, values.floats(*rows, filters))
    outputs = fresh((*rows, filters), np.float32), fresh((*rows, words(filters)), np.int32)
    check_forms(native, "linear", operands, finish, values.limits(features, filters), outputs, threads)


@EXAMPLES
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 200)),
    layout=st.sampled_from(["channels_last", "contiguous", "rows"]),
    with_threshold=st.booleans(),
    seed=seeds,
)
def test_any_pack_and_unpack(
    native: Native, shape: tuple[int, int, int, int], layout: str, with_threshold: bool, seed: int
) -> None:
    n, h, w, channels = shape
    values = Values(seed, True)
    x = values.floats(*shape)
    threshold = values.floats(channels) if with_threshold else None
    maps = layout != "rows"
    operand = x.transpose(0, 3, 1, 2) if maps else x
    if layout == "contiguous":
        operand = np.ascontiguousarray(operand)
    dim = 1 if maps else -1
    bits, packed = values.bits(*shape), fresh((n, h, w, words(channels)), np.int32)
    like = fresh(operand.shape, np.float32, channels_last=maps)
    same = np.full_like(operand, np.nan)
    calls = [
        Call("pack", [operand, threshold, dim], [packed]),
        Call("unpack", [bits, channels, dim], [like]),
        Call("binarize", [operand], [same]),
    ]
    check(native, calls)


@EXAMPLES
@given(
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    image=st.tuples(st.integers(1, 2), st.integers(1, 12), st.integers(1, 12)),
    channels=st.integers(1, 1200),
    seed=seeds,
)
def test_any_pooling(
    native: Native,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    image: tuple[int, int, int],
    channels: int,
    seed: int,
) -> None:
    n, *size = image
    out = Conv(1, 1, kernel, stride, padding, dilation).out_size(*size)
    for axis in range(2):
        starts = np.arange(out[axis])[:, None] * stride[axis] - padding[2 * axis]
        taps = starts + np.arange(kernel[axis]) * dilation[axis]
        assume(out[axis] > 0 and ((taps >= 0) & (taps < size[axis])).any(axis=1).all())
    x = Values(seed, False).bits(*image, channels)
    windows = [list(pair) for pair in (kernel, stride, padding, dilation)]
    check(native, [Call("max_pool2d", [x, *windows], [fresh((n, *out, x.shape[3]), np.int32)])])
