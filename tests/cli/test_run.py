from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bittern.data import load as load_data
from bittern.export import ExportWarning, to_pte
from bittern.runtime import ImageGeometry, Metadata, Preprocessing, load, preprocess, read_pixels
from bittern.train import load_run
from cli.invoke import bittern, bittern_process, without

STRETCHED = Preprocessing(1 / 255, (0.5,), (0.5,), ImageGeometry("stretch"))
COLOUR = Metadata("0.1.0", "1.5.1", "colour", (1, 3, 8, 6), (1, 2), preprocessing=STRETCHED)
GREY = Metadata("0.1.0", "1.5.1", "grey", (1, 1, 8, 6), (1, 2), preprocessing=STRETCHED)


def test_images_are_classified(model: Path, image: Path) -> None:
    outcome = bittern("run", model, image, image, "--top", "3")
    assert outcome.code == 0
    assert outcome.out.count(str(image)) == 2
    assert outcome.out.count("%") == 6


def test_an_isolated_file_gives_the_same_classes(model: Path, image: Path) -> None:
    here = bittern("run", model, image, "--json").json
    assert bittern("run", model, image, "--isolated", "--json").json == here
    assert bittern("run", model, "--data", "digits", "--isolated").out == bittern("run", model, "--data", "digits").out


def test_brackets_in_a_name_are_not_markup(model: Path, image: Path) -> None:
    odd = image.rename(image.with_name("digit[red].png"))
    assert str(odd) in bittern("run", model, odd).out


def test_json_ranks_the_classes(model: Path, image: Path) -> None:
    result = bittern("run", model, image, "--top", "99", "--threads", "2", "--json").json
    (row,) = result["images"]
    assert row["file"] == str(image)
    assert sorted(entry["class"] for entry in row["top"]) == list("0123456789")
    shares = [entry["probability"] for entry in row["top"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    engine = load(model)
    logits = engine(preprocess(read_pixels([image], engine.metadata), engine.metadata))[0]
    assert [entry["index"] for entry in row["top"]] == np.argsort(-logits).tolist()


def test_the_accuracy_on_a_data_set_is_that_of_the_run(model: Path, trained: Path) -> None:
    result = bittern("run", model, "--data", "digits", "--json").json
    assert result["images"] == len(load_data("digits")["test"])
    assert result["accuracy"] == result["right"] / result["images"]
    assert result["accuracy"] == pytest.approx(load_run(trained).info.metrics["test_accuracy"], abs=0.003)
    text = bittern("run", model, "--data", "digits").out
    assert f"of the {result['images']} test images of digits are correct" in text


@pytest.mark.parametrize("what", ["IMAGE", "--data"])
def test_an_output_that_is_not_a_row_of_classes_is_refused_in_one_line(what: str, image: Path, tmp_path: Path) -> None:
    with pytest.warns(ExportWarning):
        to_pte(nn.Conv2d(1, 5, 3), torch.zeros(1, 1, 8, 8), tmp_path / "maps.pte")
    outcome = bittern("run", tmp_path / "maps.pte", *([image] if what == "IMAGE" else ["--data", "digits"]))
    assert outcome.code == 2
    assert "[1, 5, 6, 6], not [images, classes]" in outcome.error
    assert "bittern.runtime.load(path)(images)" in outcome.error


def test_neither_torch_nor_executorch_is_needed(model: Path, image: Path) -> None:
    absent = without("torch", "executorch", "sklearn", "pyarrow", "matplotlib", "jinja2")
    for arguments in (["run", model, image], ["bench", model, "--rounds", "1"], ["inspect", model]):
        outcome = bittern_process(*arguments, before=absent)
        assert outcome.code == 0, outcome.err
        assert outcome.err == ""


def test_a_data_set_without_torch_is_refused_in_one_line(model: Path) -> None:
    outcome = bittern_process("run", model, "--data", "digits", before=without("torch"))
    assert outcome.code == 2
    assert "pip install '.[train]'" in outcome.error


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
def test_every_kind_of_image_is_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.png" if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else "image.tiff")
    image = Image.new(mode, (50, 20))
    image.save(path) if mode != "HSV" else image.convert("RGB").save(path)
    assert read_pixels([path, path], GREY).shape == (2, 8, 6, 1)
    assert read_pixels([path], COLOUR).shape == (1, 8, 6, 3)


def test_a_file_that_does_not_say_how_stretches_images_with_a_word(tmp_path: Path) -> None:
    path, half = tmp_path / "image.png", np.zeros((8, 16), np.uint8)
    half[:, :8] = 255
    Image.fromarray(half).save(path)
    old = replace(GREY, preprocessing=Preprocessing(1 / 255, (0.5,), (0.5,)))
    with pytest.warns(UserWarning, match="grey does not say how an image becomes its 6 x 8 pixels: it is stretched"):
        pixels = read_pixels([path], old)
    assert np.array_equal(pixels, read_pixels([path], GREY))
    Image.fromarray(half[:8, :6]).save(path)
    assert (read_pixels([path], old) == 255).all()  # of the model's size: nothing to say


def test_images_are_cropped_as_the_file_says(tmp_path: Path) -> None:
    path, thirds = tmp_path / "image.png", np.zeros((8, 18), np.uint8)
    thirds[:, 6:12] = 255
    Image.fromarray(thirds).save(path)
    square = replace(GREY, preprocessing=replace(STRETCHED, geometry=ImageGeometry("resize-crop")))
    assert (read_pixels([path], square) == 255).all()
    assert (read_pixels([path], GREY) == 0).any()


def test_16_bits_of_grey_are_scaled_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(np.full((4, 4), 128 * 257, np.uint16)).save(path)
    assert (read_pixels([path], GREY) == 128).all()


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(path)
    assert (read_pixels([path], COLOUR) == 255).all()


def test_images_are_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[0x0112] = 3  # orientation: upside down
    top_white = np.zeros((8, 6), np.uint8)
    top_white[:4] = 255
    Image.fromarray(top_white).save(path, exif=exif, quality=100)
    pixels = read_pixels([path], GREY)[0, :, :, 0]
    assert pixels[:4].max() < 32
    assert pixels[4:].min() > 223


def test_a_model_of_seven_channels_takes_no_image_files(image: Path) -> None:
    with pytest.raises(ValueError, match=r"\[1, 7, 8, 6\], not images"):
        read_pixels([image], Metadata("0.1.0", "1.5.1", "sound", (1, 7, 8, 6), (1, 2)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such.pte", "{image}"], "/no/such.pte: No such file"),
        (["{image}", "{image}"], "is not a model file"),
        (["{tmp}", "{image}"], "{tmp} is a directory"),
        (["{model}", "/no/such.png"], "/no/such.png does not exist"),
        (["{model}", "{tmp}"], "Is a directory"),
        (["{model}", "{model}"], "cannot be read: is not an image"),
        (["{model}", "{tmp}/cut.png"], "cannot be read"),
        (["{model}", "--data", "{tmp}"], "pass --data digits"),
        (["{tmp}/cut.pte", "{image}"], "truncated"),
    ],
)
def test_what_cannot_be_run_is_code_2(
    arguments: list[str], message: str, model: Path, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:-30])
    (tmp_path / "cut.pte").write_bytes(model.read_bytes()[:-30])
    outcome = bittern("run", *(argument.format(model=model, image=image, tmp=tmp_path) for argument in arguments))
    assert outcome.code == 2
    assert message.format(tmp=tmp_path) in outcome.error


def test_an_unknown_instruction_set_is_code_2(model: Path, image: Path) -> None:
    outcome = bittern_process("run", model, image, BITTERN_ISA="avx1024")
    assert outcome.code == 2
    assert "avx1024" in outcome.error
