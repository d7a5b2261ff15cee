from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def test_a_model_is_exported_by_its_name_with_the_weights_of_a_seed(tmp_path: Path) -> None:
    files = [tmp_path / "a.pte", tmp_path / "b.pte"]
    outcomes = [bittern("export", "digits-resnet", file, "--json") for file in files]
    assert [outcome.code for outcome in outcomes] == [0, 0]
    assert "digits-resnet is not trained: random weights of seed 0" in outcomes[0].err
    assert outcomes[0].json["trained"] is False
    explanation = outcomes[0].json["explanation"]
    assert (explanation["unpacked"], explanation["fallbacks"]) == (0, 0)
    assert files[0].read_bytes() == files[1].read_bytes()
    metadata = load(files[0]).metadata
    assert metadata.model == "digits-resnet"
    assert metadata.preprocessing is None


def test_image_size_and_batch_are_what_is_asked_for(tmp_path: Path) -> None:
    outcome = bittern("export", "digits-resnet", tmp_path / "a.pte", "--image-size", 12, "--batch", 3, "--json")
    shape = outcome.json["metadata"]["input_shape"]
    assert (shape[0], *shape[2:]) == (3, 12, 12)


def test_the_largest_batch_reaches_the_file(trained: Path, tmp_path: Path) -> None:
    outcome = bittern("export", trained, tmp_path / "a.pte", "--max-batch", 5, "--json")
    assert outcome.code == 0, outcome.err
    metadata = load(tmp_path / "a.pte").metadata
    assert metadata.dynamic_batch
    assert metadata.input_shape[0] == 5


@pytest.mark.slow
def test_a_file_is_tried_before_it_is_written_unless_told_not_to(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the engine's process ended with status -11")

    monkeypatch.setattr("bittern.runtime.run_in_process", fail)
    outcome = bittern("export", trained, tmp_path / "a.pte")
    assert outcome.code == 2
    assert "the engine cannot run" in outcome.err
    assert not (tmp_path / "a.pte").exists()
    assert bittern("export", trained, tmp_path / "a.pte", "--no-check").code == 0
    assert (tmp_path / "a.pte").exists()


def test_int8_is_calibrated_on_the_runs_data_set(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pte"
    outcome = bittern("export", trained, path, "--int8", "--calibration", 10, "--explain")
    assert outcome.code == 0, outcome.err
    assert "int8 scales from 10 training images of digits" in outcome.out
    assert any("xnnpack int8" in line and "classifier" in line for line in outcome.out.splitlines())
    checked = bittern("verify", trained, path, "--images", 50)
    assert checked.code == 0, checked.out
    assert "int8: float layers are rounded to 8 bits" in checked.out


@pytest.mark.slow
def test_int8_is_calibrated_on_image_files_or_noise_where_weights_are_random(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "of" / "digits"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 11), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("no image")
    for data, source in (((), "noise images"), (("--data", tmp_path / "images"), f"image files of {tmp_path}")):
        outcome = bittern("export", "digits-resnet", tmp_path / "a.pte", "--int8", "--calibration", 3, *data, "--json")
        assert outcome.code == 0, outcome.err
        calibration = outcome.json["calibration"]
        assert calibration["images"] == 3
        assert calibration["source"].startswith(source)
        assert outcome.json["metadata"]["int8"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/run", "x.pte"], "/no/such/run does not exist"),
        (["digits-resnt", "x.pte"], "no model has that name; did you mean 'digits-resnet'?"),
        (["@", "x.pte"], "`bittern models` lists the models"),
        (["{run}", "x.pte", "--batch", "2", "--max-batch", "2"], "give one of the two"),
        (["{run}", "x.pte", "--data", "{tmp}"], "--data is for --int8"),
        (["digits-resnet", "x.pte", "--int8", "--data", "{tmp}"], "there is no image file in"),
        (["digits-resnet", "x.pte", "--int8", "--data", "/no/such"], "data folder /no/such does not exist"),
        (["{tmp}", "x.pte"], "has neither model.json nor a checkpoint"),
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
