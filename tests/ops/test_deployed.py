"""The references of the deployed operators against plain PyTorch on signs."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import bittern.ops  # noqa: F401  registers the operators
from bittern.ops import layout
from bittern.ops.epilogue import Epilogue

ops = torch.ops.bittern
NO_EPILOGUE: dict[str, Any] = {}


def random_signs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).float() * 2 - 1


def random_values(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class TestPack:
    @pytest.mark.parametrize("channels", [1, 31, 32, 33, 70])
    def test_unpack_gives_the_signs_that_pack_took(self, channels: int) -> None:
        x = random_values(2, channels, 3, 4)
        assert torch.equal(ops.unpack(ops.pack(x, None, 1), channels, 1), torch.where(x < 0, -1.0, 1.0))
        rows = random_values(2, 5, channels)
        assert torch.equal(ops.unpack(ops.pack(rows, None, -1), channels, -1), torch.where(rows < 0, -1.0, 1.0))

    def test_zero_minus_zero_and_nan_are_plus_one(self) -> None:
        x = torch.tensor([[0.0, -0.0, float("nan"), -float("inf"), float("inf"), -1e-45]])
        assert ops.unpack(ops.pack(x, None, -1), 6, -1).tolist() == [[1, 1, 1, -1, 1, -1]]

    def test_a_threshold_is_compared_per_channel(self) -> None:
        x, threshold = random_values(2, 40, 3, 3), random_values(40, seed=1)
        expected = torch.where(x < threshold.reshape(1, -1, 1, 1), -1.0, 1.0)
        assert torch.equal(ops.unpack(ops.pack(x, threshold, 1), 40, 1), expected)

    def test_the_memory_layout_of_the_input_does_not_matter(self) -> None:
        x = random_values(2, 40, 3, 3)
        assert torch.equal(ops.pack(x, None, 1), ops.pack(channels_last(x), None, 1))


GEOMETRIES = [
    {},
    {"padding": (1, 1, 1, 1)},
    {"stride": (2, 2), "padding": (1, 1, 1, 1)},
    {"stride": (1, 3), "dilation": (2, 1), "padding": (2, 0, 1, 3)},
    {"kernel_size": (1, 1)},
    {"kernel_size": (2, 5), "padding": (0, 1, 2, 2)},
]


def conv_arguments(channels: int, out_channels: int, groups: int, pad_value: int, **options: Any) -> list[Any]:
    defaults: dict[str, Any] = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)}
    geometry = {**defaults, **options}
    return [channels, out_channels, *(list(geometry[name]) for name in defaults), groups, pad_value]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
@pytest.mark.parametrize(("channels", "out_channels", "groups"), [(1, 1, 1), (33, 17, 1), (64, 32, 2), (6, 18, 6)])
def test_conv2d_is_the_convolution_of_signs(
    geometry: dict[str, Any], pad_value: int, channels: int, out_channels: int, groups: int
) -> None:
    arguments = conv_arguments(channels, out_channels, groups, pad_value, **geometry)
    _, _, kernel, stride, (top, bottom, left, right), dilation, *_ = arguments
    x = random_signs(2, channels, 8, 9)
    weight = random_signs(out_channels, channels // groups, *kernel)
    padded = F.pad(x, (left, right, top, bottom), value=float(pad_value))
    expected = F.conv2d(padded.double(), weight.double(), None, stride, 0, dilation, groups).float()
    result = ops.conv2d(ops.pack(x, None, 1), layout.pack_weight(weight, groups), *arguments)
    assert torch.equal(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)


def epilogue_arguments(channels: int, residual: Tensor) -> dict[str, Any]:
    vectors = {
        name: random_values(channels, seed=seed)
        for seed, name in enumerate(["mul", "add", "act_slope", "shift_in", "shift_slope", "shift_out"])
    }
    return {"dot_min": -7.0, "dot_max": 9.0, "act_min": -2.0, "act_max": 2.5, "residual": residual, **vectors}


def test_the_output_forms_of_conv2d_agree() -> None:
    x, weight = random_signs(2, 40, 6, 5), random_signs(35, 40, 3, 3, seed=1)
    operands = ops.pack(x, None, 1), layout.pack_weight(weight)
    arguments = conv_arguments(40, 35, 1, 0, padding=(1, 1, 1, 1))
    steps = epilogue_arguments(35, channels_last(random_values(2, 35, 6, 5, seed=9)))
    threshold = random_values(35, seed=10)
    value = ops.conv2d(*operands, *arguments, **steps)
    bits = ops.pack(value, threshold, 1)
    assert torch.equal(ops.conv2d_packed(*operands, *arguments, **steps, threshold=threshold), bits)
    both = ops.conv2d_float_packed(*operands, *arguments, **steps, threshold=threshold)
    assert torch.equal(both[0], value)
    assert torch.equal(both[1], bits)


def test_integer_thresholds_compare_the_dot_product() -> None:
    x, weight = random_signs(2, 40, 6, 5), random_signs(35, 40, 3, 3, seed=1)
    operands = ops.pack(x, None, 1), layout.pack_weight(weight)
    arguments = conv_arguments(40, 35, 1, 0, padding=(1, 1, 1, 1))
    threshold = torch.randint(-20, 20, (35,), dtype=torch.int32)
    expected = ops.pack(ops.conv2d(*operands, *arguments), threshold.float(), 1)
    assert torch.equal(ops.conv2d_threshold(*operands, *arguments, threshold), expected)


@pytest.mark.parametrize("features", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("rows", [(1,), (4,), (2, 3)])
def test_linear_is_the_matrix_product_of_signs(features: int, rows: tuple[int, ...]) -> None:
    x, weight = random_signs(*rows, features), random_signs(20, features, seed=1)
    operands = ops.pack(x, None, -1), layout.pack_weight(weight), features, 20
    value = ops.linear(*operands)
    assert torch.equal(value, x @ weight.T)
    steps = epilogue_arguments(20, random_values(*rows, 20, seed=9))
    value = ops.linear(*operands, **steps)
    both = ops.linear_float_packed(*operands, **steps)
    assert torch.equal(both[0], value)
    assert torch.equal(both[1], ops.pack(value, None, -1))
    assert torch.equal(both[1], ops.linear_packed(*operands, **steps))
    threshold = torch.randint(-5, 5, (20,), dtype=torch.int32)
    expected = ops.pack(ops.linear(*operands), threshold.float(), -1)
    assert torch.equal(ops.linear_threshold(*operands, threshold), expected)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2)])
def test_max_pool2d_is_the_maximum_of_signs(kernel: int, stride: int, padding: int, dilation: int) -> None:
    x = random_signs(2, 40, 9, 8)
    result = ops.max_pool2d(ops.pack(x, None, 1), [kernel] * 2, [stride] * 2, [padding] * 4, [dilation] * 2)
    expected = F.max_pool2d(x, kernel, stride, padding, dilation)
    assert torch.equal(ops.unpack(result, 40, 1), expected)


def test_the_steps_of_the_epilogue_run_in_their_order_and_round_one_by_one() -> None:
    dot = torch.tensor([[-9.0, 3.0]])
    third = torch.full((2,), 1 / 3)
    steps = Epilogue(
        dot_min=-5.0, mul=third, add=third, act_slope=third, residual=dot, shift_in=third, shift_slope=third
    )
    one_third = third[0]
    v = [torch.tensor(-5.0), torch.tensor(3.0)]
    v = [value * one_third + one_third for value in v]
    v = [value if value > 0 else value * one_third for value in v]
    v = [value + old + one_third for value, old in zip(v, dot[0], strict=True)]
    v = [value if value > 0 else value * one_third for value in v]
    assert torch.equal(steps(dot, 1), torch.stack(v).unsqueeze(0))


CONV = conv_arguments(40, 35, 1, 0)
BITS, WEIGHT = torch.zeros(1, 6, 6, 2, dtype=torch.int32), torch.zeros(3, 18, 16, dtype=torch.int32)
IMAGE = random_values(1, 40, 6, 6)


def changed(position: int, value: object) -> list[Any]:
    return [value if i == position else argument for i, argument in enumerate(CONV)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.pack(torch.zeros(2, 3), None, 1), "channel_dim must be 1"),
        (lambda: ops.unpack(torch.zeros(2, 3), 3, 1), "channel_dim must be 1"),
        (lambda: ops.conv2d(BITS[..., :1], WEIGHT, *CONV), "x must be int32"),
        (lambda: ops.conv2d(BITS.float(), WEIGHT, *CONV), "x must be int32"),
        (lambda: ops.conv2d(BITS, WEIGHT[:2], *CONV), "weight must be int32"),
        (lambda: ops.conv2d(BITS, WEIGHT, *changed(3, [0, 1])), "must be >= 1"),
        (lambda: ops.conv2d(BITS, WEIGHT, *changed(7, 2)), "pad_value must be"),
        (lambda: ops.conv2d(BITS, WEIGHT, *changed(6, 3)), "must divide"),
        (lambda: ops.conv2d(BITS[:, :2], WEIGHT, *CONV), "smaller than the dilated kernel"),
        (lambda: ops.conv2d(BITS, WEIGHT, *CONV, mul=torch.ones(3)), "mul must be float32"),
        (lambda: ops.conv2d(BITS, WEIGHT, *CONV, residual=torch.ones(1, 35, 4, 5)), "residual must be float32"),
        (lambda: ops.linear(BITS, WEIGHT[:, :1], 20, 35), "x must be int32"),
        (lambda: ops.linear(BITS, WEIGHT[:, :1], 40, 35), "weight must be int32"),
        (lambda: ops.linear(BITS, WEIGHT, 0, 35), "features must be"),
        (lambda: ops.conv2d_weight_only(BITS, WEIGHT, *CONV), "x must be float32"),
        (lambda: ops.conv2d_weight_only(IMAGE, WEIGHT[:, :9], *CONV), "weight must be int32"),
        (lambda: ops.conv2d_weight_only(IMAGE, WEIGHT, *changed(6, 5)), "groups must be 1 and pad_value 0"),
        (lambda: ops.conv2d_weight_only(IMAGE, WEIGHT, *changed(7, 1)), "groups must be 1 and pad_value 0"),
        (lambda: ops.conv2d_weight_only(IMAGE[:, :, :2], WEIGHT, *CONV), "smaller than the dilated kernel"),
        (lambda: ops.linear_weight_only(IMAGE, WEIGHT[:, :2], 40, 35), "x must be float32"),
        (lambda: ops.linear_weight_only(torch.ones(3, 40), WEIGHT, 40, 35), "weight must be int32"),
        (lambda: ops.max_pool2d(BITS, [2, 2], [2, 2], [3, 0, 0, 0], [1, 1]), "needs a tap inside the image"),
        (lambda: ops.max_pool2d(BITS.float(), [2, 2], [2, 2], [0] * 4, [1, 1]), "x must be int32"),
    ],
)
def test_operands_that_do_not_fit_are_refused(call: Any, message: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message):
        call()


@pytest.mark.parametrize(
    ("operator", "arguments", "keywords"),
    [
        (ops.pack, [random_values(2, 40, 6, 5), None, 1], {}),
        (ops.unpack, [BITS, 40, 1], {}),
        (ops.conv2d, [BITS, WEIGHT, *CONV], {"mul": torch.ones(35)}),
        (ops.conv2d_packed, [BITS, WEIGHT, *CONV], {"threshold": torch.ones(35)}),
        (ops.conv2d_float_packed, [BITS, WEIGHT, *CONV], {}),
        (ops.conv2d_threshold, [BITS, WEIGHT, *CONV, torch.ones(35, dtype=torch.int32)], {}),
        (ops.linear, [BITS, WEIGHT[:, :2], 40, 35], {}),
        (ops.linear_packed, [BITS, WEIGHT[:, :2], 40, 35], {}),
        (ops.linear_float_packed, [BITS, WEIGHT[:, :2], 40, 35], {}),
        (ops.linear_threshold, [BITS, WEIGHT[:, :2], 40, 35, torch.ones(35, dtype=torch.int32)], {}),
        (ops.conv2d_weight_only, [IMAGE, WEIGHT, *CONV], {"mul": torch.ones(35)}),
        (ops.conv2d_weight_only_packed, [IMAGE, WEIGHT, *CONV], {"threshold": torch.ones(35)}),
        (ops.conv2d_weight_only_float_packed, [IMAGE, WEIGHT, *CONV], {}),
        (ops.linear_weight_only, [torch.ones(3, 40), WEIGHT[:, :2], 40, 35], {}),
        (ops.linear_weight_only_packed, [torch.ones(3, 40), WEIGHT[:, :2], 40, 35], {}),
        (ops.linear_weight_only_float_packed, [torch.ones(3, 40), WEIGHT[:, :2], 40, 35], {}),
        (ops.max_pool2d, [BITS, [2, 2], [2, 2], [0] * 4, [1, 1]], {}),
    ],
)
def test_schema_fake_kernel_and_reference_agree(operator: Any, arguments: list[Any], keywords: dict[str, Any]) -> None:
    torch.library.opcheck(operator.default, tuple(arguments), keywords, test_utils=("test_schema", "test_faketensor"))
    expected = operator(*arguments, **keywords)
    expected = expected if isinstance(expected, tuple) else (expected,)
    names = ["out"] if len(expected) == 1 else ["out0", "out1"]
    outs = {name: torch.empty(0, dtype=value.dtype) for name, value in zip(names, expected, strict=True)}
    operator.out(*arguments, **keywords, **outs)
    assert all(torch.equal(out, value) for out, value in zip(outs.values(), expected, strict=True))
