"""Keras' SAME padding, in a function and in three layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.nn import BinaryConv2d, Conv2dSame, MaxPool2dSame, same_padding


@pytest.mark.parametrize("size", range(1, 20))
@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_output_has_the_size_divided_by_the_stride_and_the_far_side_gets_more(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    near, far = same_padding(size, kernel, stride, dilation)
    window = (kernel - 1) * dilation + 1
    assert near <= far <= near + 1
    assert max(size + near + far - window, 0) // stride + 1 == -(-size // stride)


@pytest.mark.parametrize(
    ("arguments", "padding"),
    [
        ((224, 7, 2), (2, 3)),
        ((224, 3, 2), (0, 1)),
        ((7, 3, 2), (1, 1)),
        ((224, 11, 4), (3, 4)),
        ((28, 3, 1, 2), (2, 2)),
    ],
)
def test_padding_is_what_keras_documents(arguments: tuple[int, ...], padding: tuple[int, int]) -> None:
    assert same_padding(*arguments) == padding


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (8, 7)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (7, 2), (1, 1), (11, 4), (3, (1, 2))])
def test_a_real_convolution_pads_with_zeros(size: tuple[int, int], kernel: int, stride: int) -> None:
    layer, x = Conv2dSame(3, 5, kernel, stride), torch.randn(2, 3, *size)
    strides = stride if isinstance(stride, tuple) else (stride, stride)
    top, bottom = same_padding(size[0], kernel, strides[0])
    left, right = same_padding(size[1], kernel, strides[1])
    padded = F.pad(x, (left, right, top, bottom))
    torch.testing.assert_close(layer(x), F.conv2d(padded, layer.weight, layer.bias, strides))


def test_an_even_border_is_added_without_a_copy_of_the_image() -> None:
    program = torch.export.export(Conv2dSame(2, 2, 3, 2), (torch.randn(1, 2, 7, 7),))
    assert [n.target for n in program.graph.nodes if n.op == "call_function"] == [torch.ops.aten.conv2d.default]


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (8, 7)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (3, 1)])
def test_padding_never_wins_a_maximum(size: tuple[int, int], kernel: int, stride: int) -> None:
    x = -1 - torch.rand(1, 2, *size)
    (top, bottom), (left, right) = (same_padding(n, kernel, stride) for n in size)
    padded = F.pad(x, (left, right, top, bottom), value=-100.0)
    assert torch.equal(MaxPool2dSame(kernel, stride)(x), F.max_pool2d(padded, kernel, stride))


def test_max_pooling_without_a_border_is_one_node() -> None:
    program = torch.export.export(MaxPool2dSame(2), (torch.randn(1, 2, 8, 8),))
    assert [n.target for n in program.graph.nodes if n.op == "call_function"] == [torch.ops.aten.max_pool2d.default]


@pytest.mark.parametrize("size", [8, 7])
@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_a_binary_convolution_pads_its_signs(size: int, pad_value: int) -> None:
    layer = BinaryConv2d(3, 4, 3, 2, "same", pad_value=pad_value)
    x = torch.randn(2, 3, size, size)
    near, far = same_padding(size, 3, 2)
    signs = F.pad(torch.where(x < 0, -1.0, 1.0), (near, far, near, far), value=float(pad_value))
    assert torch.equal(layer(x), F.conv2d(signs, torch.where(layer.weight < 0, -1.0, 1.0), stride=2))
    assert layer(x).shape == (2, 4, 4, 4)
    assert "padding=same" in repr(layer)


def test_same_with_a_stride_and_another_border_is_refused() -> None:
    with pytest.raises(ValueError, match="padding 'same' with a stride goes with padding_mode 'zeros', got 'reflect'"):
        BinaryConv2d(1, 1, 3, 2, "same", padding_mode="reflect")


@pytest.mark.parametrize("layer", [Conv2dSame(3, 4, 3, 2), BinaryConv2d(3, 4, 3, 2, "same")])
def test_gradients_reach_input_and_weight(layer: nn.Conv2d) -> None:
    x = torch.randn(1, 3, 6, 6, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert layer.weight.grad.abs().sum() > 0
