"""Computations side by side."""

import math

import pytest

from benchmarks.measure.side_by_side import run_side_by_side


def test_an_error_ends_its_own_job_alone(capsys: pytest.CaptureFixture[str]) -> None:
    found = dict(run_side_by_side(math.sqrt, [4.0, -1.0, 9.0], 2))
    assert found == {4.0: 2.0, 9.0: 3.0}
    assert "-1.0: failed: ValueError" in capsys.readouterr().out
