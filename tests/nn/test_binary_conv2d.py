import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bittern.nn import BinaryConv2d
from bittern.nn.channels import SCALES


def signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


def test_positional_signature_is_that_of_torch_but_for_the_default_of_bias() -> None:
    ours = list(inspect.signature(BinaryConv2d).parameters.values())
    torchs = list(inspect.signature(nn.Conv2d).parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [p.name for p in torchs]
    assert {p.name for p, q in zip(positional, torchs, strict=True) if p.default != q.default} == {"bias"}
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(torchs) :])


@st.composite
def shapes(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...]]:
    groups = draw(st.sampled_from([1, 2, 3]))
    stride = draw(st.sampled_from([1, 2, (1, 2)]))
    padding = draw(st.sampled_from([0, 1, 2, (2, 1), "valid"] + (["same"] if stride == 1 else [])))
    arguments = {
        "in_channels": groups * draw(st.integers(1, 5)),
        "out_channels": groups * draw(st.integers(1, 4)),
        "kernel_size": draw(st.sampled_from([1, 2, 3, (3, 2)])),
        "stride": stride,
        "padding": padding,
        "dilation": draw(st.sampled_from([1, 2])),
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return arguments, (draw(st.integers(1, 2)), arguments["in_channels"], draw(st.integers(6, 9)), 7)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # torch warns once per process
@settings(max_examples=60, deadline=None)
@given(shapes(), st.integers(0, 2**31))
def test_output_is_the_convolution_of_the_signs_for_every_geometry(
    case: tuple[dict[str, Any], tuple[int, ...]], seed: int
) -> None:
    torch.manual_seed(seed)
    arguments, shape = case
    layer, plain, x = BinaryConv2d(**arguments), nn.Conv2d(**arguments), torch.randn(shape)
    plain.load_state_dict({**layer.state_dict(), "weight": signs(layer.weight.detach())})
    torch.testing.assert_close(layer(x), plain(signs(x)))


@pytest.mark.parametrize("pad_value", [1, -1])
@pytest.mark.parametrize("padding", [1, (2, 1), "same", "valid"])
@pytest.mark.parametrize("kernel_size", [3, (2, 4)])
def test_a_border_value_equals_padding_the_signs_by_hand(
    pad_value: int, padding: int | tuple[int, int] | str, kernel_size: int | tuple[int, int]
) -> None:
    layer = BinaryConv2d(5, 3, kernel_size, padding=padding, dilation=2, pad_value=pad_value)
    plain = nn.Conv2d(5, 3, kernel_size, padding=padding, dilation=2, bias=False)
    plain.weight.data.copy_(signs(layer.weight.detach()))
    x = torch.randn(2, 5, 9, 10)
    # A constant border c adds what a zero border misses: conv(x) + c * (conv(1, border 1) - conv(1, border 0)).
    ones = torch.ones_like(x)
    everywhere = plain.weight.sum((1, 2, 3)).view(1, -1, 1, 1)
    torch.testing.assert_close(layer(x), plain(signs(x)) + pad_value * (everywhere - plain(ones)))


def test_binary_dot_products_are_exact_integers_of_the_right_parity() -> None:
    layer = BinaryConv2d(64, 8, 3)
    y = layer(torch.randn(1, 64, 10, 10))
    assert torch.equal(y, y.round())
    assert torch.equal(y % 2, torch.full_like(y, 576 % 2))


@pytest.mark.parametrize("bias", [False, True])
def test_mean_scale_multiplies_the_output_by_the_mean_magnitude_of_each_filter(bias: bool) -> None:
    layer = BinaryConv2d(6, 4, 3, bias=bias, scale="mean")
    x = torch.randn(2, 6, 5, 5)
    scale = layer.weight.detach().abs().mean((1, 2, 3)).view(-1, 1, 1)
    expected = F.conv2d(signs(x), signs(layer.weight.detach())) * scale
    torch.testing.assert_close(layer(x), expected + layer.bias.view(-1, 1, 1) if bias else expected)


def test_gradient_of_the_weight_takes_the_mean_scale_as_a_constant() -> None:
    layer = BinaryConv2d(1, 1, 1, scale="mean")
    layer.weight.data.fill_(0.5)
    layer(torch.ones(1, 1, 1, 1)).sum().backward()
    assert layer.weight.grad.item() == 0.5


def test_learned_scale_starts_at_one_and_gets_a_gradient() -> None:
    layer = BinaryConv2d(6, 4, 3, bias=True, scale="learned")
    x = torch.randn(2, 6, 5, 5)
    dots = F.conv2d(signs(x), signs(layer.weight.detach()))
    torch.testing.assert_close(layer(x), dots + layer.bias.view(-1, 1, 1))
    layer(x).sum().backward()
    torch.testing.assert_close(layer.scale.grad, dots.sum((0, 2, 3)))


@pytest.mark.parametrize("scale", SCALES)
def test_parameter_names_do_not_depend_on_what_is_binarized(scale: str) -> None:
    def names(**switches: bool) -> list[str]:
        return list(BinaryConv2d(4, 4, 3, bias=True, scale=scale, **switches).state_dict())

    assert names() == names(binarize_weight=False) == names(binarize_input=False, binarize_weight=False)


@pytest.mark.parametrize("scale", ["none", "mean"])
def test_with_nothing_binarized_it_is_the_torch_layer(scale: str) -> None:
    layer = BinaryConv2d(4, 6, 3, padding=1, bias=True, scale=scale, binarize_input=False, binarize_weight=False)
    plain = nn.Conv2d(4, 6, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(layer(x), plain(x))


def test_gradients_follow_the_two_estimators() -> None:
    layer = BinaryConv2d(1, 1, 1, estimator="approx_sign", weight_estimator="ste")
    layer.weight.data.fill_(0.9)
    x = torch.tensor([0.25, 2.0]).view(2, 1, 1, 1).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.flatten().tolist() == [1.5, 0.0]
    assert layer.weight.grad.item() == 2.0


def test_device_and_dtype_reach_every_parameter() -> None:
    layer = BinaryConv2d(2, 2, 3, bias=True, device="meta", dtype=torch.float64, scale="learned")
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}


def test_representation_shows_every_new_argument() -> None:
    text = repr(BinaryConv2d(2, 4, 3, scale="mean", pad_value=-1, estimator="identity", binarize_weight=False))
    assert "BinaryConv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), bias=False" in text
    assert "scale='mean', estimator='identity', weight_estimator='ste', binarize_input=True" in text
    assert "binarize_weight=False, weight_transform='none', pad_value=-1" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": "max"}, f"scale must be one of {', '.join(map(repr, SCALES))}, got 'max'"),
        ({"estimator": "tanh"}, "unknown estimator 'tanh': known are approx_sign, "),
        ({"weight_estimator": "tanh"}, "unknown estimator 'tanh': known are approx_sign, "),
        ({"pad_value": 2}, r"pad_value must be 0, \+1 or -1, got 2"),
        ({"pad_value": 1, "padding_mode": "reflect"}, "pad_value \\+1 and padding_mode 'reflect' both set"),
    ],
)
def test_a_bad_argument_is_refused_with_the_rule(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BinaryConv2d(2, 2, 3, **arguments)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_exported_layer_shows_two_binarize_nodes_and_the_same_numbers(scale: str, pad_value: int) -> None:
    layer = BinaryConv2d(4, 8, 3, padding=1, scale=scale, pad_value=pad_value).eval()
    x = torch.randn(1, 4, 6, 6)
    program = torch.export.export(layer, (x,))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert targets.count(torch.ops.bittern.binarize.default) == 2
    assert targets.count(torch.ops.aten.conv2d.default) == 1
    assert targets.count(torch.ops.aten.pad.default) == (pad_value != 0)
    assert torch.equal(program.module()(x), layer(x))
