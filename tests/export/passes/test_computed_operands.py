"""Biases and BatchNorms that are computed from the input: no pass may take them for missing."""

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor

from bittern.export.passes.binary import REAL_INPUT
from bittern.ops import binarize

IMAGES = quarters(2, 8, 5, 5)
SIGNS, FILTERS = powers_of_two(8, 8, 1, 1).sign(), quarters(8, 8, 3, 3)
ROWS = SIGNS.flatten(1)
MEAN, VARIANCE = quarters(8, seed=1), torch.full((8,), 4.0)
NORM = exact_batch_norm(8).eval().requires_grad_(False)
BIAS = "its bias is computed from the input"


def gate(x: Tensor) -> Tensor:
    return x[0, :, 0, 0]


def norm(x: Tensor, mean: Tensor, variance: Tensor, *affine: Tensor) -> Tensor:
    return F.batch_norm(x, mean, variance, *affine, eps=0.0)


def packed(x: Tensor) -> Tensor:
    return F.conv2d(binarize(x), SIGNS)


def joined(x: Tensor) -> Tensor:
    return torch.cat([packed(x), packed(x - 1)], 1)


LAYERS = {
    "convolution": (lambda x: F.conv2d(binarize(x), SIGNS, gate(x)), BIAS),
    "linear": (lambda x: F.linear(binarize(x[:, :, 0, 0]), ROWS, gate(x)), BIAS),
    "weight-only convolution": (lambda x: F.conv2d(x, SIGNS, gate(x)), f"{REAL_INPUT}, and {BIAS}"),
    "weight-only linear": (lambda x: F.linear(x[:, :, 0, 0], ROWS, gate(x)), f"{REAL_INPUT}, and {BIAS}"),
    "set of inputs": (lambda x: F.conv2d(binarize(x) / 2 + 1, SIGNS, gate(x)), f"{REAL_INPUT}, and {BIAS}"),
    "set of weights": (lambda x: F.conv2d(binarize(x), SIGNS / 2 + 1, gate(x)), "its input is binary, but 8 of"),
}


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_with_a_computed_bias_stays_float_and_says_why(case: str) -> None:
    function, reason = LAYERS[case]
    deployed = Deployed(Apply(function), IMAGES)
    assert not {"conv2d", "linear", "conv2d_weight_only", "linear_weight_only"} & set(deployed.operators)
    assert any(text.startswith(reason) for text in deployed.reasons), deployed.reasons
    deployed.check_equal()


NORMS = {
    "behind a float convolution": lambda x: norm(F.conv2d(x, FILTERS), MEAN, VARIANCE, gate(x), gate(x)),
    "behind a packed convolution": lambda x: norm(packed(x), MEAN, VARIANCE, gate(x), gate(x)),
    "in front of binarize": lambda x: packed(norm(x, MEAN, VARIANCE, gate(x), gate(x))),
    "behind joined layers": lambda x: norm(joined(x), MEAN.repeat(2), VARIANCE.repeat(2), gate(x).repeat(2)),
    "computed mean": lambda x: norm(packed(x), gate(x), VARIANCE),
    "computed variance": lambda x: norm(x, MEAN, gate(x) * 0 + 4),
}


@pytest.mark.parametrize("case", NORMS)
def test_a_batch_norm_of_computed_values_stays(case: str) -> None:
    deployed = Deployed(Apply(NORMS[case]), IMAGES)
    assert "aten::_native_batch_norm_legit_no_training" in deployed.operators
    deployed.check_equal()


def test_a_computed_bias_in_front_of_a_batch_norm_stays() -> None:
    deployed = Deployed(Apply(lambda x: NORM(F.conv2d(x, FILTERS, gate(x)))), IMAGES)
    assert deployed.operators.count("aten::conv2d") == 2
    deployed.check_equal()


def test_computed_slopes_stay_behind_joined_layers() -> None:
    deployed = Deployed(Apply(lambda x: F.prelu(joined(x), gate(x).repeat(2))), IMAGES)
    assert deployed.operators[-1] == "aten::prelu"
    deployed.check_equal()
