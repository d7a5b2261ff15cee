"""The benchmarks run and report what they measured; how fast anything is is no matter of a test."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import kernels, macs_vs_latency, networks, plots, rewrites, split, study, tables
from benchmarks.driver import Column, Driver, FailedError, Sample
from benchmarks.environments import RIVALS, VENV, MissingError, build_native
from benchmarks.layers import GROUPS, KEY_LAYERS, LAYERS
from benchmarks.results import RESULTS, LayerRow, NetworkRow, ProofRow, SplitRow, StudyRow, read, write
from benchmarks.tables import generated, generated_part, write_readme
from torch import Tensor, nn

from bittern.export import summary
from bittern.nn import BinaryConv2d

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
    two = "20.00 | 0.0% | 1.50x | 20.0x"
    assert f"| resnet-18 | float | XNNPACK | 30.00 | 0.0% | 15.0x | {two} | 1.0 | 8.0 | 4.2 |" in text
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


def study_row(network: str, milliseconds: float, macs: tuple[int, int], top1: float = 60.0, **other: Any) -> StudyRow:
    names = {"variant": "", "precision": "binary", "engine": "Bittern", "status": "", **other}
    times = (milliseconds,) * 4
    changed = 4 if names["variant"] and not names["status"] else 0
    return StudyRow(network, *names.values(), *times, 3, changed, *macs, 2.0, top1, *MACHINE.values())


def test_costs_of_macs_are_found_where_latency_follows_from_them() -> None:
    macs = [(1_000_000_000, 10_000_000), (2_000_000_000, 200_000_000), (0, 30_000_000)]
    rows = [study_row(f"net-{i}", binary * 2e-9 + real * 1e-7, (binary, real)) for i, (binary, real) in enumerate(macs)]
    assert study.mac_costs(rows) == pytest.approx((2e-9, 1e-7))
    assert [study.from_macs(row, (2e-9, 1e-7)) for row in rows] == pytest.approx([row.median_ms for row in rows])


def test_no_multiply_accumulate_costs_less_than_nothing() -> None:
    rows = [study_row("a", 10.0, (1_000, 1_000)), study_row("b", 5.0, (1_000, 9_000))]
    assert min(study.mac_costs(rows)) == 0.0


def test_ranks_are_compared_and_equal_values_share_one() -> None:
    assert study.rank_correlation([1, 2, 3], [10, 200, 3000]) == pytest.approx(1.0)
    assert study.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert study.rank_correlation([1, 1, 2], [1, 2, 3]) == pytest.approx(0.866, abs=1e-3)


def test_a_network_is_beaten_by_a_faster_one_that_is_as_accurate() -> None:
    slow, fast = study_row("slow", 10.0, (1, 1), 60.0), study_row("fast", 5.0, (1, 1), 60.0)
    better = study_row("better", 11.0, (1, 1), 70.0)
    rows = [slow, fast, better]
    assert [study.beaten_by(row, rows) for row in rows] == [fast, None, None]


def test_the_study_compares_variants_with_the_network_as_it_is(tmp_path: Path) -> None:
    macs = (1_000_000_000, 100_000_000)
    rows = [study_row("net", 10.0, macs, 60.0), study_row("net", 8.0, macs, variant="no shortcuts")]
    rows += [study_row("net", 0.0, macs, variant="zeros", status="nothing to change")]
    rows += [study_row("net", 9.0, macs, variant="ones")]
    rows += [study_row("resnet-18", 40.0, (0, 1_800_000_000), 69.8, precision="float", engine="XNNPACK")]
    rows += [study_row("mobilenet-v2", 5.0, (0, 300_000_000), 71.9, precision="float", engine="OpenVINO")]
    write(tmp_path / "macs.csv", rows)
    write(tmp_path / "macs-split.csv", [SplitRow("net", 5.0, 1.0, 2.0, 1.0, 1.0, *MACHINE.values())])
    text = generated(tmp_path)
    assert "| net | 10.00 | 8.00 | +25.0% | 10.00 | 9.00 | +11.1% | 1.00 | 10% |" in text
    assert (
        "| net | 10.00 | 0.0% | 1000 | 100 | 50% | 10% | 20% | 10% | 10% | 200 | 100 | 10.00 | +0% | 2.00 | -80% |"
        in text
    )
    assert "| net | binary | Bittern | 60.0 % | 10.00 | 0.0% | mobilenet-v2, float, OpenVINO |" in text
    assert "| mobilenet-v2 | float | OpenVINO | 71.9 % | 5.00 | 0.0% |  |" in text
    plots.draw(tmp_path)
    assert {file.name for file in tmp_path.glob("*.svg")} == {"macs.svg", "accuracy.svg", "split.svg"}


def test_time_is_split_at_the_first_and_the_last_layer_on_bits() -> None:
    nodes = [("XnnpackBackend", 20.0), ("bittern::conv2d_weight_only_packed", 10.0), ("bittern::pack", 2.0)]
    nodes += [("bittern::conv2d_float_packed", 30.0), ("aten::add", 3.0), ("XnnpackBackend", 5.0)]
    nodes += [("bittern::linear", 20.0), ("XnnpackBackend", 10.0)]
    assert split.shares(nodes) == pytest.approx((0.5, 0.3, 0.05, 0.1, 0.05))
    assert split.shares([("XnnpackBackend", 5.0)]) == (0.0, 1.0, 0.0, 0.0, 0.0)


def test_a_difference_from_the_references_is_no_proof(tmp_path: Path) -> None:
    counts = (2, 20, 0, 0, 1000, 2000)
    rows = [ProofRow("good", "", "avx2", *counts, 0, 5, 1e-6, 2, 1, *MACHINE.values())]
    rows += [ProofRow("bad", "", "avx2", *counts, 3, 5, 1e-6, 2, 0, *MACHINE.values())]
    write(tmp_path / "proof.csv", rows)
    text = generated(tmp_path)
    assert "| good | 2 | 20 | 0 | 0 | 1,000 | 2,000 | 0 | 5 | 1.0e-06 | 2 of 2 | yes |" in text
    assert "| bad | 2 | 20 | 0 | 0 | 1,000 | 2,000 | 3 | 5 | 1.0e-06 | 2 of 2 | NO |" in text


class Residual(nn.Module):
    """Two binary convolutions with a shortcut each, the second one with a convolution in it."""

    def __init__(self, pad_value: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.first = BinaryConv2d(8, 8, 3, padding=1, pad_value=pad_value)
        self.second = BinaryConv2d(8, 16, 3, 2, padding=1, pad_value=pad_value)
        self.shortcut = nn.Conv2d(8, 16, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.first(x)
        y: Tensor = self.second(x) + self.shortcut(x)
        return y


def test_without_shortcuts_only_the_deeper_path_is_left() -> None:
    model, x = Residual(0).eval(), torch.randn(1, 3, 8, 8)
    changed, count = rewrites.rewrite(model, x, rewrites.without_shortcuts)
    assert count == 2
    assert torch.equal(changed(x), model.second(model.first(model.stem(x))))
    assert not any("shortcut" in name for name, _ in (*changed.named_parameters(), *changed.named_buffers()))


@pytest.mark.parametrize("present", [0, 1])
@pytest.mark.parametrize("wanted", [0, 1])
def test_the_border_of_binary_convolutions_is_changed_and_no_other(present: int, wanted: int) -> None:
    model, other = Residual(present).eval(), Residual(wanted).eval()
    other.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 8, 8)
    changed, count = rewrites.rewrite(model, x, rewrites.pad_with(wanted))
    assert count == (0 if present == wanted else 2)
    torch.testing.assert_close(changed(x), other(x))


def test_networks_are_random_throughout_and_the_same_every_time() -> None:
    model, again = networks.create("digits-resnet"), networks.create("digits-resnet")
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
        assert a.numel() == 1 or len(a.unique()) > 1, name
    factors = torch.cat([module.weight for module in model.modules() if isinstance(module, nn.BatchNorm2d)])
    assert 0 < (factors < 0).float().mean() < 0.3


def test_batch_norm_with_offsets_alone_gets_random_offsets() -> None:
    norm = nn.BatchNorm2d(8)
    norm.register_parameter("weight", None)
    assert len(networks._randomized(norm).get_parameter("bias").unique()) == 8


def test_efficientnet_lite0_has_the_published_size() -> None:
    model = networks.build("efficientnet-lite0")
    costs = summary(model, networks.input_shape("efficientnet-lite0"))
    assert round(sum(p.numel() for p in model.parameters()) * 1e-6, 1) == 4.7  # github.com/tensorflow/tpu
    assert 380e6 < costs.float_macs < 407e6


def test_every_network_of_the_study_has_a_published_accuracy_and_costs() -> None:
    for network in (*macs_vs_latency.networks(), *macs_vs_latency.PUBLISHED):
        assert macs_vs_latency._top1(network, "float") > 0
    assert "digits-resnet" not in macs_vs_latency.networks()


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


@pytest.mark.slow
def test_a_network_is_exported_in_variants_and_proven(tmp_path: Path) -> None:
    subject = {"network": "digits-resnet"}
    program, index, proof = tmp_path / "net.pte", tmp_path / "net-variants.json", tmp_path / "net-proof.json"
    with Driver(lambda text: None) as driver:
        driver.build(VENV, "network_pte", {**subject, "form": "bittern"}, program)
        driver.build(VENV, "network_variants", subject, index)
        driver.build(VENV, "network_proof", {**subject, "program": str(program)}, proof)
        nodes = driver.worker(VENV, "split", 1).ask("call", module="split", function="nodes", arguments=[str(program)])
    variants = json.loads(index.read_text())
    assert {name: variant["reason"] for name, variant in variants.items()} == {
        "no shortcuts": "",
        "zeros": "nothing to change",
        "ones": "",
    }
    assert all((tmp_path / variant["file"]).exists() == bool(variant["changed"]) for variant in variants.values())
    found = json.loads(proof.read_text())
    assert found["passed"] == 1
    assert found["reference_differences"] == found["unpacked"] == found["fallbacks"] == 0
    assert found["bits"] > 0
    assert sum(split.shares(nodes)) == pytest.approx(1.0)
    assert split.shares(nodes)[0] > 0
