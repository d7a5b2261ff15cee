"""What an interrupted call has finished is not measured again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmark_rows import STAMP, layer_row
from benchmarks.measure import campaign as module
from benchmarks.measure.campaign import Campaign, Options
from benchmarks.measure.driver import Driver
from benchmarks.rows import LayerRow, Stamped, read


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a campaign of two groups that is interrupted after ``finished`` of them; returns those that it measured."""
    monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    monkeypatch.setattr(module, "this_stamp", lambda: STAMP)

    def run(finished: int, *, finish: bool = True, **options: object) -> list[str]:
        calls: list[str] = []

        def rows(driver: object, stamp: object) -> Sequence[Stamped]:
            calls.append("called")
            return [layer_row("bittern", 1.0)]

        campaign = Campaign(Driver(lambda text: None), Options(results=tmp_path / "results", **options))
        for group in ("first", "second")[:finished]:
            before = len(calls)
            campaign.measure(group, rows)
            if len(calls) > before:
                calls[-1] = group
        if finished == 2 and finish:
            campaign.finish()
        return calls

    return run


def test_finished_groups_are_kept_until_a_call_completes(measured: Callable[..., list[str]]) -> None:
    assert measured(1) == ["first"]
    assert measured(2) == ["second"]
    assert measured(2) == ["first", "second"]


def test_other_rounds_and_fresh_measure_everything(measured: Callable[..., list[str]]) -> None:
    measured(1)
    assert measured(1, rounds=3) == ["first"]
    assert measured(1, rounds=3) == []
    assert measured(1, rounds=3, fresh=True) == ["first"]


def test_a_fresh_call_that_was_interrupted_resumes_too(measured: Callable[..., list[str]]) -> None:
    measured(1)
    assert measured(2, fresh=True, finish=False) == ["first", "second"]
    assert measured(2) == []


def test_rows_are_written_group_by_group(measured: Callable[..., list[str]], tmp_path: Path) -> None:
    measured(1)
    assert read(tmp_path / "results" / "first.csv", LayerRow) == [layer_row("bittern", 1.0)]
