"""Step functions beside the sign."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bittern.nn import AdaBinSign, DoReFaWeight, MagnitudeAwareSign, SteHeaviside, SteTern

AWKWARD = [-math.inf, -2.0, -1.0, -0.05, -0.0, 0.0, 0.04, 0.05, 0.5, 1.0, 1.25, math.inf, math.nan]


def gradient(layer: nn.Module, x: torch.Tensor, incoming: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    layer(x).backward(incoming)
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_heaviside_is_one_above_zero_and_ternary_zero_around_it(dtype: torch.dtype) -> None:
    x = torch.tensor(AWKWARD, dtype=dtype)
    heaviside, ternary = SteHeaviside()(x), SteTern(0.05)(x)
    assert heaviside.dtype == ternary.dtype == dtype
    assert heaviside.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0]
    assert ternary.tolist() == [-1, -1, -1, -1, 0, 0, 0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("make", [SteHeaviside, SteTern])
@pytest.mark.parametrize("estimator", ["ste", "ste_1.25", "identity"])
def test_their_gradient_is_the_estimators(make: Any, estimator: str) -> None:
    x, incoming = torch.tensor(AWKWARD), torch.linspace(1, 2, len(AWKWARD))
    bound = {"ste": 1.0, "ste_1.25": 1.25, "identity": math.inf}[estimator]
    passes = torch.tensor([abs(v) <= bound or estimator == "identity" for v in AWKWARD])
    assert torch.equal(gradient(make(estimator=estimator), x, incoming), passes * incoming)
    square = torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last)
    again = torch.randn(2, 4, 3, 3)
    assert torch.equal(gradient(make(), square, again), (square.abs() <= 1) * again)


def test_the_threshold_of_ternary_weight_networks_is_of_the_whole_tensor() -> None:
    w = torch.tensor([[1.0, -0.6], [0.2, 0.0]])  # mean |w| 0.45, threshold 0.315
    assert SteTern("twn")(w).tolist() == [[1, -1], [0, 0]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_dorefa_weights_are_levels_from_minus_one_to_one(bits: int) -> None:
    w = torch.linspace(-2, 2, 4001)
    y = DoReFaWeight(bits)(w)
    n = 2**bits - 1
    expected = 2 * (n * (w.tanh() / (2 * math.tanh(2)) + 0.5)).round() / n - 1
    torch.testing.assert_close(y, expected)
    assert len(y.unique()) == 2**bits
    assert (y.min(), y.max()) == (-1, 1)


def test_the_gradient_of_dorefa_weights_is_that_of_the_tangent() -> None:
    w, incoming = torch.randn(50, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    largest = w.tanh().abs().max()
    torch.testing.assert_close(gradient(DoReFaWeight(2), w, incoming), incoming * (1 - w.tanh() ** 2) / largest)
    assert torch.equal(gradient(DoReFaWeight(2), torch.zeros(3), torch.ones(3)), torch.zeros(3))


def test_magnitude_aware_sign_multiplies_by_the_mean_of_each_filter_which_is_a_constant() -> None:
    w, incoming = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    scale = w.abs().mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(MagnitudeAwareSign()(w), torch.where(w < 0, -scale, scale))
    torch.testing.assert_close(gradient(MagnitudeAwareSign(), w, incoming), (w.abs() <= 1) * incoming * scale)


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("size", [1e-45, 1e-40, 1e-38, 1e-30, 1.0])
def test_dorefa_rounds_the_smallest_weights_as_it_rounds_others(bits: int, size: float) -> None:
    w = torch.tensor([1.0, -1.0, 0.0, 1.0]) * size
    expected = torch.tensor([1.0, -1.0, 1 / 3, 1.0] if bits == 2 else [1.0, -1.0, -1.0, 1.0])
    torch.testing.assert_close(DoReFaWeight(bits)(w), expected)
    assert torch.isfinite(DoReFaWeight(bits)(torch.zeros(3))).all()


@pytest.mark.parametrize("transform", [SteHeaviside(), SteTern(), DoReFaWeight(2), MagnitudeAwareSign()])
@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv3d(2, 3, 2), nn.ConvTranspose2d(3, 2, 2)])
def test_they_transform_the_weights_of_any_torch_layer(transform: nn.Module, layer: nn.Module) -> None:
    latent = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", transform)
    assert torch.equal(layer.weight, transform(latent))
    layer.weight.sum().backward()
    assert layer.parametrizations.weight.original.grad.count_nonzero() > 0
    parametrize.remove_parametrizations(layer, "weight")


def learned_set(**options: Any) -> AdaBinSign:
    layer = AdaBinSign(dtype=torch.float64, **options)
    layer.distance.data.fill_(0.8)
    layer.centre.data.fill_(0.3)
    return layer


def test_a_learned_set_has_two_values_split_at_the_centre() -> None:
    x = torch.tensor([-5.0, 0.29, 0.3, 0.31, math.nan], dtype=torch.float64)
    torch.testing.assert_close(learned_set()(x), torch.tensor([-0.5, -0.5, 1.1, 1.1, 1.1], dtype=torch.float64))
    assert AdaBinSign()(torch.tensor([-2.0, 3.0])).tolist() == [-1, 1]


def test_the_learned_set_has_the_gradient_of_its_equation() -> None:
    x = torch.linspace(-1, 1, 21, dtype=torch.float64).requires_grad_()
    incoming = torch.randn(21, dtype=torch.float64)
    layer = learned_set(estimator="identity")
    layer(x).backward(incoming)
    a, b = (p.detach().clone().requires_grad_() for p in (layer.distance, layer.centre))
    z = x.detach().clone().requires_grad_()
    real = (z - b) / a
    sign = real + (torch.where(real < 0, -1.0, 1.0) - real).detach()
    (a * sign + b).backward(incoming)
    for found, expected in ((x, z), (layer.distance, a), (layer.centre, b)):
        torch.testing.assert_close(found.grad, expected.grad)


@pytest.mark.parametrize("pad_value", [-1, 1])
def test_the_border_of_a_learned_set_is_in_the_set(pad_value: int) -> None:
    y = learned_set(padding=2, pad_value=pad_value)(torch.randn(1, 2, 3, 4, dtype=torch.float64))
    assert y.shape == (1, 2, 7, 8)
    torch.testing.assert_close(y[0, 0, 0], torch.full((8,), 0.3 + 0.8 * pad_value, dtype=torch.float64))


def test_under_autocast_the_learned_set_keeps_the_dtype_of_the_activations() -> None:
    assert AdaBinSign()(torch.randn(2, 3).bfloat16()).dtype == torch.bfloat16


def test_representations_show_every_argument() -> None:
    assert repr(SteHeaviside(estimator="ste_1.25")) == "SteHeaviside(estimator='ste_1.25')"
    assert repr(SteTern("twn")) == "SteTern(threshold='twn', estimator='ste')"
    assert repr(DoReFaWeight(3)) == "DoReFaWeight(bits=3)"
    assert repr(AdaBinSign(1)) == "AdaBinSign(padding=1, pad_value=-1, estimator='approx_sign')"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SteTern(0), "threshold must be above 0 or 'twn', got 0"),
        (lambda: SteTern("mean"), "threshold must be above 0 or 'twn', got 'mean'"),
        (lambda: SteTern(math.nan), "threshold must be above 0"),
        (lambda: SteHeaviside(estimator="ede"), "estimator 'ede' changes during training"),
        (lambda: DoReFaWeight(0), r"bits must be in 1\.\.16, got 0"),
        (lambda: AdaBinSign(pad_value=0), r"pad_value must be -1 or \+1, got 0"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
