import copy
import math

import pytest
import torch
from torch import nn

from bittern.optim import SCHEDULES, Bop, HyperparameterScheduler, LatentAdam, Warmup, get_schedule, list_schedules


def optimizer(**options: object) -> Bop:
    return Bop([nn.Parameter(torch.ones(3))], **options)


@pytest.mark.parametrize("name", list_schedules())
def test_a_schedule_starts_at_one_and_has_an_equation(name: str) -> None:
    schedule = get_schedule(name)
    assert schedule(0.0) == 1
    assert type(schedule) is SCHEDULES[name]
    assert schedule.equation
    assert get_schedule(name) == schedule
    for progress in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"progress must be in \[0, 1\]"):
            schedule(progress)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("constant", (1, 1, 1, 1, 1)),
        ("linear", (1, 0.75, 0.5, 0.25, 0)),
        ("linear:0.2", (1, 0.8, 0.6, 0.4, 0.2)),
        ("linear:100000", (1, 25000.75, 50000.5, 75000.25, 100000)),
        ("cosine", (1, (2 + math.sqrt(2)) / 4, 0.5, (2 - math.sqrt(2)) / 4, 0)),
        ("cosine:0.5", (1, (6 + math.sqrt(2)) / 8, 0.75, (6 - math.sqrt(2)) / 8, 0.5)),
        ("polynomial", (1, 0.5625, 0.25, 0.0625, 0)),
        ("polynomial:3,0.2", (1, 0.5375, 0.3, 0.2125, 0.2)),
        ("exponential", (1, 0.1**0.5, 0.1, 0.1**1.5, 0.01)),
        ("exponential:16", (1, 2, 4, 8, 16)),
        ("step", (1, 1, 0.1, 0.01, 0.01)),
        ("step:0.5,0.25,0.5,0.9", (1, 0.5, 0.25, 0.25, 0.125)),
    ],
)
def test_the_values_of_a_schedule(text: str, values: tuple[float, ...]) -> None:
    schedule = get_schedule(text)
    assert [schedule(p) for p in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx(values, abs=1e-12)


def test_every_schedule_has_its_values_tested() -> None:
    marks = test_the_values_of_a_schedule.pytestmark[0].args[1]
    assert {text.partition(":")[0] for text, _ in marks} == set(SCHEDULES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "did you mean 'cosine'"),
        ("linear:1,2", r"'linear:1,2' has too many numbers; linear is 1 \+ "),
        ("linear:x", "could not convert string to float"),
        ("exponential:0", "end must be more than 0"),
        ("polynomial:0", "power must be more than 0"),
        ("step:0.1,30,60", r"milestones must be in \(0, 1\)"),
    ],
)
def test_a_text_that_is_no_schedule_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_schedule(text)


def test_a_warm_up_rises_from_zero_and_leaves_the_rest_to_its_schedule() -> None:
    schedule = Warmup(get_schedule("linear"), 0.2)
    assert [schedule(p) for p in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert Warmup(get_schedule("linear"), 0.0)(0.0) == 1
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        Warmup(get_schedule("linear"), 1.0)


def test_every_key_of_every_group_that_has_it_follows_from_its_own_start() -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    bop = Bop([{"params": [a]}, {"params": [b], "gamma": 0.5}], gamma=0.1, threshold=0.2)
    scheduler = HyperparameterScheduler(bop, {"gamma": "linear", "threshold": get_schedule("step:0.5,0.5")}, steps=4)
    seen = []
    for _ in range(6):
        seen.append([(g["gamma"], g["threshold"]) for g in bop.param_groups])
        scheduler.step()
    expected = [
        [(0.1 * f, 0.2 * h), (0.5 * f, 0.2 * h)]
        for f, h in ((1, 1), (0.75, 1), (0.5, 0.5), (0.25, 0.5), (0, 0.5), (0, 0.5))
    ]
    torch.testing.assert_close(torch.tensor(seen), torch.tensor(expected))


def test_groups_without_the_key_are_left_alone() -> None:
    adam = LatentAdam([{"params": [nn.Parameter(torch.ones(2))]}], lr=0.5)
    HyperparameterScheduler(adam, {"lr": "linear"}).set_progress(0.5)
    assert adam.param_groups[0]["lr"] == 0.25
    assert adam.param_groups[0]["eps"] == 1e-8


def test_a_tensor_is_written_in_place() -> None:
    gamma = torch.tensor(0.5)
    bop = optimizer(gamma=gamma)
    HyperparameterScheduler(bop, {"gamma": "linear"}).set_progress(0.75)
    assert gamma.item() == 0.125
    assert bop.param_groups[0]["gamma"] is gamma


def test_a_key_that_no_group_has_and_one_that_is_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no group has a hyper-parameter 'lr': there are .*gamma.*threshold"):
        HyperparameterScheduler(optimizer(), {"lr": "linear"})
    with pytest.raises(ValueError, match="a schedule multiplies numbers, but foreach is None"):
        HyperparameterScheduler(optimizer(), {"foreach": "linear"})


def test_counting_steps_needs_their_number() -> None:
    with pytest.raises(ValueError, match="step needs the number of steps"):
        HyperparameterScheduler(optimizer(), {"gamma": "linear"}).step()
    with pytest.raises(ValueError, match="steps must be at least 1"):
        HyperparameterScheduler(optimizer(), {"gamma": "linear"}, steps=0)


def test_a_resumed_scheduler_goes_on_from_the_values_at_the_start() -> None:
    bop = optimizer(gamma=0.4)
    scheduler = HyperparameterScheduler(bop, {"gamma": "cosine:0.1"}, steps=10)
    for _ in range(4):
        scheduler.step()
    state, saved = copy.deepcopy(scheduler.state_dict()), copy.deepcopy(bop.state_dict())
    scheduler.step()

    other = optimizer(gamma=0.123)
    other.load_state_dict(saved)
    resumed = HyperparameterScheduler(other, {"gamma": "cosine:0.1"}, steps=10)
    resumed.load_state_dict(state)
    resumed.step()
    assert other.param_groups[0]["gamma"] == bop.param_groups[0]["gamma"]
    with pytest.raises(ValueError, match="other groups or keys"):
        HyperparameterScheduler(other, {"threshold": "linear"}, steps=10).load_state_dict(state)


def test_a_schedule_drives_torchs_own_scheduler() -> None:
    schedule = get_schedule("polynomial")
    adam = LatentAdam([nn.Parameter(torch.ones(2))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: schedule(step / 4))
    adam.step()
    scheduler.step()
    assert adam.param_groups[0]["lr"] == 0.5625
