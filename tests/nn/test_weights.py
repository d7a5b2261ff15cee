"""Balanced weights and weights of two values per filter."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.nn.weights import WEIGHT_TRANSFORMS, binary_weight


def signs(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


def weight(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.3


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (5, 7)])
def test_balanced_weights_are_signs_around_the_mean_of_each_filter(shape: tuple[int, ...]) -> None:
    w = weight(*shape)
    found, real = binary_weight(w, "balanced", "ste", None)
    rows = w.flatten(1)
    standardized = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
    torch.testing.assert_close(real.flatten(1), standardized)
    assert torch.equal(found, signs(standardized).view(shape).double())
    torch.testing.assert_close(real.flatten(1).std(1), torch.ones(shape[0], dtype=torch.float64))


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (5, 7)])
def test_adabin_weights_take_the_values_mean_plus_and_minus_deviation(shape: tuple[int, ...]) -> None:
    w = weight(*shape)
    found, _ = binary_weight(w, "adabin", "ste", None)
    for values, row in zip(found.flatten(1), w.flatten(1), strict=True):
        spread = row.var(correction=0).sqrt()
        torch.testing.assert_close(values, torch.where(row < row.mean(), row.mean() - spread, row.mean() + spread))


@pytest.mark.parametrize("transform", ["balanced", "adabin"])
def test_gradients_pass_through_mean_and_deviation(transform: str) -> None:
    w, incoming = weight(3, 5).requires_grad_(), torch.randn(3, 5, dtype=torch.float64)
    binary_weight(w, transform, "identity", None)[0].backward(incoming)
    z = w.detach().clone().requires_grad_()
    mean, spread = z.mean(1, keepdim=True), z.std(1, keepdim=True, correction=int(transform == "balanced"))
    real = (z - mean) / spread
    straight = real + (signs(real).double() - real).detach()  # its derivative by real is 1
    (straight if transform == "balanced" else straight * spread + mean).backward(incoming)
    torch.testing.assert_close(w.grad, z.grad)


@pytest.mark.parametrize("transform", ["balanced", "adabin"])
def test_filters_of_equal_weights_have_finite_values_and_gradients(transform: str) -> None:
    w = torch.full((2, 6), 0.5, requires_grad=True)
    y, _ = binary_weight(w, transform, "ste", None)
    y.sum().backward()
    assert y.isfinite().all()
    assert w.grad.isfinite().all()


@pytest.mark.parametrize("transform", WEIGHT_TRANSFORMS)
@pytest.mark.parametrize("groups", [1, 2])
def test_layers_compute_with_transformed_weights(transform: str, groups: int) -> None:
    conv, x = BinaryConv2d(4, 6, 3, groups=groups, bias=True, weight_transform=transform), torch.randn(2, 4, 5, 5)
    binary, _ = binary_weight(conv.weight.detach(), transform, "ste", None)
    torch.testing.assert_close(conv(x), F.conv2d(signs(x), binary, conv.bias, groups=groups))
    linear, rows = BinaryLinear(9, 5, weight_transform=transform), torch.randn(3, 9)
    binary, _ = binary_weight(linear.weight.detach(), transform, "ste", None)
    torch.testing.assert_close(linear(rows), signs(rows) @ binary.T)


def test_the_power_of_two_scale_is_of_the_standardized_weights() -> None:
    layer, x = BinaryLinear(64, 5, weight_transform="balanced", scale="power_of_two"), torch.randn(3, 64)
    layer.weight.data.mul_(torch.tensor([0.01, 0.1, 1, 10, 100])[:, None])
    binary, real = binary_weight(layer.weight.detach(), "balanced", "ste", None)
    scale = 2 ** real.abs().mean(1).log2().round()
    assert torch.equal(layer(x), signs(x) @ binary.T * scale)
    assert set(scale.tolist()) <= {0.5, 1.0}  # E|v| of a standard normal is 0.8


@pytest.mark.parametrize(("mean", "scale"), [(0.75, 1.0), (0.7, 0.5), (3.0, 4.0), (0.26, 0.25)])
def test_the_power_of_two_scale_rounds_the_logarithm_of_the_mean(mean: float, scale: float) -> None:
    layer = BinaryLinear(4, 1, scale="power_of_two")
    layer.weight.data.fill_(mean)
    assert layer(torch.ones(1, 4)).item() == 4 * scale


@pytest.mark.parametrize("transform", ["balanced", "adabin"])
def test_real_weights_are_not_transformed(transform: str) -> None:
    layer = BinaryLinear(4, 3, weight_transform=transform, binarize_input=False, binarize_weight=False)
    x = torch.randn(2, 4)
    assert torch.equal(layer(x), F.linear(x, layer.weight))


@pytest.mark.parametrize(
    "layer", [BinaryConv2d(2, 2, 3, weight_transform="adabin"), BinaryLinear(2, 2, weight_transform="adabin")]
)
def test_representation_names_the_transform(layer: nn.Module) -> None:
    assert "weight_transform='adabin'" in repr(layer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight_transform": "mean"}, "weight_transform must be one of 'none', 'balanced', 'adabin', got 'mean'"),
        ({"weight_transform": "adabin", "scale": "mean"}, "scale must be 'none' or 'learned', got 'mean'"),
        ({"weight_transform": "balanced", "groups": 2, "kernel_size": 1}, "at least 2 weights, got 1"),
    ],
)
def test_a_transform_that_makes_no_sense_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BinaryConv2d(2, 2, **{"kernel_size": 3, **arguments})
    if "groups" in arguments:
        with pytest.raises(ValueError, match=message):
            BinaryLinear(1, 2, weight_transform="balanced")
