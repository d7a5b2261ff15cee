"""Every kernel gives the bits and floats of its reference, compiled by GCC and Clang, under sanitizers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bittern.export.c.operators.functions import exponential, square_root
from bittern.ops import layout
from export.c.compiled import adverse, differences
from export.deploy import Apply, generator

ops = torch.ops.bittern
COMPILERS = ("gcc", "clang")


def vector(count: int, seed: int) -> Tensor:
    return torch.randn(count, generator=generator(seed))


def signs(*shape: int, seed: int) -> Tensor:
    return torch.where(torch.rand(shape, generator=generator(seed)) < 0.5, -1.0, 1.0)


def rows(*tensors: Tensor) -> Tensor:
    """Results of any shape and type as one tensor of floats, a row for each image."""
    return torch.cat([_floats(each).flatten(1) for each in tensors], 1)


def _floats(tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.float32:
        return tensor
    return ops.unpack(tensor, tensor.shape[-1] * layout.WORD_BITS, -1).flatten(1)


class Calls(nn.Module):
    """A module of one function on images, with constants by name."""

    def __init__(self, function: Callable[..., Tensor], **constants: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, value in constants.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, **dict(self.named_buffers()))


# channels, filters, kernel, stride, padding, dilation, groups, pad_value
CONVOLUTIONS = {
    "3x3": (64, 40, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1, 0),
    "ones outside": (33, 33, [3, 2], [2, 1], [1, 2, 0, 1], [1, 2], 1, 1),
    "minus ones outside": (70, 7, [2, 3], [1, 2], [2, 1, 1, 2], [2, 1], 1, -1),
    "groups that share words": (40, 20, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 5, 0),
    "groups of words": (128, 64, [1, 3], [1, 1], [0, 0, 1, 1], [1, 1], 2, -1),
    "depthwise": (48, 96, [3, 3], [2, 2], [1, 1, 1, 1], [1, 1], 48, 1),
    "one bit": (1, 1, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1, 0),
    "deep": (512, 3, [3, 3], [3, 3], [0, 0, 0, 0], [1, 1], 1, 0),
}


def convolution(name: str) -> nn.Module:
    """All forms of one packed convolution, with every step of the epilogue."""
    channels, filters, kernel, *_, groups, _ = geometry = CONVOLUTIONS[name]
    weight = layout.pack_weight(signs(filters, channels // groups, *kernel, seed=1), groups)
    steps = {step: vector(filters, seed) for seed, step in enumerate(("mul", "add", "act_slope"), 2)}
    steps |= {step: vector(filters, seed) for seed, step in enumerate(("shift_in", "shift_slope", "shift_out"), 5)}

    def function(x: Tensor, weight: Tensor, threshold: Tensor, integers: Tensor, **steps: Tensor) -> Tensor:
        bits = ops.pack(x, None, 1)
        plain = ops.conv2d(bits, weight, *geometry)
        ranges = {"dot_min": -9.0, "dot_max": 20.0, "act_min": -1.5}
        value = ops.conv2d(bits, weight, *geometry, **ranges, **steps, residual=plain)
        both = ops.conv2d_float_packed(bits, weight, *geometry, **steps, residual=value, threshold=threshold)
        packed = ops.conv2d_packed(bits, weight, *geometry, act_max=2.0, mul=steps["mul"])
        return rows(value, *both, packed, ops.conv2d_threshold(bits, weight, *geometry, integers))

    integers = torch.randint(-9, 10, (filters,), generator=generator(9), dtype=torch.int32)
    return Calls(function, weight=weight, threshold=vector(filters, 8), integers=integers, **steps)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_binary_convolution_gives_the_bits_and_floats_of_its_reference(name: str, tmp_path: Path) -> None:
    inputs = adverse(2, CONVOLUTIONS[name][0], 6, 7)
    assert differences(convolution(name), inputs, tmp_path, passes=False) == []


FEATURES = (1, 31, 288, 2100, 8000, 150_000)


def test_counters_hold_every_bit_of_a_row(tmp_path: Path) -> None:
    """Where all products are alike, sums are as large as they can be."""

    def function(x: Tensor, **weights: Tensor) -> Tensor:
        bits = [ops.pack(x[:, :features], None, -1) for features in FEATURES]
        calls = zip(bits, weights.values(), FEATURES, strict=True)
        return torch.cat([ops.linear(*each, features, 2) for *each, features in calls], 1)

    weights = {f"weight_{features}": layout.pack_weight(torch.ones(2, features)) for features in FEATURES}
    assert differences(Calls(function, **weights), adverse(1, FEATURES[-1])[:3], tmp_path, passes=False) == []


def packed_operators(
    x: Tensor, weight: Tensor, mask: Tensor, linear: Tensor, threshold: Tensor, tokens: Tensor
) -> Tensor:
    """Of images [2, 40, 6, 7]."""
    bits = ops.pack(x, threshold, 1)
    geometry = (40, 33, [3, 2], [2, 1], [1, 0, 1, 1], [1, 1], 1, 0)
    value = ops.conv2d_weight_only(x, weight, *geometry, act_min=0.0)
    both = ops.conv2d_weight_only_float_packed(x, weight, *geometry)
    packed = ops.conv2d_weight_only_packed(x, weight, *geometry)
    pooled = ops.max_pool2d(bits, [3, 2], [2, 2], [1, 1, 0, 1], [1, 2])
    joined = ops.cat(ops.slice(bits, 0, 1), ops.negate(bits, mask))
    row = ops.linear_weight_only(x.flatten(1), linear, 40 * 42, 5)
    features = ops.linear_float_packed(ops.pack(x, None, -1), tokens, 7, 7, residual=x)
    return rows(value, *both, packed, pooled, joined, row, *features, ops.unpack(bits, 40, 1), ops.binarize(x))


def test_other_operators_of_bittern_give_the_bits_and_floats_of_their_references(tmp_path: Path) -> None:
    constants = {
        "weight": layout.pack_weight(signs(33, 40, 3, 2, seed=1)),
        "mask": torch.tensor([0x5A5A5A5A, 0x0F], dtype=torch.int32),
        "linear": layout.pack_weight(signs(5, 40 * 42, seed=2)),
        "threshold": vector(40, 3),
        "tokens": layout.pack_weight(signs(7, 7, seed=4)),
    }
    assert differences(Calls(packed_operators, **constants), adverse(2, 40, 6, 7), tmp_path, passes=False) == []


def float_layers(x: Tensor, **w: Tensor) -> Tensor:
    """Of images [2, 6, 8, 7]."""
    convolved = F.conv2d(F.pad(x, (0, 1, 2, 0)), w["conv"], w["bias"], stride=(2, 1), dilation=(1, 2))
    grouped = F.conv2d(x, w["grouped"], groups=2, padding="same")
    depthwise = F.conv2d(F.relu6(x), w["depthwise"], groups=6, padding=1)
    over = F.avg_pool2d(x, 3, 2, ceil_mode=True, count_include_pad=False)
    pooled = F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, (2, 3), (2, 1), (1, 1)), over
    uneven = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), F.pad(x, (1, 2, 0, 1), value=0.5)
    linear = F.linear(x.flatten(1), w["linear"], w["bias"]), F.linear(x, w["last"])
    return rows(convolved, grouped, depthwise, *pooled, *uneven, *linear, x.mean((2, 3), True), x.mean(3))


def arithmetic(x: Tensor, **w: Tensor) -> Tensor:
    """Of images [2, 6, 8, 7]."""
    y = torch.cat([x[:, 3:], x[:, :3]], 1)
    binary = (
        x + y,
        x - w["channel"],
        x * w["channel"],
        y / w["pixels"],
        2.0 * x,
        x + w["row"],
        torch.maximum(x, y),
        torch.minimum(x, w["row"]),
    )
    maps = F.prelu(x, w["slopes"]), F.leaky_relu(y, 0.1), F.hardtanh(x, -0.5, 0.7), torch.sigmoid(x), x.exp(), -x.abs()
    roots = torch.sqrt(x), torch.rsqrt(x)
    moved = x.permute(0, 2, 1, 3), x.transpose(1, 3), x[:, 1], x[:, :, 1:5], x.reshape(2, 12, 4, 7), x.unsqueeze(1)
    product = torch.bmm(x.flatten(2), x.flatten(2).transpose(1, 2))
    return rows(*binary, *maps, *roots, *moved, product, F.softmax(x, 3), F.softmax(x, 1))


FLOATS: dict[str, tuple[Callable[..., Tensor], dict[str, tuple[int, ...]]]] = {
    "layers": (
        float_layers,
        {"conv": (5, 6, 3, 2), "bias": (5,), "grouped": (10, 3, 3, 3), "depthwise": (12, 1, 3, 3)}
        | {"linear": (5, 6 * 56), "last": (3, 7)},
    ),
    "arithmetic": (arithmetic, {"channel": (6, 1, 1), "pixels": (8, 7), "row": (7,), "slopes": (6,)}),
}


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("name", FLOATS)
def test_float_operators_give_the_floats_of_their_references(name: str, cc: str, tmp_path: Path) -> None:
    function, shapes = FLOATS[name]
    constants = {key: torch.randn(shape, generator=generator(i)) for i, (key, shape) in enumerate(shapes.items())}
    assert differences(Apply(function, **constants), adverse(2, 6, 8, 7), tmp_path, cc) == []


def exponents() -> Iterator[Tensor]:
    yield torch.linspace(-90, 90, 4001).view(1, -1)
    yield torch.tensor(
        [[-87.31, -87.3, 88.69, 88.71, 0.3465, -0.3466, torch.inf, -torch.inf, torch.nan] + 3992 * [0.0]]
    )


def test_exp_and_sqrt_are_right_to_the_last_bits(tmp_path: Path) -> None:
    module = Calls(lambda x: torch.cat([x.exp(), torch.sqrt(x)], 1))
    inputs = list(exponents())
    assert differences(module, inputs, tmp_path) == []
    x = inputs[0].clamp(-87, 88)
    assert ((exponential(x).double() / x.double().exp() - 1).abs() < 2.1 * 2**-23).all()
    assert np.array_equal(square_root(x.abs()).numpy(), np.sqrt(x.abs().numpy()))
