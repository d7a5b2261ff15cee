"""Opening a data set by name: its classes and shape, and the options that it takes."""

from pathlib import Path

import pytest

from bittern.data import Split, load, open_dataset


def test_what_is_opened_knows_its_classes_and_shape(folder: Path) -> None:
    info = open_dataset("image-shards", folder / "image-shards", image_size=40).info
    assert (info.class_names, info.input_shape, info.streamed) == (("0", "1", "2"), (3, 40, 40), True)
    assert open_dataset("images", folder / "images", splits=("test",)).info.input_shape == (3, 224, 224)
    digits = open_dataset("digits")
    assert digits.info.class_names == tuple("0123456789")
    assert isinstance(digits.splits["train"], Split)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"splits": ("valid",)}, "split must be one of 'train', 'test', got 'valid'"),
    ],
)
def test_impossible_options_are_refused(folder: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_dataset("images", folder / "images", **options)  # type: ignore[arg-type]


def test_images_of_one_size_have_no_other() -> None:
    assert open_dataset("digits", image_size=8).info.input_shape == (1, 8, 8)
    with pytest.raises(ValueError, match=r"image_size must be 8 for 'digits'.*got 32"):
        open_dataset("digits", image_size=32)


def test_a_streamed_set_is_not_loaded() -> None:
    with pytest.raises(ValueError, match=r"'images' is streamed.* bittern\.data\.open_dataset"):
        load("images", ".")
