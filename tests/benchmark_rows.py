"""Rows as the benchmarks measure them, with what a test wants to see in them."""

from typing import Any

from benchmarks.rows import LayerRow, MacsRow, NetworkRow, ProofRow, SplitRow, Stamp

STAMP: Stamp = {"machine": "a machine, x86_64", "revision": "abc", "date": "2026-12-01"}


def layer_row(column: str, microseconds: float, status: str = "") -> LayerRow:
    times = (microseconds,) * 4
    return LayerRow("3x3", "A 56x56, 64, 3x3", 115_605_504, 1000, column, status, *times, 3, 2.0, **STAMP)


def network_row(network: str, precision: str, engine: str, milliseconds: float, threads: int = 1) -> NetworkRow:
    times = (milliseconds,) * 4
    return NetworkRow(network, precision, engine, "", threads, *times, 3, 4.2, 1.0, 8.0, **STAMP)


def macs_row(network: str, milliseconds: float, macs: tuple[int, int], top1: float = 60.0, **other: Any) -> MacsRow:
    names = {"variant": "", "precision": "binary", "engine": "Bittern", "status": "", **other}
    changed = 4 if names["variant"] and not names["status"] else 0
    row = (network, names["variant"], names["precision"], names["engine"], names["status"], *(milliseconds,) * 4)
    return MacsRow(*row, 3, changed, *macs, 2.0, top1, **STAMP)


def split_row(network: str, *parts: float) -> SplitRow:
    """``parts``: binary, stem, middle, head, glue."""
    return SplitRow(network, *parts, **STAMP)


def proof_row(network: str, differences: int = 0, *, passed: int = 1, references_only: int = 0) -> ProofRow:
    counts = (2, 20, 0, 0, 1000, 2000, differences, 5)
    return ProofRow(network, "", "avx2", *counts, 1e-6, 2, references_only, passed, **STAMP)
