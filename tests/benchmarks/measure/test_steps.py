"""Steps of optimizers."""

from pathlib import Path

import pytest

from benchmarks.measure import steps
from benchmarks.measure.steps import FOREACH, FUSED
from benchmarks.rows import write
from benchmarks.tables import training
from bittern.optim import list_optimizers


def test_the_steps_of_every_optimizer_are_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(steps, "NETWORK", "digits-resnet")
    rows = steps.measure(3, "cpu")
    assert [row.optimizer for row in rows] == [FOREACH, FUSED, *list_optimizers()]
    for row in rows:
        assert 0 < row.low_ms <= row.median_ms <= row.high_ms
        assert row.state_bytes >= 4 * row.parameters
    write(tmp_path / "steps.csv", rows)
    text = "\n".join(training.sections(tmp_path))
    assert all(f"| {row.optimizer} |" in text for row in rows)
    assert f"| to {FUSED} | to {FOREACH} |" in text
    ratio = rows[0].median_ms / rows[1].median_ms
    assert f"| {ratio:.2f} | 1.00 |" in next(line for line in text.splitlines() if line.startswith(f"| {FOREACH} "))
