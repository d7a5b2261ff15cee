"""conv2d and its output forms equal the equations, in every bit and float, for every instruction set."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from native.reference import Conv, Epilogue, conv2d, pack, pack_weight, random_signs, words
from native.sanitized import Native, fresh

SIZES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 130)


class Case:
    """Random operands of a convolution and its dot products [N, OH, OW, O]."""

    def __init__(self, conv: Conv, image: tuple[int, int, int] = (1, 5, 6), seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        x = random_signs(rng, *image, conv.in_channels)
        weight = random_signs(rng, conv.out_channels, *conv.kernel_size, conv.in_channels // conv.groups)
        self.conv, self.rng = conv, rng
        self.dot = conv2d(x, weight, conv)
        self.operands: list[object] = [pack(x < 0), pack_weight(weight, conv.groups), *conv.arguments()]

    def channel_floats(self, scale: float = 1.0) -> NDArray[np.float32]:
        return self.rng.normal(0, scale, self.conv.out_channels).astype(np.float32)

    def residual(self) -> NDArray[np.float32]:
        """float32 [N, OH, OW, O]; its [N, O, OH, OW] view is channels_last."""
        return self.rng.normal(0, 4, self.dot.shape).astype(np.float32)

    @property
    def float_output(self) -> NDArray[np.float32]:
        n, h, w, o = self.dot.shape
        return fresh((n, o, h, w), np.float32, channels_last=True)

    @property
    def packed_output(self) -> NDArray[np.int32]:
        return fresh((*self.dot.shape[:3], words(self.conv.out_channels)), np.int32)

    def check(
        self,
        native: Native,
        epilogue: Epilogue | None = None,
        threshold: NDArray[np.float32] | None = None,
        *,
        threads: int = 1,
    ) -> None:
        """All four forms agree with the reference in every bit."""
        epilogue = epilogue or Epilogue()
        v = epilogue(self.dot)
        bits = pack(v < (0 if threshold is None else threshold))
        nchw = v.transpose(0, 3, 1, 2)
        arguments = epilogue.arguments()
        if epilogue.residual is not None:
            arguments[7] = epilogue.residual.transpose(0, 3, 1, 2)

        (floats,) = native.operator("conv2d", [*self.operands, *arguments], [self.float_output], threads=threads)
        np.testing.assert_array_equal(floats, nchw)
        steps = [*self.operands, *arguments, threshold]
        (packed,) = native.operator("conv2d_packed", steps, [self.packed_output], threads=threads)
        np.testing.assert_array_equal(packed, bits)
        outputs: list[NDArray[np.generic]] = [self.float_output, self.packed_output]
        floats, packed = native.operator("conv2d_float_packed", steps, outputs, threads=threads)
        np.testing.assert_array_equal(floats, nchw)
        np.testing.assert_array_equal(packed, bits)

        limit = self.rng.integers(self.dot.min() - 1, self.dot.max() + 2, self.conv.out_channels, dtype=np.int32)
        (packed,) = native.operator("conv2d_threshold", [*self.operands, limit], [self.packed_output], threads=threads)
        np.testing.assert_array_equal(packed, pack(self.dot < limit))


@pytest.mark.parametrize("channels", SIZES)
def test_any_number_of_input_channels(native: Native, channels: int) -> None:
    Case(Conv(channels, 18, padding=(1, 1, 1, 1))).check(native)


@pytest.mark.parametrize("filters", SIZES)
def test_any_number_of_filters(native: Native, filters: int) -> None:
    case = Case(Conv(40, filters, padding=(1, 1, 1, 1)))
    case.check(native, Epilogue(mul=case.channel_floats(), add=case.channel_floats()), case.channel_floats(3))


@pytest.mark.parametrize("width", range(1, 12))
def test_any_number_of_pixels(native: Native, width: int) -> None:
    Case(Conv(33, 65, kernel_size=(1, 1)), image=(2, 1, width)).check(native)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 1), (2, 0, 1, 3), (0, 0, 4, 5)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 1), (3, 2)])
def test_any_padding_and_stride(
    native: Native, pad_value: int, padding: tuple[int, int, int, int], stride: tuple[int, int]
) -> None:
    Case(Conv(35, 20, padding=padding, stride=stride, pad_value=pad_value), image=(2, 6, 7)).check(native)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_windows_entirely_in_the_padding(native: Native, pad_value: int) -> None:
    conv = Conv(35, 17, kernel_size=(2, 2), padding=(3, 4, 2, 5), pad_value=pad_value)
    Case(conv, image=(1, 2, 3)).check(native)


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("kernel_size", [(1, 1), (1, 3), (3, 1), (2, 4), (5, 5)])
def test_any_kernel_and_dilation(native: Native, kernel_size: tuple[int, int], dilation: tuple[int, int]) -> None:
    conv = Conv(64, 33, kernel_size=kernel_size, dilation=dilation, padding=(3, 2, 4, 1), stride=(1, 2))
    Case(conv, image=(1, 9, 8)).check(native)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
@pytest.mark.parametrize(("channels", "filters"), [(64, 64), (100, 40), (128, 90), (190, 17), (512, 32)])
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 1), (1, 2))])
def test_layers_of_many_pixels_and_words(
    native: Native, channels: int, filters: int, stride: tuple[int, int], dilation: tuple[int, int], pad_value: int
) -> None:
    """Those that run on conv2d_pairs or conv2d_lookup if the set has it."""
    conv = Conv(channels, filters, (3, 3), stride, (1, 1, 2, 1), dilation, pad_value=pad_value)
    case = Case(conv, image=(2, 7, 9))
    case.check(native, Epilogue(mul=case.channel_floats(), residual=case.residual()), case.channel_floats(3))


@pytest.mark.parametrize(
    ("in_group", "out_group"), [(1, 1), (1, 2), (3, 5), (16, 16), (17, 16), (31, 33), (32, 32), (32, 15)]
)
@pytest.mark.parametrize("groups", [1, 2, 3, 7])
def test_any_groups(native: Native, groups: int, in_group: int, out_group: int) -> None:
    conv = Conv(groups * in_group, groups * out_group, groups=groups, padding=(1, 1, 1, 1), stride=(1, 2))
    case = Case(conv, image=(2, 4, 5))
    epilogue = Epilogue(mul=case.channel_floats(), act_slope=case.channel_floats(), residual=case.residual())
    case.check(native, epilogue, case.channel_floats(2))
    Case(replace(conv, padding=(0, 0, 0, 0))).check(native)


@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_depthwise_with_dilation(native: Native, pad_value: int) -> None:
    Case(Conv(37, 37, groups=37, dilation=(2, 2), padding=(2, 2, 2, 2), pad_value=pad_value)).check(native)


STEPS = {
    "relu on the dot product": lambda c: Epilogue(dot_min=0.0),
    "hardtanh on the dot product": lambda c: Epilogue(dot_min=-3.0, dot_max=3.5),
    "scale with negative channels": lambda c: Epilogue(mul=-np.abs(c.channel_floats())),
    "scale and offset": lambda c: Epilogue(mul=c.channel_floats(0.1), add=c.channel_floats()),
    "clamp after the scale": lambda c: Epilogue(mul=c.channel_floats(0.1), act_min=-0.5, act_max=0.25),
    "PReLU": lambda c: Epilogue(add=c.channel_floats(), act_slope=c.channel_floats()),
    "residual": lambda c: Epilogue(residual=c.residual()),
    "RPReLU": lambda c: Epilogue(
        shift_in=c.channel_floats(), shift_slope=c.channel_floats(), shift_out=c.channel_floats()
    ),
    "a slope without shifts": lambda c: Epilogue(shift_slope=c.channel_floats()),
    "everything": lambda c: Epilogue(
        -20.0,
        21.0,
        c.channel_floats(0.3),
        c.channel_floats(),
        -2.0,
        3.0,
        c.channel_floats(),
        c.residual(),
        c.channel_floats(),
        c.channel_floats(),
        c.channel_floats(),
    ),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("filters", [16, 64, 85])
def test_each_step_of_the_epilogue(native: Native, step: str, filters: int) -> None:
    case = Case(Conv(20, filters, padding=(1, 1, 1, 1)), image=(1, 4, 5))
    case.check(native, STEPS[step](case), case.channel_floats(2))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38, 1e-45])
def test_special_values_pass_through_as_in_the_reference(native: Native, value: float) -> None:
    case = Case(Conv(20, 40), image=(1, 4, 5))

    def special() -> NDArray[np.float32]:
        floats = case.channel_floats()
        floats[::3] = value
        return floats

    residual = case.residual()
    residual[0, 0, ::2, ::3] = value
    case.check(native, Epilogue(mul=special()), special())
    case.check(native, Epilogue(mul=special(), act_min=-1.0, act_max=2.0, act_slope=special()), special())
    case.check(native, Epilogue(add=special(), residual=residual, shift_slope=special(), shift_out=special()))


def test_nan_gives_bit_zero(native: Native) -> None:
    case = Case(Conv(20, 40), image=(1, 4, 5))
    nans = np.full(40, np.nan, np.float32)
    (packed,) = native.operator(
        "conv2d_packed", [*case.operands, *Epilogue(mul=nans).arguments(), None], [case.packed_output]
    )
    assert not packed.any()


def test_infinite_bounds_are_no_bounds(native: Native) -> None:
    case = Case(Conv(20, 40))
    case.check(native, Epilogue(dot_min=-np.inf, dot_max=np.inf, act_min=-np.inf, act_max=np.inf))


def test_deep_filters_do_not_overflow_their_counters(native: Native) -> None:
    # All bits differ: a counter grows by 32 a word, 8 a byte.
    conv = Conv(32 * 70, 17, kernel_size=(3, 3))
    case = Case(conv, image=(1, 3, 7))
    x = np.full((1, 3, 7, 70), -1, np.int32)
    weight = np.zeros_like(case.operands[1])
    (floats,) = native.operator("conv2d", [x, weight, *case.operands[2:], *Epilogue().arguments()], [case.float_output])
    assert (floats == -32 * 70 * 9).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(native: Native, threads: int) -> None:
    conv = Conv(48, 36, padding=(1, 1, 1, 1), groups=4)
    case = Case(conv, image=(3, 17, 15))
    epilogue = Epilogue(mul=case.channel_floats(), residual=case.residual())
    case.check(native, epilogue, case.channel_floats(), threads=threads)


sides = st.integers(1, 9)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, int, int]]:
    groups = draw(st.integers(1, 4))
    kernel, dilation = draw(pairs), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    height = draw(sides) + max(0, extent[0] - padding[0] - padding[1])
    width = draw(sides) + max(0, extent[1] - padding[2] - padding[3])
    in_group, out_group = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    stride, pad_value = draw(pairs), draw(st.sampled_from([-1, 0, 1]))
    conv = Conv(groups * in_group, groups * out_group, kernel, stride, padding, dilation, groups, pad_value)
    return conv, (draw(st.integers(1, 2)), height, width)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(case=convolutions(), seed=st.integers(0, 1000))
def test_any_convolution_equals_the_reference(
    native: Native, case: tuple[Conv, tuple[int, int, int]], seed: int
) -> None:
    operands = Case(*case, seed)
    operands.check(
        native, Epilogue(mul=operands.channel_floats(), residual=operands.residual()), operands.channel_floats()
    )
