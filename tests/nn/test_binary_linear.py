import inspect

import pytest
import torch
from torch import nn

from bittern.nn import BinaryLinear
from bittern.nn.channels import SCALES


def signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


def test_positional_signature_is_that_of_torch_but_for_the_default_of_bias() -> None:
    ours = list(inspect.signature(BinaryLinear).parameters.values())
    torchs = list(inspect.signature(nn.Linear).parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [p.name for p in torchs]
    assert {p.name for p, q in zip(positional, torchs, strict=True) if p.default != q.default} == {"bias"}


@pytest.mark.parametrize("shape", [(3, 33), (2, 5, 33), (33,), (0, 33)])
@pytest.mark.parametrize("bias", [False, True])
def test_output_is_the_product_of_the_signs(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = BinaryLinear(33, 7, bias), torch.randn(shape)
    expected = signs(x) @ signs(layer.weight.detach()).T
    torch.testing.assert_close(layer(x), expected + layer.bias if bias else expected)


@pytest.mark.parametrize("bias", [False, True])
def test_mean_scale_multiplies_by_the_mean_magnitude_of_each_row(bias: bool) -> None:
    layer, x = BinaryLinear(8, 5, bias, scale="mean"), torch.randn(3, 8)
    expected = signs(x) @ signs(layer.weight.detach()).T * layer.weight.detach().abs().mean(1)
    torch.testing.assert_close(layer(x), expected + layer.bias if bias else expected)


def test_learned_scale_starts_at_one_and_gets_a_gradient() -> None:
    layer, x = BinaryLinear(8, 5, scale="learned"), torch.randn(3, 8)
    dots = signs(x) @ signs(layer.weight.detach()).T
    assert torch.equal(layer(x), dots)
    layer(x).sum().backward()
    assert torch.equal(layer.scale.grad, dots.sum(0))


@pytest.mark.parametrize("scale", SCALES)
def test_parameter_names_do_not_depend_on_what_is_binarized(scale: str) -> None:
    binary, real = (BinaryLinear(4, 3, scale=scale, binarize_weight=b) for b in (True, False))
    assert list(binary.state_dict()) == list(real.state_dict())


@pytest.mark.parametrize("scale", ["none", "mean"])
def test_with_nothing_binarized_it_is_the_torch_layer(scale: str) -> None:
    layer = BinaryLinear(4, 6, True, scale=scale, binarize_input=False, binarize_weight=False)
    plain = nn.Linear(4, 6)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 4)
    assert torch.equal(layer(x), plain(x))


def test_device_and_dtype_reach_every_parameter() -> None:
    layer = BinaryLinear(2, 2, True, device="meta", dtype=torch.float64, scale="learned")
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}


def test_representation_shows_every_new_argument() -> None:
    text = repr(BinaryLinear(2, 4, scale="mean", binarize_input=False))
    assert text == (
        "BinaryLinear(in_features=2, out_features=4, bias=False, scale='mean', estimator='approx_sign', "
        "weight_estimator='ste', binarize_input=False, binarize_weight=True, weight_transform='none')"
    )


def test_an_unknown_scale_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match=f"scale must be one of {', '.join(map(repr, SCALES))}, got 'max'"):
        BinaryLinear(2, 2, scale="max")
