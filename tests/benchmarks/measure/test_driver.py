"""Engine processes, and what becomes of engines that are missing, refuse or die."""

import sys
from pathlib import Path

import pytest

from benchmarks.measure import layer_times
from benchmarks.measure.driver import Column, Driver, RequestError, Timings
from benchmarks.measure.environments import RIVALS, VENV, UnavailableError, build_native
from benchmarks.measure.layers import KEY_LAYERS, LAYERS


def test_layers_a_to_d_have_the_same_work() -> None:
    key = [layer for layer in LAYERS if layer.name.split()[0] in KEY_LAYERS]
    assert [layer.macs for layer in key] == [115_605_504] * 4
    assert len({(layer.group, layer.name) for layer in LAYERS}) == len(LAYERS)


def test_a_rival_that_is_not_installed_gives_a_column_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(environment: str, say: object) -> Path:
        if environment == RIVALS:
            raise UnavailableError("not installed: no matching distribution")
        return Path(sys.executable)

    monkeypatch.setattr("benchmarks.measure.environments.python", missing)
    entry = next(entry for entry in layer_times.RIVAL_ENTRIES if entry.environment == RIVALS)
    with Driver(lambda text: None) as driver:
        column = layer_times.layer_column(driver, entry, LAYERS[0])
        if not column.path.exists():  # else an earlier run has built it
            assert column.reason == "not installed: no matching distribution"
        timings = driver.measure([column], rounds=1, seconds=0.001)
    assert timings == {entry.name: Timings(reason="not installed: no matching distribution")}


def test_timings_are_summed_up_in_a_unit() -> None:
    assert Timings((1.0, 2.0, 3.0), (2.0, 4.0, 6.0)).summary(0.5) == (8.0, 4.0, 12.0, 2.0)
    assert Timings((1.0,), (2.0,)).summary(1.0) == (2.0, 2.0, 2.0, 1.0)
    assert Timings(reason="refused").summary(1.0) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.slow
def test_an_engine_that_refuses_or_dies_gives_its_reason_in_one_line(tmp_path: Path) -> None:
    build_native()
    with Driver(lambda text: None) as driver:
        column = Column("no file", VENV, "executorch", tmp_path / "none.pte")
        assert "none.pte" in driver.measure([column], rounds=1, seconds=0.001)["no file"].reason
        worker = driver.worker(VENV, "executorch", 1)
        assert worker._process is not None
        worker._process.kill()
        with pytest.raises(RequestError, match="its process ended with status -9"):
            worker.ask("drop")
        assert worker.ask("drop") is None  # in a new process
