"""What every optimizer of the registry must do."""

import copy
import inspect
import io
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bittern.optim import OPTIMIZERS, create_optimizer, get_optimizer
from optim.problems import (
    LATENT_FREE,
    NAMES,
    SHAPES,
    WHOLLY_OURS,
    Regression,
    gradients,
    make,
    parameters,
    same,
    train,
    values,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_what_it_is(name: str) -> None:
    row = get_optimizer(name)
    assert row.name == name
    assert row.equation
    assert row.source
    assert set(row.defaults) <= set(inspect.signature(row.cls).parameters)


def test_an_unknown_name_or_option_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'bop2ndorder'"):
        get_optimizer("bop2nd-order")
    with pytest.raises(ValueError, match=r"unknown option of bop 'gama'.*did you mean 'gamma'"):
        create_optimizer("bop", parameters((3,)), gama=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_small_problem_falls(name: str) -> None:
    problem, (w,) = Regression(), parameters((24,), seed=5)
    optimizer = make(name, [w])
    start = problem.loss(w).item()
    assert problem.minimize(optimizer, w, 300, lambda loss: loss) < 0.25 * start


@pytest.mark.parametrize("name", NAMES)
def test_maximize_is_minimizing_the_negative(name: str) -> None:
    problem, (w,), (other,) = Regression(), parameters((24,), seed=5), parameters((24,), seed=5)
    torch.manual_seed(0)
    problem.minimize(make(name, [w]), w, 20, lambda loss: loss)
    torch.manual_seed(0)
    problem.minimize(make(name, [other], maximize=True), other, 20, lambda loss: -loss)
    assert torch.equal(w, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreach", [False, True])
def test_a_run_that_is_saved_and_resumed_is_the_uninterrupted_one(name: str, foreach: bool) -> None:
    params = parameters(*SHAPES)
    optimizer = make(name, params, foreach=foreach)
    train(optimizer, params, range(5))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    weights = values(params)
    train(optimizer, params, range(5, 12))

    resumed = parameters(*SHAPES, seed=9)
    other = make(name, resumed, foreach=foreach)
    with torch.no_grad():
        for p, w in zip(resumed, weights, strict=True):
            p.copy_(w)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same(resumed, weights)  # loading state leaves weights alone
    train(other, resumed, range(5, 12))
    assert same(params, resumed)
    assert not same(params, weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_as_the_original_does(name: str, duplicate: Any) -> None:
    params = parameters(*SHAPES)
    optimizer = make(name, params)
    train(optimizer, params, range(3))
    copied, others = duplicate((optimizer, params))
    train(optimizer, params, range(3, 6))
    train(copied, others, range(3, 6))
    assert same(params, others)
    assert all(p is q for p, q in zip(copied.param_groups[0]["params"], others, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("maximize", [False, True])
def test_the_loop_and_the_list_form_are_equal_bit_for_bit(name: str, maximize: bool) -> None:
    runs = []
    for foreach in (False, True):
        torch.manual_seed(0)
        params = parameters(*SHAPES)
        train(make(name, params, foreach=foreach, maximize=maximize), params, range(10))
        runs.append(params)
    assert same(*runs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreach", [False, True, None])
def test_the_layout_of_weights_and_gradients_does_not_matter(name: str, foreach: bool | None) -> None:
    shape = (8, 16, 4, 4)
    layouts = {
        "contiguous": lambda x: x.contiguous(),
        "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
        "turned": lambda x: x.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0),
        "strided": lambda x: torch.stack((x, x), -1)[..., 0],
    }
    (reference,) = parameters(shape)
    torch.manual_seed(0)
    start = reference.detach().clone()
    train(make(name, [reference], foreach=foreach), [reference], range(6))
    for of_weight in layouts.values():
        for of_gradient in layouts.values():
            if name == "adamw" and foreach is None and of_weight is not of_gradient:
                continue  # torch's own
            torch.manual_seed(0)
            p = nn.Parameter(of_weight(start.clone()))
            optimizer = make(name, [p], foreach=foreach)
            for t in range(6):
                gradients([p], t)
                p.grad = of_gradient(p.grad)
                optimizer.step()
            # Sums over a filter in another order: 256 roundings of 2^-24 at most, six times.
            torch.testing.assert_close(p, reference, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("foreach", [False, True])
def test_parameters_of_other_types_train(name: str, dtype: torch.dtype, foreach: bool) -> None:
    problem, (w,) = Regression(), parameters((24,), seed=5, dtype=dtype)
    optimizer = make(name, [w], foreach=foreach)
    start = problem.loss(w).item()
    assert problem.minimize(optimizer, w, 300, lambda loss: loss) < 0.5 * start
    assert w.dtype == dtype
    if name in WHOLLY_OURS:
        wide = torch.promote_types(dtype, torch.float32)
        assert all(s.dtype == wide for k, s in optimizer.state[w].items() if k != "step")
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        assert all(s.dtype == wide for k, s in optimizer.state[w].items() if k != "step")


@pytest.mark.parametrize("name", LATENT_FREE)
def test_weights_of_short_types_flip_as_those_of_float32_do(name: str) -> None:
    runs = []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        torch.manual_seed(0)
        params = parameters(*SHAPES)
        short = [nn.Parameter(p.detach().to(dtype)) for p in params]
        optimizer = make(name, short)
        for t in range(30):
            gradients(params, t)
            for p, q in zip(params, short, strict=True):
                assert p.grad is not None
                q.grad = (p.grad * 32).round().clamp(-127, 127).div(32).to(dtype)  # exact in all three types
            optimizer.step()
        runs.append([p.float() for p in short])
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])


@pytest.mark.parametrize("name", NAMES)
def test_replicas_stay_equal_whatever_their_random_numbers(name: str) -> None:
    replicas = []
    for seed in (0, 1):
        params = parameters(*SHAPES)
        torch.manual_seed(seed)
        train(make(name, params), params, range(5))
        replicas.append(params)
    assert same(*replicas)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreach", [False, True])
def test_a_parameter_without_gradient_stays_as_it_is(name: str, foreach: bool) -> None:
    params = parameters(*SHAPES)
    optimizer = make(name, params, foreach=foreach)
    before = values(params)
    gradients(params[1:], 0)
    optimizer.step()
    assert torch.equal(params[0], before[0])
    assert params[0] not in optimizer.state
    optimizer.zero_grad()
    optimizer.step()


@pytest.mark.parametrize("name", LATENT_FREE)
@pytest.mark.parametrize("foreach", [False, True])
def test_latent_free_weights_are_one_or_minus_one_at_every_moment(name: str, foreach: bool) -> None:
    p = nn.Parameter(torch.tensor([-2.0, -1e-9, -0.0, 0.0, 1e-9, math.nan, 3.0, -math.inf]))
    optimizer = make(name, [p], foreach=foreach)
    assert p.tolist() == [-1, -1, 1, 1, 1, 1, 1, -1]
    (later,) = parameters((5, 5))
    optimizer.add_param_group({"params": [later]})
    for t in range(40):
        train(optimizer, [p, later], range(t, t + 1))
        assert p.abs().eq(1).all()
        assert later.abs().eq(1).all()


@pytest.mark.parametrize("name", LATENT_FREE)
@pytest.mark.parametrize("foreach", [False, True])
def test_a_gradient_that_is_not_a_number_flips_nothing_and_spreads_nowhere(name: str, foreach: bool) -> None:
    (p,) = parameters((4, 4))
    optimizer = make(name, [p], foreach=foreach)
    before = p.detach().clone()
    for _ in range(3):
        p.grad = torch.full_like(p, math.nan)
        p.grad[0] = 0.0
        optimizer.step()
    assert p.abs().eq(1).all()
    assert torch.equal(p[0], before[0])
    if name != "diode":  # whose weights are signs of what is then NaN, so +1
        assert torch.equal(p, before)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_as_large_as_the_row_says(name: str) -> None:
    (p,) = parameters((16, 16))
    optimizer = make(name, [p])
    train(optimizer, [p], range(2))
    large = [s for s in optimizer.state[p].values() if isinstance(s, Tensor) and s.numel() == p.numel()]
    assert len(large) == OPTIMIZERS[name].state
