"""What follows from the rows of macs.csv: rates, errors, rank correlations, dominated networks."""

from collections.abc import Sequence

import numpy as np

from benchmarks.rows import MacsRow, SplitRow


def own(rows: Sequence[MacsRow]) -> list[MacsRow]:
    """Bittern's networks as they are."""
    return [row for row in rows if row.engine == "Bittern" and not row.variant and not row.status]


def measured(rows: Sequence[MacsRow]) -> list[MacsRow]:
    """All networks as they are, fastest first."""
    found = [row for row in rows if not row.variant and not row.status]
    return sorted(found, key=lambda row: row.median_ms)


def mac_costs(rows: Sequence[MacsRow]) -> tuple[float, float]:
    """Milliseconds of a binary and of a float multiply-accumulate that minimize the sum of squared relative errors.

    Neither is negative.
    """
    time = np.array([row.median_ms for row in rows])
    macs = np.array([[row.binary_macs, row.float_macs] for row in rows], float) / time[:, None]
    candidates = []
    for columns in ([0, 1], [0], [1]):
        solution, *_ = np.linalg.lstsq(macs[:, columns], np.ones(len(rows)))
        costs = np.zeros(2)
        costs[columns] = solution
        if (costs >= 0).all():
            candidates.append((float(((macs @ costs - 1) ** 2).sum()), costs))
    _, best = min(candidates, key=lambda candidate: candidate[0])
    return float(best[0]), float(best[1])


def from_macs(row: MacsRow, costs: tuple[float, float]) -> float:
    """Milliseconds that the two costs predict."""
    return row.binary_macs * costs[0] + row.float_macs * costs[1]


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(y < x for y in values) + (sum(y == x for y in values) - 1) / 2 for x in values]


def dominated_by(row: MacsRow, rows: Sequence[MacsRow]) -> MacsRow | None:
    """The fastest of ``rows`` that are faster than ``row`` and at least as accurate; None if there is none."""
    better = [each for each in rows if each.top1 >= row.top1 and each.median_ms < row.median_ms]
    return min(better, key=lambda each: each.median_ms, default=None)


def variant(rows: Sequence[MacsRow], network: str, name: str) -> MacsRow | None:
    """The measured row of a network's variant; the network itself where there was nothing to change."""
    found = {row.variant: row for row in rows if row.network == network and row.engine == "Bittern"}
    row = found.get(name)
    if row is not None and row.status and not row.changed:
        row = found.get("")
    return row if row is not None and not row.status else None


def binary_rate(row: MacsRow, split: SplitRow) -> float:
    """Binary GMAC/s within the binary kernels."""
    time = row.median_ms * split.binary_ms / split.total_ms
    return row.binary_macs / time * 1e-6 if time else 0.0
