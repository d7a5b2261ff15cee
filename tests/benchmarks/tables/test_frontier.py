"""The frontier of accuracy against latency: who is on it, and what is said about it."""

from pathlib import Path

import pytest

from benchmark_rows import macs_row
from benchmarks.measure.macs import PUBLISHED
from benchmarks.rows import MacsRow, write
from benchmarks.tables.costs import dominated_by
from benchmarks.tables.frontier import Frontier, frontier, frontier_table, sections, verdict

COST = (1, 1)


def rival(network: str, milliseconds: float, top1: float, engine: str = "OpenVINO", precision: str = "int8") -> MacsRow:
    return macs_row(network, milliseconds, COST, top1, precision=precision, engine=engine)


def found(tmp_path: Path, *rows: MacsRow) -> Frontier:
    write(tmp_path / "zen4" / "macs.csv", rows)
    result = frontier(tmp_path / "zen4")
    assert result is not None
    return result


def test_a_network_is_dominated_by_a_faster_one_that_is_as_accurate() -> None:
    slow, fast = macs_row("slow", 10.0, COST, 60.0), macs_row("fast", 5.0, COST, 60.0)
    better = macs_row("better", 11.0, COST, 70.0)
    assert [dominated_by(row, [slow, fast, better]) for row in (slow, fast, better)] == [fast, None, None]


def test_a_rival_stands_in_its_fastest_engine(tmp_path: Path) -> None:
    rows = [rival("resnet-18", 5.0, 69.5, "ONNX Runtime"), rival("resnet-18", 2.0, 69.5), macs_row("net", 3.0, COST)]
    result = found(tmp_path, *rows, macs_row("net", 1.0, COST, variant="ones"))
    assert [(row.network, row.engine, row.median_ms) for row in result.entries] == [
        ("resnet-18", "OpenVINO", 2.0),
        ("net", "Bittern", 3.0),
    ]


def test_the_verdict_names_the_winner_of_either_kind(tmp_path: Path) -> None:
    int8 = rival("mobilenet-v2", 2.0, 71.7)
    text = verdict(found(tmp_path, macs_row("net", 1.0, COST, 60.0), macs_row("late", 3.0, COST, 60.0), int8))
    assert text.startswith("On AMD Zen 4, 1 of 2 binary networks are on the frontier: net (1.00 ms, 60.0 %).")
    text = verdict(found(tmp_path, macs_row("net", 2.5, COST, 60.0), macs_row("late", 5.0, COST, 60.0), int8))
    assert "no binary network is on the frontier" in text
    assert "The closest is net (2.50 ms, 60.0 %), beaten by int8 mobilenet-v2 in OpenVINO (2.00 ms, 71.7 %)." in text


def test_the_verdict_says_which_rivals_were_not_measured(tmp_path: Path) -> None:
    some = found(tmp_path, macs_row("net", 1.0, COST), rival("mobilenet-v2", 2.0, 71.7))
    assert "mobilenet-v2-0.5" in verdict(some)
    every = found(tmp_path, macs_row("net", 1.0, COST), *(rival(name, 2.0, 70.0) for name in PUBLISHED))
    assert "not measured" not in verdict(every)


def test_the_short_table_leaves_out_what_another_binary_network_beats(tmp_path: Path) -> None:
    binary = [macs_row("good", 3.0, COST, 62.0), macs_row("bad", 4.0, COST, 61.0)]
    result = found(tmp_path, *binary, rival("mobilenet-v2", 2.0, 71.7))
    beaten = "int8 mobilenet-v2, OpenVINO (2.00 ms, 71.7 %)"
    assert f"| bad | binary | Bittern | 61.0 % | 4.00 | {beaten} |" in frontier_table(result)
    short = frontier_table(result, short=True)
    assert f"| good | binary | Bittern | 62.0 % | 3.00 | {beaten} |" in short
    assert "bad" not in short
    assert "| **mobilenet-v2** | **int8** |" in short


@pytest.mark.parametrize("status", ["not installed: no wheel"])
def test_engines_that_failed_stay_in_the_table(tmp_path: Path, status: str) -> None:
    failed = macs_row("resnet-18", 0.0, COST, 69.8, precision="float", engine="OpenVINO", status=status)
    found(tmp_path, macs_row("net", 1.0, COST), failed)
    assert f"| resnet-18 | float | OpenVINO | 69.8 % | {status} | - |" in "\n".join(sections(tmp_path / "zen4"))
