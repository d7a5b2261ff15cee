"""What follows from multiply-accumulates and latencies."""

from pathlib import Path

import pytest

from benchmark_rows import macs_row, split_row
from benchmarks.rows import write
from benchmarks.tables import costs, macs, plots


def test_costs_of_macs_are_found_where_latency_follows_from_them() -> None:
    macs = [(1_000_000_000, 10_000_000), (2_000_000_000, 200_000_000), (0, 30_000_000)]
    rows = [macs_row(f"net-{i}", binary * 2e-9 + real * 1e-7, (binary, real)) for i, (binary, real) in enumerate(macs)]
    assert costs.mac_costs(rows) == pytest.approx((2e-9, 1e-7))
    assert [costs.from_macs(row, (2e-9, 1e-7)) for row in rows] == pytest.approx([row.median_ms for row in rows])


def test_no_multiply_accumulate_costs_less_than_nothing() -> None:
    rows = [macs_row("a", 10.0, (1_000, 1_000)), macs_row("b", 5.0, (1_000, 9_000))]
    assert min(costs.mac_costs(rows)) == 0.0


def test_ranks_are_compared_and_equal_values_share_one() -> None:
    assert costs.rank_correlation([1, 2, 3], [10, 200, 3000]) == pytest.approx(1.0)
    assert costs.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert costs.rank_correlation([1, 1, 2], [1, 2, 3]) == pytest.approx(0.866, abs=1e-3)


def test_variants_are_compared_with_the_network_as_it_is(tmp_path: Path) -> None:
    cost = (1_000_000_000, 100_000_000)
    rows = [macs_row("net", 10.0, cost, 60.0), macs_row("net", 8.0, cost, variant="no shortcuts")]
    rows += [macs_row("net", 0.0, cost, variant="zeros", status="nothing to change")]
    rows += [macs_row("net", 9.0, cost, variant="ones")]
    rows += [macs_row("mobilenet-v2", 5.0, (0, 300_000_000), 71.9, precision="float", engine="OpenVINO")]
    write(tmp_path / "macs.csv", rows)
    write(tmp_path / "macs-split.csv", [split_row("net", 5.0, 1.0, 2.0, 1.0, 1.0)])
    text = "\n".join(macs.sections(tmp_path))
    assert "| net | 10.00 | 8.00 | +25.0% | 10.00 | 9.00 | +11.1% | 1.00 | 10% |" in text
    shares = "50% | 10% | 20% | 10% | 10%"
    assert f"| net | 10.00 | 0.0% | 1000 | 100 | {shares} | 200 | 100 | 10.00 | +0% | 2.00 | -80% |" in text
    plots.draw(tmp_path)
    assert {file.name for file in tmp_path.glob("*.svg")} == {"macs.svg", "frontier.svg", "split.svg"}
