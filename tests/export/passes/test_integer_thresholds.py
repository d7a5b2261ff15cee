import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, Deployed, exact_batch_norm, powers_of_two, quarters
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bittern.export.passes.integer_thresholds import solve
from bittern.ops import binarize
from bittern.ops.epilogue import Epilogue, below

integer_thresholds = sys.modules[solve.__module__]

NORM = exact_batch_norm(40).eval().requires_grad_(False)
WEIGHTS = {"a": quarters(40, 20, 3, 3), "b": quarters(8, 40, 3, 3, seed=1)}


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("between", [lambda y: y, NORM, lambda y: NORM(F.relu(y)), lambda y: F.hardtanh(NORM(y))])
def test_bits_of_a_layer_without_residual_need_no_float_arithmetic(between: torch.nn.Module, padding: int) -> None:
    def layers(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(binarize(between(F.conv2d(binarize(x), binarize(a), padding=padding))), binarize(b))

    deployed = Deployed(Apply(layers, **WEIGHTS), quarters(2, 20, 7, 6))
    assert deployed.operators == ["pack", "conv2d_threshold", "conv2d"]
    deployed.check_equal()


def test_a_prelu_of_positive_slope_folds_and_one_of_negative_slope_does_not() -> None:
    for slope, expected in ((0.25, "conv2d_threshold"), (-0.25, "conv2d_packed")):

        def layers(x: Tensor, a: Tensor, b: Tensor, slope: float = slope) -> Tensor:
            y = F.leaky_relu(F.conv2d(binarize(x), binarize(a)), slope) - 2.5
            return F.conv2d(binarize(y), binarize(b))

        deployed = Deployed(Apply(layers, **WEIGHTS), quarters(2, 20, 7, 6))
        assert deployed.operators == ["pack", expected, "conv2d"]
        deployed.check_equal()
    assert any("change more than once" in reason for reason in deployed.reasons)


def test_a_residual_keeps_the_float_epilogue() -> None:
    def layers(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(binarize(F.conv2d(binarize(x), binarize(a[:20]), padding=1) + x), binarize(b[:, :20]))

    deployed = Deployed(Apply(layers, **WEIGHTS), quarters(2, 20, 7, 6))
    assert deployed.operators == ["pack", "conv2d_packed", "conv2d"]
    deployed.check_equal()


FLOATS = st.floats(-100, 100, width=32)


@given(
    depth=st.integers(1, 40), mul=FLOATS, add=FLOATS, low=st.none() | FLOATS, threshold=st.none() | FLOATS, slope=FLOATS
)
def test_integer_thresholds_give_the_bits_of_the_float_epilogue_for_every_dot(
    depth: int, mul: float, add: float, low: float | None, threshold: float | None, slope: float
) -> None:
    epilogue = Epilogue(dot_min=low, mul=torch.tensor([mul]), add=torch.tensor([add]), act_slope=torch.tensor([slope]))
    limit = None if threshold is None else torch.tensor([threshold])
    dots = torch.arange(-depth, depth + 1).reshape(-1, 1)
    expected = below(epilogue(dots, 1), limit, 1)
    found = solve(epilogue, limit, depth, 1)
    changes = int((expected[1:] != expected[:-1]).sum())
    assert (found is None) == (changes > 1)
    if found is not None:
        integers, turned = found
        assert torch.equal(torch.where(turned, -dots, dots) < integers, expected)


@pytest.mark.parametrize("values", [1, 2 * 9 + 1, 3 * (2 * 9 + 1), 2**20])
def test_channels_are_solved_alike_however_many_at_once(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integer_thresholds, "_VALUES_AT_ONCE", values)
    sizes: list[int] = []

    def record(v: Tensor, *rest: Any) -> Tensor:
        sizes.append(v.numel())
        return below(v, *rest)

    monkeypatch.setattr(integer_thresholds, "below", record)
    epilogue = Epilogue(mul=powers_of_two(40), add=quarters(40), act_slope=powers_of_two(40, seed=1).abs())
    threshold, negated = quarters(40, seed=2), quarters(40, seed=3) < 0
    found = solve(epilogue, threshold, 9, 40, negated)
    assert max(sizes) <= max(values, 2 * 9 + 1)
    assert sum(sizes) == 40 * (2 * 9 + 1)
    assert found is not None
    integers, turned = found
    dots = torch.arange(-9, 10).reshape(-1, 1)
    expected = below(epilogue(dots.expand(-1, 40), 1), threshold, 1) ^ negated
    assert torch.equal(torch.where(turned, -dots, dots) < integers, expected)
