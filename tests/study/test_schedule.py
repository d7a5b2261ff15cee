"""When the instruments look, and what that is said to cost."""

import pytest

from bittern.study import schedule
from bittern.study.schedule import LADDER, Cost, SamplingSchedule, StepKind


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(schedule, "perf_counter", lambda: now[0])
    return now


def run(clock: list[float], cost: Cost, every: int, steps: int, *, plain: float, own: float, sample: float) -> None:
    """Steps that take ``plain`` seconds without the watch, which adds ``own``, and ``sample`` in every ``every``-th."""
    for step in range(1, steps + 1):
        sampled = step % every == 0
        clock[0] += plain
        began = clock[0]
        clock[0] += sample if sampled else own
        cost.add(StepKind.SAMPLE if sampled else StepKind.PLAIN, began)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_share_is_the_time_that_watching_adds(on_cpu: bool, clock: list[float]) -> None:
    cost = Cost(on_cpu)
    run(clock, cost, 10, 100, plain=1.0, own=0.01, sample=0.5)
    # 90 plain steps with 0.01 s, 10 samples with 0.5 s, on 100 s of training.
    assert cost.share == pytest.approx((90 * 0.01 + 10 * 0.5) / 100)


def test_a_pause_is_no_part_of_the_cost(clock: list[float]) -> None:
    cost = Cost(on_cpu=True)
    for _ in range(5):
        run(clock, cost, 10, 20, plain=1.0, own=0.01, sample=0.5)
        clock[0] += 50.0  # an evaluation
        cost.resume()
    assert cost.share == pytest.approx((90 * 0.01 + 10 * 0.5) / 100)


def test_nothing_is_said_before_something_is_known(clock: list[float]) -> None:
    cost = Cost(on_cpu=True)
    assert cost.share == 0.0
    run(clock, cost, 100, 50, plain=1.0, own=0.01, sample=0.5)
    assert cost.share == 0.0


@pytest.mark.parametrize(("sample", "every"), [(0.1, 10), (1.0, 20), (10.0, 200), (1e4, LADDER[-1])])
def test_the_distance_of_the_samples_keeps_to_the_budget(clock: list[float], sample: float, every: int) -> None:
    cost, plan = Cost(on_cpu=True), SamplingSchedule(10, 10, 0.1, adapt=True)
    run(clock, cost, 10, 40, plain=1.0, own=0.0, sample=sample)
    plan.revise(cost)
    assert plan.every == every
    assert every == LADDER[-1] or cost.at(every, 10) <= 0.08


def test_a_fixed_distance_stays(clock: list[float]) -> None:
    cost, plan = Cost(on_cpu=True), SamplingSchedule(7, 10, 0.1, adapt=False)
    run(clock, cost, 10, 40, plain=1.0, own=0.0, sample=100.0)
    plan.revise(cost)
    assert plan.every == 7


def test_samples_and_snapshots_come_at_multiples_and_the_first_step_is_one() -> None:
    plan = SamplingSchedule(5, 2, 0.1, adapt=False)
    kinds = [plan.kind(step, first=step == 1) for step in range(1, 21)]
    assert [i for i, kind in enumerate(kinds, 1) if kind is StepKind.SNAPSHOT] == [1, 10, 20]
    assert [i for i, kind in enumerate(kinds, 1) if kind is StepKind.SAMPLE] == [5, 15]
