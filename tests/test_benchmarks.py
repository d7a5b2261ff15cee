"""The benchmarks run and report what they measured; how fast anything is is no matter of a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import kernels, tables
from benchmarks.driver import Column, Driver, FailedError, Sample
from benchmarks.environments import RIVALS, VENV, MissingError, build_native
from benchmarks.layers import GROUPS, KEY_LAYERS, LAYERS
from benchmarks.results import RESULTS, LayerRow, NetworkRow, read, write
from benchmarks.tables import generated, generated_part, write_readme

ROOT = Path(__file__).parents[1]
MACHINE = {"machine": "a machine", "revision": "abc"}


def layer_row(column: str, microseconds: float, status: str = "") -> LayerRow:
    times = (microseconds,) * 4
    return LayerRow("3x3", "A 56x56, 64, 3x3", 115_605_504, 1000, column, status, *times, 3, 2.0, *MACHINE.values())


def network_row(network: str, precision: str, engine: str, milliseconds: float, threads: int = 1) -> NetworkRow:
    times = (milliseconds,) * 4
    return NetworkRow(network, precision, engine, "", threads, *times, 3, 4.2, 1.0, 8.0, *MACHINE.values())


def test_the_tables_of_the_readme_are_made_from_the_results() -> None:
    assert generated_part() == generated(RESULTS)


def test_layers_a_to_d_have_the_same_work() -> None:
    key = [layer for layer in LAYERS if layer.name.split()[0] in KEY_LAYERS]
    assert [layer.macs for layer in key] == [115_605_504] * 4
    assert len({(layer.group, layer.name) for layer in LAYERS}) == len(LAYERS)


def test_rows_survive_their_file(tmp_path: Path) -> None:
    rows = [layer_row("bittern", 50.0), layer_row("float OpenVINO", 0.0, "not installed: no network, no wheel")]
    write(tmp_path / "rows.csv", rows)
    assert read(tmp_path / "rows.csv", LayerRow) == rows
    assert read(tmp_path / "none.csv", LayerRow) == []


def test_ratios_are_to_the_form_with_the_same_input_and_reasons_stay_in_the_table(tmp_path: Path) -> None:
    rows = [layer_row("bittern", 50.0), layer_row("bittern, float in", 100.0), layer_row("bound avx2", 40.0)]
    rows += [layer_row("float OpenVINO", 500.0), layer_row("Larq", 500.0)]
    rows += [layer_row("int8 OpenVINO", 0.0, "not installed: no wheel")]
    write(kernels.csv_path(tmp_path, "3x3"), rows)
    text = generated(tmp_path)
    assert "| A 56x56, 64, 3x3 | 50.0 | 0.0% | 1156 | 0.80 | 100.0 | 10.0x | 5.0x | not installed: no wheel |" in text
    assert "| A-D, packed in: times faster than the best float | 19.5 | 10.00 | 10.00 |" in text
    assert "best int8" not in text


def test_networks_are_compared_on_as_many_threads(tmp_path: Path) -> None:
    rows = [network_row("quicknet", "binary", "Bittern", 2.0), network_row("quicknet", "binary", "Bittern", 1.0, 2)]
    rows += [network_row("resnet-18", "float", "XNNPACK", 30.0), network_row("resnet-18", "float", "XNNPACK", 20.0, 2)]
    write(tmp_path / "networks.csv", rows)
    text = generated(tmp_path)
    assert "| resnet-18 | float | XNNPACK | 30.00 | 0.0% | 15.0x | 20.00 | 1.50x | 20.0x | 1.0 | 8.0 | 4.2 |" in text
    assert "| QuickNet: 2 threads to 1 | 1.7 | 2.00 | 2.00 |" in text


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(tables.README.read_text())
    write(kernels.csv_path(tmp_path, "3x3"), [layer_row("bittern", 50.0)])
    write_readme(tmp_path, readme)
    assert generated_part(readme) == generated(tmp_path)
    assert readme.read_text().split("<!--")[0] == tables.README.read_text().split("<!--")[0]


def test_a_rival_that_is_not_there_gives_a_row_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(environment: str, say: object) -> Path:
        if environment == RIVALS:
            raise MissingError("not installed: no matching distribution")
        return Path(sys.executable)

    monkeypatch.setattr("benchmarks.environments.python", missing)
    source = next(source for source in kernels.RIVAL_SOURCES if source.environment == RIVALS)
    with Driver(lambda text: None) as driver:
        column = kernels.column(driver, source, LAYERS[0])
        if not column.path.exists():  # else an earlier run has built it
            assert column.reason == "not installed: no matching distribution"
        samples = driver.measure([column], rounds=1, seconds=0.001)
    assert samples == {source.column: Sample(reason="not installed: no matching distribution")}


@pytest.mark.slow
def test_an_engine_that_refuses_or_dies_gives_its_reason_in_one_line(tmp_path: Path) -> None:
    build_native()
    with Driver(lambda text: None) as driver:
        column = Column("no file", VENV, "executorch", tmp_path / "none.pte")
        assert "none.pte" in driver.measure([column], rounds=1, seconds=0.001)["no file"].reason
        worker = driver.worker(VENV, "executorch", 1)
        assert worker._process is not None
        worker._process.kill()
        with pytest.raises(FailedError, match="its process ended with status -9"):
            worker.ask("drop")
        assert worker.ask("drop") is None  # in a new process


@pytest.mark.slow
def test_the_command_measures_a_layer_and_prints_its_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "kernels", "--only", "D 7x7", "--no-rivals", "--rounds", "1"]
    command += ["--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    assert "### 3x3 layers of ResNet-18" in done.stdout
    rows = read(kernels.csv_path(tmp_path, GROUPS[0]), LayerRow)
    assert {row.column for row in rows} >= {"bittern", "bittern, float in"}
    assert all(row.status == "" and row.minimum_us > 0 for row in rows)
    assert (tmp_path / "layers.svg").stat().st_size < 100_000
