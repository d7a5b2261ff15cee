import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bittern.nn import BinaryConvTranspose2d, BinaryLinear
from bittern.nn.channels import SCALES


def signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


def test_positional_signature_is_that_of_torch_but_for_the_default_of_bias() -> None:
    ours = list(inspect.signature(BinaryConvTranspose2d).parameters.values())
    torchs = list(inspect.signature(nn.ConvTranspose2d).parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [p.name for p in torchs]
    assert {p.name for p, q in zip(positional, torchs, strict=True) if p.default != q.default} == {"bias"}


def test_keyword_arguments_are_those_of_a_layer_without_a_border() -> None:
    def keywords(layer: type) -> dict[str, object]:
        parameters = inspect.signature(layer).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    assert keywords(BinaryConvTranspose2d) == keywords(BinaryLinear)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel_size=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_output_is_the_transposed_convolution_of_the_signs(
    groups: int, channels: tuple[int, int], bias: bool, seed: int, **geometry: Any
) -> None:
    torch.manual_seed(seed)
    arguments = {
        **geometry,
        "in_channels": channels[0] * groups,
        "out_channels": channels[1] * groups,
        "groups": groups,
        "bias": bias,
        "output_padding": geometry["stride"] - 1,
    }
    layer, plain = BinaryConvTranspose2d(**arguments), nn.ConvTranspose2d(**arguments)
    plain.load_state_dict({**layer.state_dict(), "weight": signs(layer.weight.detach())})
    x = torch.randn(2, channels[0] * groups, 5, 6)
    torch.testing.assert_close(layer(x), plain(signs(x)))


@pytest.mark.parametrize("groups", [1, 2])
def test_a_filter_is_all_weights_that_reach_an_output_channel(groups: int) -> None:
    layer = BinaryConvTranspose2d(4, 6, 3, stride=2, groups=groups, scale="mean")
    x = torch.randn(1, 4, 5, 5)
    weight = layer.weight.detach()
    dots = F.conv_transpose2d(signs(x), signs(weight), stride=2, groups=groups)
    per_group = weight.abs().view(groups, 4 // groups, 6 // groups, -1).mean((1, 3)).flatten()
    torch.testing.assert_close(layer(x), dots * per_group.view(-1, 1, 1))


@pytest.mark.parametrize("scale", SCALES)
def test_scales_and_biases_are_one_for_each_output_channel(scale: str) -> None:
    layer = BinaryConvTranspose2d(4, 6, 3, groups=2, bias=True, scale=scale)  # type: ignore[arg-type]
    assert layer(torch.randn(1, 4, 5, 5)).shape == (1, 6, 7, 7)
    assert layer.bias.shape == (6,)
    assert layer.scale is None or layer.scale.shape == (6,)


def test_gradients_follow_the_two_estimators() -> None:
    layer = BinaryConvTranspose2d(1, 1, 1, estimator="approx_sign", weight_estimator="ste")
    layer.weight.data.fill_(0.9)
    x = torch.tensor([0.25, 2.0]).view(2, 1, 1, 1).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.flatten().tolist() == [1.5, 0.0]
    assert layer.weight.grad.item() == 2.0


def test_a_balanced_filter_has_as_many_signs_of_each_kind_as_its_mean_divides() -> None:
    layer = BinaryConvTranspose2d(4, 2, 3, weight_transform="balanced")
    filters = layer.weight.detach().transpose(0, 1).flatten(1)
    expected = signs(filters - filters.mean(1, keepdim=True)).view(2, 4, 3, 3).transpose(0, 1)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(layer(x), F.conv_transpose2d(signs(x), expected))


def test_it_starts_like_the_torch_layer_and_has_its_state() -> None:
    torch.manual_seed(0)
    ours = BinaryConvTranspose2d(4, 6, 3, bias=True)
    torch.manual_seed(0)
    plain = nn.ConvTranspose2d(4, 6, 3)
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
        name: value.tolist() for name, value in plain.state_dict().items()
    }


def test_with_nothing_binarized_it_is_the_torch_layer() -> None:
    layer = BinaryConvTranspose2d(4, 6, 3, 2, 1, 1, 2, bias=True, binarize_input=False, binarize_weight=False)
    plain = nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(layer(x), plain(x))


def test_output_size_is_chosen_as_in_torch() -> None:
    layer = BinaryConvTranspose2d(4, 6, 3, stride=2, padding=1)
    assert layer(torch.randn(1, 4, 5, 5), output_size=[10, 9]).shape == (1, 6, 10, 9)
    with pytest.raises(ValueError, match="output size"):
        layer(torch.randn(1, 4, 5, 5), output_size=[12, 9])


def test_representation_and_dtype() -> None:
    layer = BinaryConvTranspose2d(2, 4, 3, stride=2, scale="learned", dtype=torch.float64)
    assert {p.dtype for p in layer.parameters()} == {torch.float64}
    assert "BinaryConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), bias=False, scale='learned'" in repr(layer)


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be one of"):
        BinaryConvTranspose2d(2, 2, 3, scale="max")  # type: ignore[arg-type]
