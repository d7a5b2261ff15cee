"""Weights that are standardized before their sign is taken are binary all the same, and count as such."""

import pytest
from torch import nn

from bittern.models import summary
from bittern.nn import BinaryConv2d


@pytest.mark.parametrize("transform", ["none", "balanced"])
@pytest.mark.parametrize("estimator", ["ste", "ede"])
def test_the_weights_of_a_binary_layer_are_one_bit_each(transform: str, estimator: str) -> None:
    layer = BinaryConv2d(8, 4, 3, weight_transform=transform, estimator=estimator, weight_estimator=estimator)
    counted = summary(nn.Sequential(layer), (8, 6, 6))
    assert counted.parameters == {1: 8 * 4 * 9}
    assert counted.unlearned == 0
