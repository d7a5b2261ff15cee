import pytest
from benchmarks import optimizer_steps
from benchmarks.optimizer_steps import BASELINE, measure, report

from bittern.optim import list_optimizers


def test_the_step_times_of_every_optimizer_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer_steps, "NETWORK", "digits-resnet")
    rows = measure(3, "cpu", "abc")
    assert [row.optimizer for row in rows] == [BASELINE, "Adam(fused=True)", *list_optimizers()]
    assert rows[0].ratio == 1
    for row in rows:
        assert 0 < row.low_ms <= row.median_ms <= row.high_ms
        assert row.state_bytes >= 4 * row.parameters
    text = report(rows)
    assert all(f"| {row.optimizer} |" in text for row in rows)
