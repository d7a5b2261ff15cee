"""Any torch data set of images becomes a data set to train on."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from bittern._image_geometry import STRETCH
from bittern.data import DataError, DatasetInfo, Preprocessing, from_torch, list_datasets, register_dataset
from bittern.data.registry import _DATASETS

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
FORMS: dict[str, Any] = {
    "pil": [Image.fromarray(image) for image in PIXELS],
    "numpy": list(PIXELS),
    "torch": list(torch.from_numpy(PIXELS).permute(0, 3, 1, 2)),
}


class Own(Dataset[tuple[Any, int]]):
    """As torchvision's ImageFolder."""

    classes = ("cat", "dog")

    def __init__(self, images: Any, label: Any = None) -> None:
        self._images, self._label = images, label

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._images[index], index % 2 if self._label is None else self._label


@pytest.mark.parametrize("images", FORMS.values(), ids=FORMS)
def test_every_form_of_image_gives_the_same_pixels(images: Any) -> None:
    data = from_torch(Own(images), Subset(Own(images), [1, 4]), name="mine")
    train, test = data.splits["train"].take(9), data.splits["test"].take(9)
    assert np.array_equal(train.images.permute(0, 2, 3, 1).numpy(), PIXELS)
    assert np.array_equal(test.images.permute(0, 2, 3, 1).numpy(), PIXELS[[1, 4]])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1] * 3, [1, 0])
    assert (data.info.name, data.info.class_names, data.info.input_shape) == ("mine", ("cat", "dog"), (3, 8, 8))


def test_the_preprocessing_is_that_of_the_training_images() -> None:
    data = from_torch(Own(list(PIXELS)), Own(list(PIXELS)))
    x = data.info.preprocessing(torch.from_numpy(PIXELS).permute(0, 3, 1, 2))
    assert x.mean((0, 2, 3)).abs().max() < 1e-3
    assert (x.std((0, 2, 3)) - 1).abs().max() < 1e-2


def test_grey_images_stay_grey_and_tensor_data_sets_do() -> None:
    grey = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    images = TensorDataset(grey, torch.tensor([0, 1, 2, 0, 1, 2]))
    data = from_torch(images, images)
    assert torch.equal(data.splits["train"].take(6).images, grey)
    assert data.info.class_names == ("0", "1", "2")


def test_images_of_any_size_become_squares_by_the_geometry() -> None:
    photos = [Image.fromarray(PIXELS[0]).resize((20 + i, 30)) for i in range(4)]
    square = from_torch(Own(photos), Own(photos), image_size=10).splits["train"].take(4).images
    rule = Preprocessing(1 / 255, (0.5,), (0.5,), STRETCH)
    stretched = from_torch(Own(photos), Own(photos), image_size=10, preprocessing=rule).splits["train"].take(4).images
    assert square.shape == stretched.shape == (4, 3, 10, 10)
    assert not torch.equal(square, stretched)
    expected = np.asarray(photos[1].resize((10, 10), Image.Resampling.BILINEAR))
    assert np.array_equal(stretched[1].permute(1, 2, 0).numpy(), expected)


BAD: dict[str, tuple[Any, str]] = {
    "normalized": (Own([torch.zeros(3, 8, 8)]), r"train\[0\] is of type .*float32, .*leave transforms out"),
    "many channels": (Own([np.zeros((8, 8, 5), np.uint8)]), r"train\[0\] is of shape \[8, 8, 5\]"),
    "label out of range": (Own(list(PIXELS), 2), r"train\[0\] has the label 2, expected 0\.\.1"),
    "label in words": (Own(list(PIXELS), "cat"), r"train\[0\] has the label 'cat', expected the number"),
    "negative label": (Own(list(PIXELS), -1), r"train\[0\] has the label -1"),
    "empty": (Own([]), "must be at least one"),
    "no square": (Own([np.zeros((8, 6, 3), np.uint8)]), "6 x 8 are no squares: give image_size"),
}


@pytest.mark.parametrize(("train", "message"), BAD.values(), ids=BAD)
def test_what_is_no_data_set_of_images_is_refused(train: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_torch(train, Own(list(PIXELS)))


def test_a_registered_data_set_is_known_by_its_name() -> None:
    data = from_torch(Own(list(PIXELS)), Own(list(PIXELS)))
    info = DatasetInfo(
        **{**vars(data.info), "name": "mine", "load": lambda folder, splits, progress: dict(data.splits)}
    )
    try:
        register_dataset(info)
        assert "mine" in list_datasets()
        with pytest.raises(ValueError, match="'mine' exists already"):
            register_dataset(info)
    finally:
        _DATASETS.pop("mine", None)
    with pytest.raises(ValueError, match="needs either load"):
        register_dataset(data.info)
