import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittern.importers.convert import import_checkpoint
from bittern.train import load_run
from cli.invoke import bittern, bittern_process, without
from importers.fixtures import fixture
from importers.own import unpack


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fixture("binary-resnet-e-18").unpack(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def imported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("imported") / "run"
    assert bittern("import", weights, "--image-size", 64, run).code == 0
    return run


def test_json_says_what_was_recognised_used_and_written(weights: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = bittern("import", weights, "--model", "binary-resnet-e-18", "--image-size", 64, run, "--json")
    assert done.code == 0
    result = done.json
    assert (result["run"], result["model"], result["tensors"]) == (str(run), "binary-resnet-e-18", 51)
    assert result["parameters"] == sum(parameter.numel() for parameter in load_run(run).model.parameters())
    assert result["origin"] == {
        "source": "Larq Zoo",
        "file": weights.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    assert result["preprocessing"] == {
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "geometry": {"fit": "crop-resize", "crop": 0.875, "interpolation": "bicubic", "antialias": False},
    }
    assert json.loads((run / "model.json").read_bytes())["origin"] == result["origin"]


def test_text_says_the_same_and_names_the_next_command(weights: Path, tmp_path: Path) -> None:
    done = bittern("import", weights, "--image-size", 64, tmp_path / "run")
    assert "Larq Zoo" in done.out
    assert "51 of 51 used" in done.out
    assert f"next: bittern export {tmp_path}/run binary-resnet-e-18.pte" in done.out
    assert "10 classes" in done.err


def test_a_folder_that_exists_is_refused_before_any_work(weights: Path, tmp_path: Path) -> None:
    assert "exist" in bittern("import", weights, tmp_path).error
    assert "exist" in bittern("import", weights, weights).error
    assert not any(tmp_path.iterdir())


def test_a_wrong_model_is_refused_with_the_list_and_nothing_is_written(weights: Path, tmp_path: Path) -> None:
    done = bittern("import", weights, "--model", "quicknet", "--image-size", 64, tmp_path / "run")
    assert done.code == 2
    assert "checkpoint of quicknet" in done.error
    assert "checkpoint of binary-resnet-e-18" in done.error
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none.h5", "{tmp}/run"], "none.h5: No such file or directory"),
        (["{tmp}", "{tmp}/run"], "Is a directory"),
        (["{weights}", "--model", "resnet", "{tmp}/run"], "'resnet'"),
        (["{weights}", "--image-size", "0", "{tmp}/run"], "--image-size"),
        (["{weights}", "--step", "3", "{tmp}/run"], "--step"),
        (["{weights}", "--step", "1", "--image-size", "64", "{tmp}/run"], "--step 1"),
        (["{weights}", "--model", "binary-densenet-28", "--image-size", "4", "{tmp}/run"], "image_size"),
    ],
)
def test_wrong_usage_is_refused_in_one_line(arguments: list[str], message: str, weights: Path, tmp_path: Path) -> None:
    done = bittern("import", *(text.format(tmp=tmp_path, weights=weights) for text in arguments))
    assert done.code == 2
    assert message in done.error
    assert not (tmp_path / "run").exists()


def test_without_h5py_the_extra_is_named(weights: Path, tmp_path: Path) -> None:
    done = bittern_process("import", weights, tmp_path / "run", before=without("h5py"))
    assert done.code == 2
    assert "pip install '.[import]'" in done.error


def test_the_other_commands_take_an_imported_run(imported: Path, weights: Path, tmp_path: Path) -> None:
    facts = bittern("inspect", imported)
    assert facts.code == 0
    assert f"Larq Zoo: {weights.name}" in facts.out
    assert "None" not in facts.out
    assert bittern("inspect", imported, "--json").json["origin"]["file"] == weights.name

    model = tmp_path / "model.pte"
    assert bittern("export", imported, model).code == 0
    assert "--random" in bittern("verify", imported, model).error
    assert bittern("verify", imported, model, "--random", 4).code == 0

    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    (result,) = bittern("run", model, tmp_path / "image.png", "--json").json["images"]
    assert result["top"][0]["class"].startswith("class ")


def test_a_full_disk_leaves_nothing_behind(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bittern.importers.convert as convert

    written: list[str] = []

    def full(path: Path, content: bytes) -> None:
        written.append(path.name)
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        path.write_bytes(content)

    monkeypatch.setattr(convert, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        convert.save_imported(import_checkpoint(weights, image_size=64), tmp_path / "run")
    assert written == ["model.safetensors", "model.json"]
    assert not any(tmp_path.iterdir())


def test_an_own_network_is_imported_exported_and_verified(tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "net.pte"
    done = bittern("import", unpack("residual", tmp_path), run, "--pixels", -1, 1)
    assert (done.code, done.err) == (0, "")
    assert "Keras: " in done.out
    assert "residual, num_classes 5" in done.out
    assert f"next: bittern export {run} residual.pte" in done.out
    preprocessing = load_run(run).info.preprocessing
    assert [float(preprocessing.of_array(np.full((1, 1, 1, 3), v, np.uint8)).max()) for v in (0, 255)] == [-1, 1]
    assert bittern("export", run, file, "--no-check").code == 0
    verified = bittern("verify", run, file, "--random", 4)
    assert (verified.code, "passed" in verified.out) == (0, True)


def test_pixels_need_an_order_and_an_own_network(weights: Path, tmp_path: Path) -> None:
    assert "the lower one first" in bittern("import", weights, tmp_path / "run", "--pixels", 1, 0).error
    done = bittern("import", weights, "--image-size", 64, tmp_path / "run", "--pixels", 0, 1)
    assert "is a published binary-resnet-e-18, whose preprocessing is known" in done.error
