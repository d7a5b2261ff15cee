"""Where a network broke is named by its first layer that did."""

import math

import pytest
import torch
from torch import nn

from bittern.train.divergence import all_finite, first_broken_layer, not_finite


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.ReLU())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_single_number_that_is_not_finite_is_found_and_its_tensor_named(value: float) -> None:
    tensors = {"sound": torch.ones(3), "count": torch.tensor(4), "broken": torch.tensor([[1.0, value]])}
    assert not all_finite(list(tensors.values())[::2])
    assert not_finite(tensors) == ["broken"]


def test_large_numbers_whose_norm_overflows_are_finite() -> None:
    assert all_finite([torch.full((3,), 3e38), torch.zeros(0)])
    assert all_finite([])


def test_a_sound_network_has_no_broken_layer() -> None:
    assert first_broken_layer(network(), torch.rand(2, 1, 3, 3)) == "every output is finite"


def test_the_first_output_that_is_not_finite_is_named_with_the_weights_that_are_not() -> None:
    model = network()
    with torch.no_grad():
        model[2].weight.fill_(float("nan"))
        model[2].bias.fill_(float("inf"))
    text = first_broken_layer(model, torch.rand(2, 1, 3, 3))
    assert (
        text == "the first output that is not finite is that of layer '2', and '2.weight' is not finite (with 1 others)"
    )


def test_no_hook_stays_behind() -> None:
    model = network()
    first_broken_layer(model, torch.rand(2, 1, 3, 3))
    assert not any(module._forward_hooks for module in model.modules())
