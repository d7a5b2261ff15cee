"""Rows and their files, and the folders that they lie in."""

import csv
from pathlib import Path

import pytest

from benchmark_rows import layer_row
from benchmarks.rows import RESULTS, LayerRow, cpu_folder, cpu_folders, cpu_title, read, write

CSV_FILES = sorted(RESULTS.rglob("*.csv"))


def test_rows_survive_their_file(tmp_path: Path) -> None:
    rows = [layer_row("bittern", 50.0), layer_row("float OpenVINO", 0.0, "not installed: no network, no wheel")]
    write(tmp_path / "rows.csv", rows)
    assert read(tmp_path / "rows.csv", LayerRow) == rows
    assert read(tmp_path / "none.csv", LayerRow) == []


@pytest.mark.parametrize("path", CSV_FILES, ids=lambda path: str(path.relative_to(RESULTS)))
def test_every_file_says_where_and_when_it_was_measured(path: Path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-3:] == ["machine", "revision", "date"]
    assert all(row["machine"] and len(row["date"]) == len("2026-12-01") for row in rows)


def test_a_cpu_is_told_by_its_generation_or_by_what_it_can_do() -> None:
    assert cpu_folder("AMD EPYC (Zen 4)", ["avx2"]) == "zen4"
    assert cpu_folder("Intel(R) Xeon(R) Processor", ["avx2", "amx_int8"]) == "sapphire-rapids"
    assert cpu_folder("Intel(R) Xeon(R) Processor", ["amx_int8", "amx_fp16"]) == "granite-rapids"
    assert cpu_folder("Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", ["avx2"]) == "intel-r-core-tm-i7-1165g7-2-80ghz"


def test_folders_are_those_that_hold_rows(tmp_path: Path) -> None:
    write(tmp_path / "zen5" / "rows.csv", [layer_row("bittern", 50.0)])
    (tmp_path / "empty").mkdir()
    assert cpu_folders(tmp_path) == [tmp_path / "zen5"]
    assert cpu_title("zen5") == "AMD Zen 5"
    assert cpu_title("another") == "another"
