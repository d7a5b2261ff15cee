from pathlib import Path

import pytest

from bittern.runtime import load
from bittern.train import load_run
from cli.invoke import TINY, bittern


def test_the_file_says_what_the_run_knows(trained: Path, model: Path) -> None:
    info, metadata = load_run(trained).info, load(model).metadata
    assert metadata.model == "digits-resnet"
    assert metadata.class_names == info.class_names
    assert metadata.input_shape == (1, *info.input_shape)
    assert metadata.preprocessing is not None
    assert metadata.preprocessing.mean == info.preprocessing.mean


def test_json_and_explain_show_every_node(trained: Path, tmp_path: Path) -> None:
    outcome = bittern("export", trained, tmp_path / "a.pte", "--explain")
    assert outcome.code == 0
    result = bittern("export", trained, tmp_path / "b.pte", "--json").json
    assert result["size"] == (tmp_path / "b.pte").stat().st_size
    assert result["warnings"] == []
    assert result["explanation"]["fallbacks"] == 0
    rows = result["explanation"]["rows"]
    shown = [line for line in outcome.out.splitlines() if any(row["path"] in line for row in rows if row["path"])]
    assert len(shown) >= len([row for row in rows if row["path"]])
    assert any("blocks.0.conv" in line and "bittern::conv2d_float_packed" in line for line in shown)
    assert "none in a slow fallback" in outcome.out
    assert (tmp_path / "a.pte").read_bytes() == (tmp_path / "b.pte").read_bytes()


def test_a_network_with_nothing_binary_is_exported_with_a_warning(tmp_path: Path) -> None:
    assert bittern("train", "digits-float", "--out", tmp_path / "run", *TINY).code == 0
    outcome = bittern("export", tmp_path / "run", tmp_path / "float.pte", "--json")
    assert outcome.code == 0
    (warning,) = outcome.json["warnings"]
    assert "nothing in this model is binary" in warning
    assert outcome.err == f"bittern: warning: {warning}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/run", "x.pte"], "/no/such/run does not exist"),
        (["{tmp}", "x.pte"], "it is not a run folder"),
        (["{run}", "/no/such/folder/x.pte"], "there is no folder /no/such/folder"),
        (["{run}", "{tmp}"], "is a folder; name the file to write"),
    ],
)
def test_what_cannot_be_exported_is_code_2(arguments: list[str], message: str, trained: Path, tmp_path: Path) -> None:
    outcome = bittern("export", *(argument.format(run=trained, tmp=tmp_path) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.error


def test_a_damaged_run_is_code_2(trained: Path, tmp_path: Path) -> None:
    for file in trained.glob("model.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-10])
    outcome = bittern("export", tmp_path, tmp_path / "x.pte")
    assert outcome.code == 2
    assert "model.json" in outcome.error
