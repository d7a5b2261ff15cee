"""BAMSProd, the reconstruction: that it is AMSGrad without error, its two corollaries, and the counterexample."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim import Optimizer

from bittern.optim import BAMSProd, Bop, LatentAdam
from bittern.optim.bamsprod import quantization_error, range_factor


def test_the_error_is_zero_for_filters_of_one_magnitude_and_near_one_for_a_lonely_weight() -> None:
    filters = torch.zeros(4, 1000)
    filters[1] = torch.ones(1000) * 0.3
    filters[1, ::2] = -0.3
    filters[2, 7] = 5.0
    filters[3] = torch.linspace(-1, 1, 1000)
    error = quantization_error(filters)
    assert error[0] == 0
    assert error[1].item() == pytest.approx(0, abs=1e-6)
    assert error[2].item() == pytest.approx(1 - 1 / 1000, rel=1e-6)
    assert error[3].item() == pytest.approx(1 / 4, abs=2e-3)  # uniform: 1 - (1/2)^2 / (1/3)


def test_the_error_is_that_of_xnor_nets_best_scale() -> None:
    w = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = w.flatten(1)
    best = flat.abs().mean(1, keepdim=True) * flat.sign()
    expected = (flat - best).square().sum(1) / flat.square().sum(1)
    torch.testing.assert_close(quantization_error(w), expected)


def test_the_range_is_inactive_without_error_and_narrowest_with_an_error_of_one() -> None:
    kappa = range_factor(torch.tensor([0.0, 0.5, 1.0]), 0.99, 1.0)
    torch.testing.assert_close(kappa, torch.tensor([10.0, math.sqrt(10), 1.0]))
    torch.testing.assert_close(range_factor(torch.ones(1), 0.99, 0.0), torch.tensor([10.0]))


@pytest.mark.parametrize("options", [{}, {"horizon": 0}])
def test_without_error_or_horizon_it_is_amsgrad(options: dict[str, float]) -> None:
    """One weight a filter has no error."""
    generator = torch.Generator().manual_seed(0)
    shape = (40, 5) if options else (200, 1)
    p = nn.Parameter(torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=generator))
    w, m, v, largest = p.detach().clone(), torch.zeros(()), torch.zeros(()), torch.zeros(())
    optimizer = BAMSProd([p], lr=0.05, betas=(0.8, 0.9), **options)
    for _ in range(50):
        g = torch.randn(shape, generator=generator, dtype=torch.float64) ** 3
        p.grad = g
        optimizer.step()
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        largest = torch.maximum(largest, v)
        w = (w - 0.05 * m / (largest.sqrt() + 1e-8)).clamp(-1, 1)
        torch.testing.assert_close(p.detach(), w, rtol=1e-9, atol=1e-12)


spiky = st.lists(st.floats(-1000, 1000, allow_nan=False, width=32), min_size=1, max_size=40)
probability = st.floats(0, 0.99)


@settings(deadline=None, max_examples=60)
@given(spiky, probability, st.floats(0.01, 0.999), st.floats(1e-4, 0.5), st.integers(0, 50), st.integers(0, 2**16))
def test_no_step_is_longer_than_the_rate_times_the_largest_factor_so_far(
    gradients: list[float], beta1: float, beta2: float, lr: float, horizon: int, seed: int
) -> None:
    """Corollary 1: |w_{t+1} - w_t| <= lr max_{s <= t} kappa_s for each weight."""
    for largest, moved, _, _ in course(gradients, beta1, beta2, lr, horizon, seed):
        assert (moved <= lr * largest * (1 + 1e-9)).all()


@settings(deadline=None, max_examples=60)
@given(spiky, probability, st.floats(0.01, 0.999), st.floats(1e-4, 0.5), st.integers(0, 50), st.integers(0, 2**16))
def test_what_the_range_takes_from_the_gradients_is_bounded_by_the_errors(
    gradients: list[float], beta1: float, beta2: float, lr: float, horizon: int, seed: int
) -> None:
    """Corollary 2: sum_t |g_t - ghat_t| <= G ln((1 - beta2)^(-1/2)) sum_t ebar_t min(1, sqrt(horizon / t))."""
    taken, allowed = torch.zeros(()), torch.zeros(())
    for t, (_, _, cut, error) in enumerate(course(gradients, beta1, beta2, lr, horizon, seed), 1):
        taken = taken + cut
        allowed = allowed + error * min(1.0, math.sqrt(horizon / t))
        bound = max(map(abs, gradients)) * 2 * -0.5 * math.log1p(-beta2) * allowed  # twice: course scales them
        assert (taken <= bound[:, None] * (1 + 1e-9) + 1e-9).all()


def course(
    gradients: list[float], beta1: float, beta2: float, lr: float, horizon: int, seed: int
) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Steps on 3 filters of 4 weights: largest kappa so far [3, 1], moves, |g - ghat|, ebar [3]."""
    generator = torch.Generator().manual_seed(seed)
    w = nn.Parameter(torch.empty(3, 4, dtype=torch.float64).uniform_(-1, 1, generator=generator))
    scales = torch.empty(3, 4, dtype=torch.float64).uniform_(-2, 2, generator=generator)
    optimizer = BAMSProd([w], lr=lr, betas=(beta1, beta2), horizon=horizon)
    largest, steps = torch.zeros(3, 1, dtype=torch.float64), []
    for t, gradient in enumerate(gradients, 1):
        before = w.detach().clone()
        m = optimizer.state[w]["exp_avg"].clone() if t > 1 else torch.zeros_like(before)
        w.grad = scales * gradient
        optimizer.step()
        state = optimizer.state[w]
        kappa = range_factor(state["error"], beta2, min(1.0, math.sqrt(horizon / t)))[:, None]
        largest = torch.maximum(largest, kappa)
        ghat = (state["exp_avg"] - beta1 * m) / (1 - beta1)
        # What came out of the average is known to a few roundings of the average itself.
        cut = ((w.grad - ghat).abs() - 1e-12 * (m.abs() + w.grad.abs()) / (1 - beta1)).clamp_min(0)
        steps.append((largest.clone(), (w.detach() - before).abs(), cut, state["error"].clone()))
    return steps


def test_the_range_does_take_something_from_gradients_of_weights_that_quantize_badly() -> None:
    (_, _, first, _), (_, _, second, error) = course([1.0, 100.0], 0.5, 0.9, 0.01, 1000, 0)
    assert error.min() > 0.01
    assert first.max() > 0
    assert second.max() > 0.1


STARTS = [[1.0] * 8, [0.0] * 8, [-1.0] * 8, [-1.0, -0.7, -0.2, 0.0, 0.1, 0.5, 0.9, 1.0]]
"""Filters of equal weights, which have no error, and one of unlike weights, which has."""


def counterexample(make: Callable[[list[nn.Parameter]], Optimizer], steps: int = 6000) -> tuple[Tensor, Tensor]:
    """Online losses 3 w_b, -w_b, -w_b, 3 w_b, ... of w_b = sign(w): -1 is best. Mean regret and end of each weight.

    Reddi et al. 2018, On the Convergence of Adam and Beyond, theorem 1, whose losses are linear: on [-1, 1] the
    straight-through gradient is that of the binary weight, whatever the latent one is.
    """
    p = nn.Parameter(torch.tensor(STARTS))
    optimizer = make([p])
    gradients = [torch.full_like(p, value) for value in (3.0, -1.0, -1.0)]
    regret = torch.zeros_like(p)
    for t in range(1, steps + 1):
        p.grad = gradients[(t - 1) % 3]
        regret += p.grad * (p >= 0) * 2
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] = 0.9 / math.sqrt(t)
        optimizer.step()
    assert p.dtype == torch.float32
    return regret / steps, p.detach()


def adam(params: list[nn.Parameter]) -> Optimizer:
    return LatentAdam(params, betas=(0.0, 0.1), clip=1.0)


def amsgrad(params: list[nn.Parameter]) -> Optimizer:
    return LatentAdam(params, betas=(0.0, 0.1), amsgrad=True, clip=1.0)


def bamsprod(params: list[nn.Parameter]) -> Optimizer:
    return BAMSProd(params, betas=(0.0, 0.1))


def bop(params: list[nn.Parameter]) -> Optimizer:
    return Bop(params, gamma=1e-3)


def test_adam_ends_at_the_worst_point_of_the_counterexample() -> None:
    regret, end = counterexample(adam)
    assert end.min() > 0.99
    torch.testing.assert_close(regret, torch.full_like(regret, 2 / 3), rtol=0, atol=2e-3)


@pytest.mark.parametrize("make", [amsgrad, bamsprod, bop])
def test_amsgrad_bamsprod_and_bop_end_at_the_best(make: Callable[[list[nn.Parameter]], Optimizer]) -> None:
    regret, end = counterexample(make)
    assert end.max() < -0.95
    assert regret.max() < 0.01
