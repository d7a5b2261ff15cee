from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from torch import Tensor

from bittern.ops import binarize

CHANNELS = 40
SHIFT, SCALE = quarters(1, CHANNELS, 1, 1), powers_of_two(1, CHANNELS, 1, 1, seed=1)
SOME_ZERO = SCALE * torch.arange(CHANNELS).remainder(3).sign().reshape(1, CHANNELS, 1, 1)
NORM = exact_batch_norm(CHANNELS).eval().requires_grad_(False)
FALLING = exact_batch_norm(CHANNELS).eval().requires_grad_(False)
FALLING.weight.data.neg_()


def deploy(function: Callable[[Tensor], Tensor]) -> Deployed:
    weight = quarters(8, CHANNELS, 3, 3, seed=2)
    return Deployed(
        Apply(lambda x, w: F.conv2d(binarize(function(x)), binarize(w), padding=1), w=weight),
        quarters(2, CHANNELS, 6, 5, seed=3),
    )


STEPS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "shift": (lambda x: x + SHIFT, False),
    "shift from the left": (lambda x: SHIFT + x, False),
    "difference": (lambda x: x - SHIFT, False),
    "reversed difference": (lambda x: SHIFT - x, True),
    "negation": (lambda x: 0.5 - x, True),
    "scale of both signs": (lambda x: x * SCALE, True),
    "quotient of both signs": (lambda x: x / SCALE, True),
    "scale that is zero somewhere": (lambda x: (x + 1) * SOME_ZERO + SHIFT, True),
    "BatchNorm": (lambda x: NORM(x), bool((NORM.weight < 0).any())),
    "BatchNorm of other signs": (lambda x: FALLING(x), bool((FALLING.weight < 0).any())),
    "clamp": (lambda x: x.clamp(-1, 0.5) - SHIFT, False),
    "clamp whose bounds cross": (lambda x: x.clamp(1, -1), False),
    "clamp whose bounds cross above zero": (lambda x: x.clamp(3, 2) - SHIFT, False),
    "falling clamp whose bounds cross": (lambda x: SHIFT - x.clamp(0.5, -0.5), False),
    "clamp of a falling step": (lambda x: SHIFT - F.hardtanh(x), True),
    "all at once": (lambda x: F.hardtanh(FALLING(SHIFT - x * SCALE) - SHIFT) + 0.25, True),
}


@pytest.mark.parametrize("step", STEPS)
def test_what_moves_a_threshold_needs_no_float_arithmetic(step: str) -> None:
    function, falls = STEPS[step]
    deployed = deploy(function)
    assert deployed.operators == ["pack", *(["negate"] if falls else []), "conv2d"]
    deployed.check_equal()


# What becomes of infinity, -infinity and NaN; where PyTorch gives another sign is said.
NOT_FINITE: dict[str, tuple[Callable[[Tensor], Tensor], list[float], str]] = {
    "rising": (lambda x: x - 1, [1, -1, 1], ""),
    "falling": (lambda x: 1 - x, [-1, 1, -1], "nan"),
    "clamp to a positive number": (lambda x: x.clamp(1, 2), [1, 1, 1], ""),
    "clamp to a negative number": (lambda x: x.clamp(-2, -1), [1, -1, 1], "inf"),
    "falling clamp to a positive number": (lambda x: 1 - x.clamp(-2, -1), [1, 1, 1], ""),
    "falling clamp to a negative number": (lambda x: 1 - x.clamp(2, 3), [1, -1, 1], "inf"),
    "factor of 0, then positive": (lambda x: x * 0.0 + 1, [1, 1, 1], ""),
    "factor of 0, then negative": (lambda x: x * 0.0 - 1, [1, -1, 1], "-inf"),
}


@pytest.mark.parametrize("case", NOT_FINITE)
def test_values_that_are_not_finite_have_the_documented_signs(case: str) -> None:
    function, expected, other = NOT_FINITE[case]
    values = {"inf": float("inf"), "-inf": -float("inf"), "nan": float("nan")}
    ones = torch.ones(1, 1, 1, 1)
    x = torch.tensor(list(values.values())).reshape(3, 1, 1, 1)
    deployed = Deployed(Apply(lambda x: F.conv2d(binarize(function(x)), ones)), x)
    assert deployed.operators[-1] == "conv2d"
    signs = deployed.graph.module(x).flatten().tolist()
    assert signs == expected
    differ = binarize(function(x)).flatten() != torch.tensor(expected)
    assert [name for name, different in zip(values, differ.tolist(), strict=True) if different] == other.split()


def test_what_is_also_read_as_float_stays() -> None:
    weight = quarters(CHANNELS, CHANNELS, 1, 1)
    deployed = Deployed(
        Apply(lambda x, w: F.conv2d(binarize(y := NORM(x)), binarize(w)) + y, w=weight), quarters(2, CHANNELS, 4, 4)
    )
    assert deployed.operators == ["aten::conv2d", "pack", "conv2d"]
    deployed.check_equal()


@pytest.mark.parametrize("function", [lambda x: x * x, lambda x: torch.sigmoid(x), lambda x: x + x])
def test_what_is_no_threshold_stays(function: Callable[[Tensor], Tensor]) -> None:
    deployed = deploy(function)
    assert deployed.operators[-2:] == ["pack", "conv2d"]
    assert len(deployed.operators) == 3
    deployed.check_equal()


def test_a_comparison_is_no_threshold() -> None:
    """Its result is bool, of which no bits are packed."""
    factors = quarters(CHANNELS, 1, 1)
    deployed = deploy(lambda x: (x > 0) * factors)
    assert deployed.operators == ["aten::gt", "aten::mul", "pack", "conv2d"]
    deployed.check_equal()


def test_channels_whose_sign_falls_are_pooled_before_they_are_negated() -> None:
    first, second = quarters(CHANNELS, CHANNELS, 3, 3), quarters(8, CHANNELS, 3, 3, seed=1)

    def network(x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        y = F.max_pool2d(F.conv2d(binarize(x), binarize(v)), 2)
        return F.conv2d(binarize(y * SCALE + SHIFT), binarize(w))

    deployed = Deployed(Apply(network, v=first, w=second), quarters(2, CHANNELS, 12, 12))
    assert deployed.operators == ["pack", "conv2d_threshold", "max_pool2d", "negate", "conv2d"]
    deployed.check_equal()


def test_a_falling_step_behind_a_layer_is_part_of_its_integer_threshold() -> None:
    first, second = quarters(CHANNELS, CHANNELS, 3, 3), quarters(8, CHANNELS, 3, 3, seed=1)

    def network(x: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return F.conv2d(binarize(F.conv2d(binarize(x), binarize(v)) * SCALE + SHIFT), binarize(w))

    deployed = Deployed(Apply(network, v=first, w=second), quarters(2, CHANNELS, 8, 8))
    assert deployed.operators == ["pack", "conv2d_threshold", "conv2d"]
    deployed.check_equal()
