import math

import pytest
import torch
from torch import nn

from bittern.optim import Bop, Bop2ndOrder


def weights(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float32))


@pytest.mark.parametrize("foreach", [False, True])
def test_a_weight_flips_iff_the_average_has_its_sign_and_is_strictly_larger_than_the_threshold(foreach: bool) -> None:
    above = math.nextafter(0.5, 1.0)
    p = nn.Parameter(torch.tensor([1.0, 1, 1, 1, -1, -1, -1, -1], dtype=torch.float64))
    p.grad = torch.tensor([0.5, above, -above, 2, -0.5, -above, above, -2], dtype=torch.float64)
    Bop([p], gamma=1.0, threshold=0.5, foreach=foreach).step()
    assert p.tolist() == [1, -1, 1, -1, -1, 1, -1, 1]


@pytest.mark.parametrize("foreach", [False, True])
def test_without_a_threshold_a_weight_that_gets_no_gradient_stays(foreach: bool) -> None:
    p = weights(1, -1)
    p.grad = torch.zeros(2)
    Bop([p], threshold=0.0, foreach=foreach).step()
    assert p.tolist() == [1, -1]  # where Larq's code gives +1


def test_the_average_is_not_corrected_for_its_start_and_survives_a_flip() -> None:
    p = weights(1.0)
    optimizer = Bop([p], gamma=0.25, threshold=0.1)
    for gradient, average, weight in ((0.2, 0.05, 1), (0.4, 0.1375, -1), (0.0, 0.103125, -1), (-4, -0.92265625, 1)):
        p.grad = torch.tensor([float(gradient)])
        optimizer.step()
        assert optimizer.state[p]["momentum"].item() == pytest.approx(average, rel=1e-6)
        assert p.item() == weight


def test_the_second_order_of_bop_does_not_depend_on_the_scale_of_the_gradients() -> None:
    runs = []
    for scale in (1.0, 2.0**10, 2.0**-10):
        p = nn.Parameter(torch.ones(64))
        optimizer = Bop2ndOrder([p], gamma=0.1, sigma=0.1, threshold=0.3)
        generator = torch.Generator().manual_seed(0)
        run = []
        for _ in range(20):
            p.grad = torch.randn(64, generator=generator) * scale
            optimizer.step()
            run.append(p.detach().clone())
        runs.append(torch.stack(run))
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(runs[0], runs[2])
    assert 0.2 < (runs[0] < 0).float().mean() < 0.8


def test_the_unbiased_form_is_another_threshold() -> None:
    runs = []
    for unbiased, threshold in ((True, 2.0), (False, 2.0 * 0.125 / 0.5)):
        p = nn.Parameter(torch.ones(200, dtype=torch.float64))
        optimizer = Bop2ndOrder([p], gamma=0.125, sigma=0.25, threshold=threshold, unbiased=unbiased)
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            p.grad = torch.randn(200, generator=generator, dtype=torch.float64)
            optimizer.step()
        runs.append(p.detach())
    assert torch.equal(*runs)
    assert 0 < (runs[0] < 0).sum() < 200


@pytest.mark.slow
def test_gamma_must_be_far_below_one_over_the_period_of_the_gradients() -> None:
    # Online problem: 1010 w once in 101 steps, -10 w in the others, so the sum of a period is 10 w and -1 is best.
    flips = {}
    for gamma in (1e-4, 1e-3, 1e-2):
        p = weights(1.0)
        optimizer = Bop([p], gamma=gamma, threshold=1e-8)
        flips[gamma], before = 0, 1.0
        gradients = [torch.tensor([1010.0]), torch.tensor([-10.0])]
        for t in range(20_000):
            p.grad = gradients[min(t % 101, 1)]
            optimizer.step()
            now = p.item()
            flips[gamma] += now != before
            before = now
        if gamma == 1e-4:
            assert before == -1
    assert flips[1e-4] == 1
    assert flips[1e-3] > 100
    assert flips[1e-2] > 300
