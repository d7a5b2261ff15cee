"""Where a network broke is named by its first layer that did."""

import torch
from torch import nn

from bittern.train.divergence import first_broken_layer


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.ReLU())


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
