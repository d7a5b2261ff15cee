"""Imported weights under a new last layer, trained on images of one's own classes."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from bittern.importers import CheckpointError, import_checkpoint
from bittern.importers.new_head import with_new_head
from bittern.train import load_run
from cli.invoke import bittern
from importers.fixtures import fixture
from importers.own import unpack


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fixture("binary-resnet-e-18").unpack(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("classes", [3, 10])
def test_only_what_depends_on_the_classes_is_new(weights: Path, classes: int) -> None:
    imported = import_checkpoint(weights, image_size=64)
    new = with_new_head(imported, classes)
    before, after = imported.network.state_dict(), new.network.state_dict()
    changed = {
        name for name in before if before[name].shape != after[name].shape or not before[name].equal(after[name])
    }
    assert changed == {"classifier.weight", "classifier.bias"}
    assert after["classifier.bias"].shape == (classes,)
    assert (new.info.options["num_classes"], new.info.class_names, new.info.dataset) == (classes, None, None)
    assert "classifier.weight" in new.warnings[-1]
    again = with_new_head(imported, classes).network.state_dict()
    assert all(torch.equal(after[name], again[name]) for name in after)


def test_no_classes_are_refused(weights: Path) -> None:
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        with_new_head(import_checkpoint(weights, image_size=64), 0)


def test_an_own_network_is_refused(tmp_path: Path) -> None:
    imported = import_checkpoint(unpack("digits", tmp_path))
    with pytest.raises(CheckpointError, match=r"is a network of your own, .*give it another one where it was made"):
        with_new_head(imported, 3)


def test_the_command_that_import_prints_trains_it_on_a_folder_of_images(weights: Path, tmp_path: Path) -> None:
    done = bittern("import", weights, "--image-size", 64, "--without-head", 2, tmp_path / "start")
    assert done.code == 0
    for split in ("train", "test"):
        for number, name in enumerate(("ant", "bee")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for image in range(2):
                Image.new("RGB", (70, 70), (200 * number, 20 * image, 90)).save(folder / f"{image}.png")
    printed = done.out.partition("next: bittern ")[2].split()
    places = {"DIR": tmp_path / "photos", "RUN": tmp_path / "run"}
    done = bittern(*(places.get(word, word) for word in printed), "--set", "epochs=1", "--set", "batch_size=4")
    assert done.code == 0, done.err
    run = load_run(tmp_path / "run")
    assert run.info.class_names == ("ant", "bee")
    start = load_run(tmp_path / "start").model.state_dict()
    trained = run.model.state_dict()
    assert not torch.equal(trained["classifier.weight"], start["classifier.weight"])
