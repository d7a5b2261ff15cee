import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from bittern.nn import BinaryLinear, RSign
from bittern.optim import BAMSProd, Bop, CaseOptimizer, HyperparameterScheduler, LatentAdam, split_parameters
from optim.problems import train


class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 8), RSign(8), BinaryLinear(8, 8, binarize_input=False), nn.Linear(8, 3))


def network(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def adam(params: list[Tensor]) -> Optimizer:
    return Adam(params, lr=0.01)


def bop(params: list[Tensor]) -> Optimizer:
    return Bop(params, gamma=0.1, threshold=0.05)


def is_binary(name: str, p: Tensor) -> bool:
    return name == "2.weight"


def cases(net: nn.Module, **options: Any) -> CaseOptimizer:
    return CaseOptimizer(net.named_parameters(), (is_binary, bop), default=adam, **options)


def weights(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_each_parameter_is_trained_by_the_optimizer_that_claims_it() -> None:
    net, alone = network(), network()
    optimizer = cases(net)
    assert optimizer.names == [["2.weight"], ["0.weight", "0.bias", "1.shift", "3.weight", "3.bias"]]
    apart = [bop([alone[2].weight]), adam([p for n, p in alone.named_parameters() if n != "2.weight"])]
    train(optimizer, list(net.parameters()), range(5))
    for t in range(5):
        train(apart[0], list(alone.parameters()), range(t, t + 1))
        apart[1].step()
    assert same(weights(net), weights(alone))
    assert [type(o) for o in optimizer.optimizers] == [Bop, Adam]


def test_what_a_split_calls_binary_can_be_a_case() -> None:
    net = network()
    split = split_parameters(net)
    optimizer = CaseOptimizer(
        net.named_parameters(),
        (lambda name, _: name in split.binary, bop),
        (lambda name, _: name in split.scales_and_thresholds, adam),
        (lambda name, _: name in split.rest, lambda params: AdamW(params, weight_decay=0.1)),
    )
    assert optimizer.names == [["2.weight"], ["1.shift"], ["0.weight", "0.bias", "3.weight", "3.bias"]]


def test_a_parameter_claimed_twice_or_by_none_and_a_case_that_claims_none_are_refused() -> None:
    named = list(network().named_parameters())
    with pytest.raises(ValueError, match=r"parameter '2.weight' is claimed by cases 0, 1"):
        CaseOptimizer(named, (is_binary, bop), (lambda name, _: "weight" in name, adam), default=adam)
    with pytest.raises(ValueError, match=r"no case claims parameter '0.weight'; add one, or give a default"):
        CaseOptimizer(named, (is_binary, bop))
    with pytest.raises(ValueError, match="case 1 claims no parameter"):
        CaseOptimizer(named, (is_binary, bop), (lambda name, _: name == "9.weight", adam), default=adam)
    with pytest.raises(ValueError, match="no parameters to optimize"):
        CaseOptimizer([], default=adam)


def test_a_default_without_parameters_is_no_optimizer() -> None:
    optimizer = CaseOptimizer(network().named_parameters(), (lambda name, _: True, adam), default=bop)
    assert [type(o) for o in optimizer.optimizers] == [Adam]


def test_a_factory_must_take_the_parameters_that_it_gets() -> None:
    net = network()
    with pytest.raises(ValueError, match=r"must hold the 5 parameters that the case claims, got 4, without '0.weight'"):
        CaseOptimizer(net.named_parameters(), (is_binary, bop), default=lambda params: adam(params[1:]))
    with pytest.raises(ValueError, match="must hold the 1 parameters that the case claims, got 6"):
        CaseOptimizer(net.named_parameters(), (is_binary, lambda _: adam(list(net.parameters()))), default=adam)


def test_no_group_can_be_added() -> None:
    with pytest.raises(ValueError, match="takes no more groups"):
        cases(network()).add_param_group({"params": [nn.Parameter(torch.ones(2))]})


def test_a_saved_run_is_resumed_bit_for_bit() -> None:
    net, other = network(), network(1)
    optimizer = cases(net)
    train(optimizer, list(net.parameters()), range(4))
    file = io.BytesIO()
    torch.save((net.state_dict(), optimizer.state_dict()), file)
    train(optimizer, list(net.parameters()), range(4, 9))
    file.seek(0)
    parameters, state = torch.load(file, weights_only=True)
    resumed = cases(other)
    other.load_state_dict(parameters)
    resumed.load_state_dict(state)
    train(resumed, list(other.parameters()), range(4, 9))
    assert same(weights(net), weights(other))
    assert resumed.param_groups[1] is resumed.optimizers[1].param_groups[0]
    assert resumed.state[other[2].weight] is resumed.optimizers[0].state[other[2].weight]


def test_a_state_of_other_cases_is_refused() -> None:
    net = network()
    with pytest.raises(ValueError, match="the state has 1 groups, this optimizer 2"):
        cases(net).load_state_dict(adam(list(net.parameters())).state_dict())


def test_state_of_short_types_stays_float32() -> None:
    net = network().to(torch.bfloat16)
    optimizer = cases(net)
    train(optimizer, list(net.parameters()), range(2))
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert optimizer.state[net[2].weight]["momentum"].dtype == torch.float32


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_as_the_original_does(duplicate: Any) -> None:
    net = network()
    optimizer = cases(net)
    train(optimizer, list(net.parameters()), range(3))
    copied, other = duplicate((optimizer, net))
    train(optimizer, list(net.parameters()), range(3, 6))
    train(copied, list(other.parameters()), range(3, 6))
    assert same(weights(net), weights(other))
    assert copied.param_groups[0] is copied.optimizers[0].param_groups[0]


def test_zero_grad_and_a_closure_reach_all_parameters() -> None:
    net = network()
    optimizer = cases(net)
    x, calls = torch.randn(4, 6), []

    def closure() -> float:
        optimizer.zero_grad()
        assert all(p.grad is None for p in net.parameters())
        loss = net(x).square().mean()
        loss.backward()
        calls.append(loss.item())
        return calls[-1]

    before = weights(net)
    assert optimizer.step(closure) == calls[0]
    assert len(calls) == 1
    assert not same(before, weights(net))


def test_torchs_schedulers_change_the_learning_rates_of_all_cases() -> None:
    net = network()
    optimizer = CaseOptimizer(net.named_parameters(), (is_binary, lambda p: BAMSProd(p, lr=0.1)), default=adam)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    for t in range(2):
        train(optimizer, list(net.parameters()), range(t, t + 1))
        scheduler.step()
    assert [o.param_groups[0]["lr"] for o in optimizer.optimizers] == pytest.approx([0.05, 0.005])


def test_torchs_schedulers_and_ours_change_one_case() -> None:
    net = network()
    optimizer = cases(net)
    theirs = torch.optim.lr_scheduler.LambdaLR(optimizer.optimizers[1], lambda step: 0.5**step)
    ours = HyperparameterScheduler(optimizer.optimizers[0], {"gamma": "linear"}, steps=10)
    for t in range(2):
        train(optimizer, list(net.parameters()), range(t, t + 1))
        theirs.step()
        ours.step()
    assert [group.get("lr") for group in optimizer.param_groups] == [None, pytest.approx(0.0025)]
    assert optimizer.param_groups[0]["gamma"] == pytest.approx(0.08)


def test_scaled_losses_take_the_same_steps() -> None:
    runs = []
    for scaled in (False, True):
        net, scaler = network(), torch.amp.GradScaler("cpu", enabled=scaled, init_scale=2.0**10)
        optimizer = CaseOptimizer(net.named_parameters(), (is_binary, bop), default=lambda p: LatentAdam(p, fused=True))
        for t in range(4):
            optimizer.zero_grad()
            x = torch.randn(5, 6, generator=torch.Generator().manual_seed(t))
            scaler.scale(net(x).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()
        runs.append(weights(net))
    assert same(*runs)


def test_it_prints_its_cases() -> None:
    assert "Bop (" in repr(cases(network()))
    assert "gamma: 0.1" in repr(cases(network()))
