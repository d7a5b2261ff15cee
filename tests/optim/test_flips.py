"""Flips are counted as AdamBNN's equations 4 and 5 say."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bittern.nn import BinaryLinear
from bittern.nn.weights import WEIGHT_TRANSFORMS, binary_weight
from bittern.optim.flips import FlipCounter, centred_weights


def test_the_rate_is_the_mean_share_of_weights_that_changed_sign() -> None:
    a, b = torch.ones(6), -torch.ones(2, 2)
    counter = FlipCounter([a, b])
    assert counter.rate() is None
    a[:3] = -0.5
    counter.update()
    assert counter.rate() == pytest.approx(3 / 10)
    b[0, 0], a[0] = 2.0, 1.0
    counter.update()
    assert counter.rate() == pytest.approx((3 + 2) / 2 / 10)
    counter.reset()
    counter.update()
    assert counter.rate() == 0.0


def test_zero_counts_as_plus_one_as_in_binarize() -> None:
    weight = torch.ones(2)
    counter = FlipCounter([weight])
    weight.copy_(torch.tensor([0.0, -0.0]))
    counter.update()
    assert counter.rate() == 0.0


@pytest.mark.parametrize("transform", WEIGHT_TRANSFORMS)
def test_flips_are_of_the_signs_that_the_layer_computes_with(transform: str) -> None:
    torch.manual_seed(0)
    layer = BinaryLinear(16, 4, weight_transform=transform)  # type: ignore[arg-type]
    counter = FlipCounter([layer.weight], centred_weights(layer))

    def negative() -> torch.Tensor:
        return binary_weight(layer.weight.detach(), transform, "ste", None)[1] < 0

    for _ in range(3):
        before = negative()
        layer.weight.data += 0.1 * torch.randn(4, 16)
        counter.update()
        assert counter.rate() == pytest.approx((negative() != before).float().mean().item())
        counter.reset()
    assert (negative() != before).any()


def test_the_means_are_those_of_the_latent_weights_behind_a_parametrization() -> None:
    layer = BinaryLinear(4, 1, weight_transform="balanced")
    parametrize.register_parametrization(layer, "weight", nn.Tanh())
    assert [id(p) for p in centred_weights(layer)] == [id(layer.parametrizations.weight.original)]


def test_moving_a_whole_filter_flips_nothing_where_its_mean_is_taken_off() -> None:
    layer = BinaryLinear(4, 1, weight_transform="balanced")
    layer.weight.data.copy_(torch.tensor([[0.5, 0.25, -0.25, -0.5]]))
    counter = FlipCounter([layer.weight], centred_weights(layer))
    layer.weight.data += 1
    counter.update()
    assert counter.rate() == 0.0


def test_the_state_goes_on_where_it_stood() -> None:
    weight = torch.ones(4)
    counter = FlipCounter([weight])
    weight.neg_()
    counter.update()
    other = FlipCounter([weight])
    other.restore(counter.state())
    other.update()
    assert other.rate() == pytest.approx(0.5)


def test_without_weights_there_is_no_rate() -> None:
    counter = FlipCounter([])
    counter.update()
    assert counter.rate() is None
