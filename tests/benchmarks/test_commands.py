"""The command line, end to end."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.measure.layers import GROUPS
from benchmarks.rows import LayerRow, read

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_layer_is_measured_and_its_table_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "layers", "--only", "D 7x7", "--no-rivals", "--rounds", "1"]
    command += ["--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "## 3x3 layers of ResNet-18" in done.stdout
    rows = read(tmp_path / f"layers-{GROUPS[0]}.csv", LayerRow)
    assert {row.column for row in rows} >= {"bittern", "bittern, float in"}
    assert all(row.status == "" and row.minimum_us > 0 for row in rows)
    assert (tmp_path / "layers.svg").stat().st_size < 100_000


@pytest.mark.parametrize("command", ["optimizers", "study"])
def test_training_needs_data(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command])
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "known"),
    [(["training"], "quicknet"), (["optimizers", "--data", "x"], "bop"), (["study", "--data", "x"], "adam-long")],
)
def test_a_misspelt_name_is_refused_with_those_that_there_are(command: list[str], known: str) -> None:
    with pytest.raises(SystemExit, match=f"'bob'.*{known}"):
        main([*command, "--only", "bob"])
