import json
from pathlib import Path

import pytest

from bittern.train import load_run
from cli.invoke import TINY, bittern


def test_a_file_matches_its_run(trained: Path, model: Path) -> None:
    outcome = bittern("verify", trained, model, "--images", "40")
    assert outcome.code == 0
    assert "passed: 40 of 40 predictions are equal" in outcome.out
    assert outcome.out.count("blocks.0.conv") == 2


def test_json_counts_differences_of_every_layer(trained: Path, model: Path) -> None:
    result = bittern("verify", trained, model, "--images", "40", "--json").json
    assert result["passed"] is True
    assert result["images"] == 40
    assert result["reference_differences"] == 0
    assert [layer["path"] for layer in result["layers"]].index("blocks.0.sign") == 0
    assert all(layer["reference_differences"] == 0 for layer in result["layers"])
    assert {"margin", "model_where", "reference_where", "largest_difference", "passed"} <= result["layers"][0].keys()
    assert result["dataset"] == "digits"


def test_noise_needs_no_data_set_and_is_the_same_again(trained: Path, model: Path) -> None:
    first = bittern("verify", trained, model, "--random", "8", "--json")
    assert first.code == 0
    assert (first.json["images"], first.json["random"], first.json["seed"]) == (8, 8, 0)
    assert bittern("verify", trained, model, "--random", "8", "--json").json == first.json
    other = bittern("verify", trained, model, "--random", "8", "--seed", "1", "--json").json
    assert other["layers"] != first.json["layers"]


def test_the_table_says_where_and_by_what_margin(trained: Path, model: Path) -> None:
    outcome = bittern("verify", trained, model, "--random", "2")
    for word in ("Compared", "Largest float", "Margin", "Worst at", "image "):
        assert word in outcome.out


def test_the_file_of_another_run_fails_with_code_1(model: Path, tmp_path: Path) -> None:
    assert bittern("train", "digits", "--out", tmp_path / "other", "--seed", "1", *TINY).code == 0
    outcome = bittern("verify", tmp_path / "other", model, "--images", "40", "--json")
    assert outcome.code == 1
    assert outcome.json["passed"] is False


def test_the_file_of_another_architecture_is_code_2(model: Path, tmp_path: Path) -> None:
    assert bittern("train", "digits-float", "--out", tmp_path / "other", *TINY).code == 0
    outcome = bittern("verify", tmp_path / "other", model)
    assert outcome.code == 2
    assert "was not exported from this model" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}", "{model}"], "has neither model.json nor a checkpoint"),
        (["{run}", "{run}/log.csv"], "is not a model file"),
        (["{run}", "/no/such.pte"], "/no/such.pte: No such file"),
    ],
)
def test_what_cannot_be_verified_is_code_2(
    arguments: list[str], message: str, trained: Path, model: Path, tmp_path: Path
) -> None:
    outcome = bittern("verify", *(argument.format(run=trained, model=model, tmp=tmp_path) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.error


def test_a_run_on_a_folder_needs_the_folder(trained: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    other.mkdir()
    (other / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    info = json.loads((trained / "model.json").read_text())
    (other / "model.json").write_text(json.dumps(info | {"dataset": "cifar10"}))
    assert load_run(other).info.dataset == "cifar10"
    outcome = bittern("verify", other, model)
    assert outcome.code == 2
    assert "--data DIR" in outcome.error
    assert "--random N" in outcome.error
    assert bittern("verify", other, model, "--random", "2").code == 0


def test_imported_weights_name_no_data_set(trained: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    other.mkdir()
    (other / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes())
    info = json.loads((trained / "model.json").read_text())
    unknown = dict.fromkeys(("dataset", "recipe", "seed", "class_names"))
    (other / "model.json").write_text(json.dumps(info | unknown | {"metrics": {}}))
    outcome = bittern("verify", other, model)
    assert outcome.code == 2
    assert "names no data set" in outcome.error
    assert bittern("verify", other, model, "--random", "2").code == 0
    assert bittern("inspect", other).code == 0


def test_noise_and_a_data_set_are_not_both_compared(trained: Path, model: Path) -> None:
    outcome = bittern("verify", trained, model, "--random", "2", "--data", ".")
    assert outcome.code == 2
    assert "give one of them" in outcome.error
