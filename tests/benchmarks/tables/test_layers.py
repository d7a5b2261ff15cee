"""Tables of layers and networks, made from rows."""

from pathlib import Path

from benchmark_rows import layer_row, network_row, proof_row
from benchmarks.rows import write
from benchmarks.tables import layers, networks


def test_ratios_are_to_the_form_with_the_same_input_and_reasons_stay_in_the_table(tmp_path: Path) -> None:
    rows = [layer_row("bittern", 50.0), layer_row("bittern, float in", 100.0), layer_row("bound avx2", 40.0)]
    rows += [layer_row("float OpenVINO", 500.0), layer_row("Larq", 500.0)]
    rows += [layer_row("int8 OpenVINO", 0.0, "not installed: no wheel")]
    write(tmp_path / "layers-3x3.csv", rows)
    text = "\n".join(layers.sections(tmp_path))
    assert "| A 56x56, 64, 3x3 | 50.0 | 0.0% | 1156 | 0.80 | 100.0 | 10.0x | 5.0x | not installed: no wheel |" in text
    assert "| packed in, times faster than the best float | 10.00 |" in text
    assert "best int8" not in text
    assert "has no x86 kernels" in text


def test_networks_are_compared_on_the_same_number_of_threads(tmp_path: Path) -> None:
    rows = [network_row("quicknet", "binary", "Bittern", 2.0), network_row("quicknet", "binary", "Bittern", 1.0, 2)]
    rows += [network_row("resnet-18", "float", "XNNPACK", 30.0), network_row("resnet-18", "float", "XNNPACK", 20.0, 2)]
    write(tmp_path / "networks.csv", rows)
    text = "\n".join(networks.sections(tmp_path))
    two = "20.00 | 0.0% | 1.50x | 20.0x"
    assert f"| resnet-18 | float | XNNPACK | 30.00 | 0.0% | 15.0x | {two} | 1.0 | 8.0 | 4.2 |" in text
    assert "Larq" not in text


def test_the_fastest_engine_of_a_network_counts(tmp_path: Path) -> None:
    rows = [network_row("a", "int8", engine, ms) for engine, ms in (("slow", 3.0), ("fast", 1.0), ("middle", 2.0))]
    write(tmp_path / "networks.csv", [*rows, network_row("a", "int8", "two threads", 0.5, 2)])
    assert networks.fastest(tmp_path)["a", "int8"].engine == "fast"


def test_a_difference_from_the_references_is_no_proof(tmp_path: Path) -> None:
    rows = [proof_row("good"), proof_row("bad", 3, passed=0), proof_row("rounds", references_only=1)]
    write(tmp_path / "proof.csv", rows)
    text = "\n".join(networks.sections(tmp_path))
    assert "| good | 2 | 20 | 0 | 0 | 1,000 | 2,000 | 0 | 5 | 1.0e-06 | 2 of 2 | yes |" in text
    assert "| bad | 2 | 20 | 0 | 0 | 1,000 | 2,000 | 3 | 5 | 1.0e-06 | 2 of 2 | NO |" in text
    assert "| rounds | 2 | 20 | 0 | 0 | 1,000 | 2,000 | 0 | 5 | 1.0e-06 | 2 of 2 | references only |" in text
