"""Options of the optimizers: groups, ranges, tensors, closures, gradient scaling."""

import inspect
import math
from typing import Any

import pytest
import torch
from torch import nn

from bittern.optim import OPTIMIZERS, create_optimizer
from optim.problems import (
    NAMES,
    OURS,
    SHAPES,
    WHOLLY_OURS,
    Regression,
    make,
    parameters,
    same,
    train,
    values,
)

SCHEDULED = {"lr", "gamma", "sigma", "alpha", "threshold"}


@pytest.mark.parametrize("name", NAMES)
def test_options_that_an_older_checkpoint_lacks_get_their_defaults(name: str) -> None:
    params = parameters(*SHAPES)
    optimizer = make(name, params)
    train(optimizer, params, range(2))
    state = optimizer.state_dict()
    for key in ("maximize", "foreach", "clip", "ags", "sad", "capturable"):
        state["param_groups"][0].pop(key, None)
    optimizer.load_state_dict(state)
    train(optimizer, params, range(2))
    assert optimizer.param_groups[0]["maximize"] is False


@pytest.mark.parametrize("name", NAMES)
def test_each_group_has_its_own_options(name: str) -> None:
    still = {"lr": 0.0, "alpha": 0.0, "threshold": 1e9}
    key = next(k for k in still if k in inspect.signature(OPTIMIZERS[name].cls).parameters)
    a, b = parameters((5, 8)), parameters((5, 8))
    optimizer = make(name, [{"params": a}, {"params": b, key: still[key]}])
    before = values(b)
    train(optimizer, a + b, range(60))
    assert not same(a, parameters((5, 8)))
    assert same(b, before)
    if name in OURS:
        for value in (-1.0, math.nan):
            with pytest.raises(ValueError, match=rf"{key} must be in .*, got {value}"):
                optimizer.add_param_group({"params": parameters((3,)), key: value})
        assert len(optimizer.param_groups) == 2


@pytest.mark.parametrize("name", ["diode", "bamsprod"])
def test_a_groups_betas_are_its_beta1_and_beta2(name: str) -> None:
    (a,), (b,) = parameters((3,)), parameters((4,))
    optimizer = make(name, [{"params": [a]}, {"params": [b], "betas": (0.5, 0.8)}])
    assert [(group["beta1"], group["beta2"]) for group in optimizer.param_groups][1] == (0.5, 0.8)
    assert "betas" not in optimizer.param_groups[1]
    with pytest.raises(ValueError, match=r"beta2 must be in .*, got 1\.5"):
        optimizer.add_param_group({"params": parameters((3,)), "betas": (0.5, 1.5)})


def test_betas_of_an_optimizer_that_has_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Bop has no betas"):
        make("bop", [{"params": parameters((3,)), "betas": (0.5, 0.8)}])


@pytest.mark.parametrize("name", NAMES)
def test_a_closure_is_called_once_with_gradients_on_and_its_loss_returned(name: str) -> None:
    problem, (w,), (other,) = Regression(), parameters((24,)), parameters((24,))
    torch.manual_seed(0)
    optimizer = make(name, [w])
    calls = []

    def closure() -> float:
        optimizer.zero_grad()
        loss = problem.loss(w)
        loss.backward()
        calls.append(loss.item())
        return loss.item()

    returned = [optimizer.step(closure) for _ in range(3)]
    assert returned == calls
    torch.manual_seed(0)
    problem.minimize(make(name, [other]), other, 3, lambda loss: loss)
    assert torch.equal(w, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fused", [None, True])
def test_a_scaled_loss_takes_the_same_steps_and_an_overflow_none(name: str, fused: bool | None) -> None:
    options = {"fused": fused} if "fused" in inspect.signature(OPTIMIZERS[name].cls).parameters else {}
    problem, (w,), (other,) = Regression(), parameters((24,)), parameters((24,))
    torch.manual_seed(0)
    problem.minimize(make(name, [w], **options), w, 10, lambda loss: loss)
    torch.manual_seed(0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    optimizer = make(name, [other], **options)
    for _ in range(10):
        optimizer.zero_grad()
        scaler.scale(problem.loss(other)).backward()
        scaler.step(optimizer)
        scaler.update()
    assert torch.equal(w, other)
    optimizer.zero_grad()
    scaler.scale(problem.loss(other) * math.inf).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(w, other)
    assert scaler.get_scale() == 2.0**11


@pytest.mark.parametrize("name", NAMES)
def test_no_parameters_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        create_optimizer(name, [])


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("value", [math.nan, -0.1, math.inf, "much", None])
def test_hyper_parameters_out_of_range_are_refused_and_weights_are_left_alone(name: str, value: Any) -> None:
    keys = SCHEDULED & set(inspect.signature(OPTIMIZERS[name].cls).parameters)
    assert keys
    for key in keys:
        params = parameters((3,))
        with pytest.raises(ValueError, match=rf"{key} must be .* got"):
            create_optimizer(name, params, **{key: value})
        assert same(params, parameters((3,)))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("foreach", [False, True])
def test_hyper_parameters_may_be_tensors(name: str, foreach: bool) -> None:
    keys = SCHEDULED & set(inspect.signature(OPTIMIZERS[name].cls).parameters)
    runs = []
    for wrap in (float, torch.tensor):
        torch.manual_seed(0)
        params = parameters(*SHAPES)
        optimizer = make(name, params)
        options = {key: wrap(optimizer.param_groups[0][key]) for key in keys}
        if wrap is torch.tensor and isinstance(optimizer, torch.optim.Adam | torch.optim.SGD):
            options |= {"fused": True}  # which is how torch takes them on every device
        else:
            options |= {"foreach": foreach}
        params = parameters(*SHAPES)
        torch.manual_seed(0)
        train(make(name, params, **options), params, range(10))
        runs.append(params)
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # the tensors are float32
    with pytest.raises(ValueError, match="0-dimensional"):
        make(name, params, **{key: torch.tensor([0.1]) for key in keys})


@pytest.mark.parametrize("name", WHOLLY_OURS)
@pytest.mark.parametrize("foreach", [False, True])
def test_capturable_takes_the_same_steps(name: str, foreach: bool) -> None:
    runs = []
    for capturable in (False, True):
        torch.manual_seed(0)
        params = parameters(*SHAPES)
        train(make(name, params, foreach=foreach, capturable=capturable), params, range(10))
        runs.append(params)
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)  # shares of the horizon in float32


@pytest.mark.parametrize("name", WHOLLY_OURS)
def test_sparse_and_complex_gradients_are_refused(name: str) -> None:
    (p,) = parameters((4, 3))
    optimizer = make(name, [p])
    p.grad = torch.ones(4, 3).to_sparse()
    with pytest.raises(RuntimeError, match=r"needs dense real gradients, got torch.sparse_coo.*sparse=False"):
        optimizer.step()
    with pytest.raises(ValueError, match=r"real floating-point parameters, got one of torch\.complex64"):
        make(name, [nn.Parameter(torch.ones(3, dtype=torch.complex64))])


@pytest.mark.parametrize("name", OURS)
def test_step_hooks_run_once(name: str) -> None:
    for theirs in (torch.optim.SGD, torch.optim.Adam):
        theirs(parameters((3,)))  # from the first one on, torch runs hooks in every step of the class
    calls = []
    params = parameters((3,))
    optimizer = make(name, params)
    optimizer.register_step_pre_hook(lambda *_: calls.append("pre"))
    optimizer.register_step_post_hook(lambda *_: calls.append("post"))
    train(optimizer, params, range(1))
    assert calls == ["pre", "post"]
