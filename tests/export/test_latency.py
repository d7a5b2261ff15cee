import json

import pytest
from torch import nn

from bittern.export import capture, latency, nearest_rates, predict, rewrite, summary
from bittern.export.latency import Rate, Rates, all_rates
from bittern.export.operations import operations
from models.small import MODELS, costs, small, small_input

PLAIN = Rates("a machine", "avx9", 2.0, {"other": Rate(None, 4.0, 100.0), "float pointwise": Rate(10.0, None, 50.0)})


def test_a_prediction_is_the_sum_of_lines_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.MaxPool2d(2), nn.Conv2d(4, 1, 1))
    total = predict(summary(model, (2, 4, 4)), PLAIN)
    cycles = [2 * 4 * 16 / 10 + 50, (4 * 16 + 4 * 4) * 4 / 4 + 100, 4 * 4 / 10 + 50]
    assert [seconds for _, _, seconds in total.operations] == pytest.approx([c / 2e9 for c in cycles])
    assert total.seconds == pytest.approx(sum(cycles) / 2e9)
    assert total.of("0") == pytest.approx(cycles[0] / 2e9)
    assert (total.machine, total.isa) == ("a machine", "avx9")
    assert json.loads(json.dumps(total.to_json()))["operations"][1]["kind"] == "pool"


def test_the_instruction_set_counts_before_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(Rates(machine, isa, 1.0, {}) for machine in "AB" for isa in ("avx2", "portable"))
    monkeypatch.setattr(latency, "all_rates", lambda: rows)
    assert nearest_rates("B", "avx2") is rows[2]
    assert nearest_rates("C", "portable") is rows[1]
    assert nearest_rates("B", "neon") is rows[2]
    assert nearest_rates() is rows[0]


@pytest.mark.slow
def test_measured_rates_are_positive_and_of_every_kind_that_the_models_have() -> None:
    kinds = {operation.kind for name in MODELS for operation in costs(name).operations}
    assert len(all_rates()) >= 1
    for rates in all_rates():
        assert kinds <= rates.kinds.keys()
        assert rates.clock_ghz > 0
        for rate in rates.kinds.values():
            assert rate.cycles(1e6, 1e6) > 0
            assert min(rate.macs_per_cycle or 1, rate.bytes_per_cycle or 1) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_prediction_and_keeps_less_than_it_would_in_float(name: str) -> None:
    total = costs(name)
    assert predict(total, nearest_rates()).seconds > 0
    assert total.peak is not None
    deployed = rewrite(capture(small(name), small_input(name, batch=1)))
    peak = operations(deployed).peak
    assert peak is not None
    assert 0 < peak.live_bytes <= 4 * 4 * max(value.numel for value in deployed.values.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_multiply_accumulates_of_operations_are_those_of_layers(name: str) -> None:
    total = costs(name)
    assert sum(operation.macs for operation in total.operations) == total.binary_macs + total.float_macs
    binary = sum(operation.macs for operation in total.operations if operation.kind.startswith("binary"))
    assert binary == total.binary_macs
