"""Evaluation, verification, calibration and classification read an image as the same pixels."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittern._image_geometry import MIDDLE_SQUARE, STRETCH, TENSORFLOW, TORCHVISION, ImageGeometry
from bittern._preprocessing import IMAGENET_PIXELS
from bittern.cli._datasets import Consumer, labelled_images, sample
from bittern.runtime import Metadata, Preprocessing, load, preprocess, read_pixels
from cli.invoke import TINY, bittern

SIDE = 28


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(2):
                pixels = generator.integers(0, 256, (40 + 9 * i, 61, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.jpg", **({"exif": exif} if i else {}))
    return folder


def card(geometry: ImageGeometry | None, names: tuple[str, ...] | None = ("cat", "dog"), outputs: int = 2) -> Metadata:
    rule = replace(IMAGENET_PIXELS, geometry=geometry)
    return Metadata("0.1.0", "1.5.1", "net", (1, 3, SIDE, SIDE), (1, outputs), class_names=names, preprocessing=rule)


@pytest.mark.parametrize("geometry", [STRETCH, MIDDLE_SQUARE, TENSORFLOW, TORCHVISION])
def test_every_way_gives_the_same_pixels(geometry: ImageGeometry, photos: Path) -> None:
    metadata = card(geometry)
    files = [photos / "test" / name / f"{i}.jpg" for name in ("cat", "dog") for i in range(2)]
    expected = read_pixels(files, metadata)
    ((pixels, labels),) = labelled_images(metadata, photos).batches()
    assert np.array_equal(pixels, expected)
    assert labels.tolist() == [0, 0, 1, 1]
    assert metadata.preprocessing is not None
    for dataset in ("images", None):
        consumer = Consumer("net", (3, SIDE, SIDE), metadata.preprocessing, dataset)
        found = sample(consumer, photos if dataset else photos / "test", "test", 10)
        assert found is not None
        assert np.array_equal(found[0].numpy(), preprocess(expected, metadata))


def test_the_images_of_a_set_in_memory_fit_a_network_for_another_size() -> None:
    rule = Preprocessing(1 / 255, (0.5,), (0.5,), MIDDLE_SQUARE)
    found = sample(Consumer("net", (1, 12, 12), rule, "digits"), None, "test", 3)
    assert found is not None
    assert found[0].shape == (3, 1, 12, 12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (card(STRETCH, ("cat", "fox")), "has classes that net does not have: dog; it has cat, fox"),
        (card(STRETCH, None, 3), "has 2 classes, net has 3 outputs"),
        (replace(card(STRETCH), preprocessing=None), "was exported without preprocessing"),
        (replace(card(STRETCH), input_shape=(1, 3, 28, 30)), "takes images of 3 x 28 x 30; data set 'images' gives"),
        (replace(card(STRETCH), input_shape=(1, 1, 28, 28)), "takes images of 1 x 28 x 28; data set 'images' gives"),
    ],
)
def test_data_that_do_not_fit_are_refused(metadata: Metadata, message: str, photos: Path) -> None:
    with pytest.raises(ValueError, match=message):
        labelled_images(metadata, photos)


def test_a_model_without_class_names_takes_as_many_classes(photos: Path) -> None:
    ((_, labels),) = labelled_images(card(STRETCH, None), photos).batches()
    assert labels.tolist() == [0, 0, 1, 1]


def test_a_model_that_does_not_say_how_stretches_a_data_set_with_a_word(photos: Path) -> None:
    with pytest.warns(UserWarning, match="does not say how an image becomes its 28 x 28 pixels"):
        old = labelled_images(card(None), photos)
    assert np.array_equal(next(old.batches())[0], next(labelled_images(card(STRETCH), photos).batches())[0])


def test_images_that_cannot_be_read_are_left_out_by_name(photos: Path) -> None:
    (photos / "test" / "dog" / "x.jpg").write_bytes(b"<html>")
    try:
        data = labelled_images(card(STRETCH), photos)
        assert sum(len(labels) for _, labels in data.batches()) == 4
        assert [name for name, _ in data.skipped] == ["test/dog/x.jpg"]
    finally:
        (photos / "test" / "dog" / "x.jpg").unlink()


def test_a_file_for_images_of_another_size_is_verified_on_the_run_s_data(trained: Path, tmp_path: Path) -> None:
    assert bittern("export", trained, tmp_path / "large.pte", "--image-size", 12).code == 0
    assert load(tmp_path / "large.pte").metadata.input_shape == (1, 1, 12, 12)
    for arguments in (("--images", "20"), ("--random", "4")):
        outcome = bittern("verify", trained, tmp_path / "large.pte", *arguments)
        assert outcome.code == 0, outcome.err + outcome.out
    assert bittern("run", tmp_path / "large.pte", "--data", "digits", "--json").json["images"] == 359


@pytest.mark.slow
def test_the_checkpoint_of_a_run_that_was_stopped_is_exported_and_verified(tmp_path: Path) -> None:
    code = "import sys; from bittern.cli import main; sys.exit(main(sys.argv[1:]))"
    long = ("--epochs", "500", *TINY[2:])
    with subprocess.Popen(
        [sys.executable, "-c", code, "train", "digits", "--out", str(tmp_path / "run"), *long],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 2" in line:
                process.send_signal(signal.SIGTERM)
                break
        assert f"resume with --resume {tmp_path / 'run'}" in process.stderr.read()
    assert process.returncode == 130
    assert bittern("export", tmp_path / "run", tmp_path / "x.pte").code == 2
    for command in ("export", "verify"):
        outcome = bittern(command, tmp_path / "run", tmp_path / "x.pte", "--checkpoint")
        assert outcome.code == 0, outcome.err + outcome.out
    assert bittern("export", tmp_path / "run", tmp_path / "c", "--target", "c", "--no-check").code == 2
    outcome = bittern("export", tmp_path / "run", tmp_path / "c", "--target", "c", "--no-check", "--checkpoint")
    assert outcome.code == 0, outcome.err
