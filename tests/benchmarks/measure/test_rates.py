"""The rates behind predicted latencies: the fit, and that every kind of operation is measured."""

import pytest
import torch

from benchmarks.measure.rates import PROGRAMS, OperationTime, Program, fit, timed_operations
from bittern.export import capture, rewrite
from models.small import MODELS, costs


def samples(macs_per_cycle: float, bytes_per_cycle: float, call: float) -> list[OperationTime]:
    sizes = [(10_000, 500.0), (40_000, 300.0), (90_000, 8000.0), (1_000_000, 100.0)]
    return [
        OperationTime("a", "kind", macs, size, macs / macs_per_cycle + size / bytes_per_cycle + call)
        for macs, size in sizes
    ]


def test_the_fit_finds_the_line_that_the_samples_lie_on() -> None:
    rate = fit(samples(100.0, 4.0, 250.0))
    assert rate.macs_per_cycle == pytest.approx(100, rel=1e-3)
    assert rate.bytes_per_cycle == pytest.approx(4, rel=1e-3)
    assert rate.cycles_per_call == pytest.approx(250, rel=1e-3)


def test_no_part_costs_less_than_nothing() -> None:
    rate = fit(samples(100.0, 4.0, -50.0))
    assert rate.cycles_per_call == 0
    assert rate.macs_per_cycle is not None
    assert rate.macs_per_cycle > 0


def test_multiplications_are_not_free_even_where_bytes_explain_the_time() -> None:
    ratio = [OperationTime("a", "kind", 100 * n, 10.0 * n, 50.0 * n) for n in (1, 2, 3)]
    assert fit(ratio).macs_per_cycle is not None


def test_what_multiplies_nothing_has_no_rate_of_it() -> None:
    rate = fit([OperationTime("a", "pool", 0, 100.0 * n, 50.0 * n + 7) for n in (1, 2, 5)])
    assert rate.macs_per_cycle is None
    assert rate.bytes_per_cycle == pytest.approx(2, rel=1e-3)
    assert rate.cycles_per_call == pytest.approx(7, rel=1e-3)


@pytest.mark.slow
def test_every_kind_that_a_model_has_is_measured() -> None:
    measured = {operation.kind for program in PROGRAMS for operation in timed_operations(program)}
    assert {operation.kind for name in MODELS for operation in costs(name).operations} <= measured
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)


@pytest.mark.parametrize("program", [PROGRAMS[0], PROGRAMS[30]], ids=lambda program: program.name)
def test_the_operations_of_a_program_are_the_calls_that_the_engine_times(program: Program) -> None:
    deployed = rewrite(capture(program.build(), torch.zeros(1, *program.shape)))
    assert len(timed_operations(program)) == len(deployed.operators)
