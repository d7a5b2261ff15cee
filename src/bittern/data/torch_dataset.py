"""A data set of any torch data sets of images."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from bittern._image_files import convert
from bittern._image_geometry import MIDDLE_SQUARE
from bittern._preprocessing import Preprocessing
from bittern.data.dataset import Dataset, DatasetInfo, Split
from bittern.data.errors import DataError

_MODES = {1: "L", 3: "RGB"}


class Examples(Protocol):
    """What a torch data set of the map style has: item i is an image and its label."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def from_torch(
    train: Examples,
    test: Examples,
    *,
    name: str = "own",
    class_names: Sequence[str] | None = None,
    image_size: int | None = None,
    preprocessing: Preprocessing | None = None,
) -> Dataset:
    """Reads two torch data sets into memory, for `bittern.train.run`.

    Args:
        train, test: item i is (image, label): a PIL image, uint8 ``[H, W]`` or ``[H, W, C]`` in numpy or ``[C, H, W]``
            in torch, grey or RGB; labels count from 0. Pixels must not be normalized yet: leave transforms such as
            ``ToTensor`` out.
        name: of the data set, in run folders.
        class_names: by default ``train.classes``, or the numbers.
        image_size: height and width of the squares that all images become; by default that of the first image, which
            must then be square.
        preprocessing: by default the mean and the standard deviation of the training images for each channel, and the
            largest middle square of an image of another size.

    Raises:
        DataError: an item is no such image, its label is not the number of a class, or a split is empty.
    """
    geometry = (preprocessing.geometry if preprocessing else None) or MIDDLE_SQUARE
    first = _picture(train[0][0], "train[0]") if len(train) else None
    if first is None or not len(test):
        raise DataError("both the training and the test images must be at least one")
    if image_size is None:
        if first.width != first.height:
            raise DataError(f"images of {first.width} x {first.height} are no squares: give image_size")
        image_size = first.width
    names = class_names if class_names is not None else getattr(train, "classes", None)
    splits = {
        split: _read(examples, split, first.mode, geometry.resize, image_size, names)
        for split, examples in (("train", train), ("test", test))
    }
    if names is None:
        names = [str(label) for label in range(int(splits["train"].labels.max()) + 1)]
        if (worst := int(splits["test"].labels.max())) >= len(names):
            raise DataError(f"a test image has label {worst}, the training images have 0..{len(names) - 1}")
    if preprocessing is None:
        mean, std = _statistics(splits["train"].images)
        preprocessing = Preprocessing(1 / 255, mean, std, geometry)
    info = DatasetInfo(
        name=name,
        class_names=tuple(map(str, names)),
        input_shape=(len(first.getbands()), image_size, image_size),
        preprocessing=preprocessing,
        needs_folder=False,
        description="given from Python",
        source="given from Python",
    )
    return Dataset(info, splits)


def _read(examples: Examples, split: str, mode: str, resize: Any, side: int, names: Sequence[str] | None) -> Split:
    images = np.empty((len(examples), side, side, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
    labels = np.empty(len(examples), np.int64)
    for i in range(len(examples)):
        image, label = examples[i][:2]
        picture = _picture(image, f"{split}[{i}]").convert(mode)
        if picture.size != (side, side):
            picture = resize(picture, (side, side))
        images[i] = np.asarray(picture).reshape(images.shape[1:])
        labels[i] = _label(label, f"{split}[{i}]", names)
    return Split(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels))


def _picture(image: Any, what: str) -> Image.Image:
    """``image`` in mode "L" or "RGB"."""
    if isinstance(image, Image.Image):
        return convert(image, "L" if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else "RGB")
    array: npt.NDArray[Any] = image.permute(1, 2, 0).numpy() if _is_planes(image) else np.asarray(image)
    if array.dtype != np.uint8:
        raise DataError(
            f"{what} is of type {array.dtype}, expected an image of 8 bits: leave transforms out that normalize "
            "(ToTensor, Normalize), as the network's own preprocessing does that"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] != 3):
        raise DataError(f"{what} is of shape {list(array.shape)}, expected [H, W] or [H, W, 3], or [C, H, W] in torch")
    return Image.fromarray(np.ascontiguousarray(array))


def _is_planes(image: Any) -> bool:
    return isinstance(image, Tensor) and image.ndim == 3


def _label(label: Any, what: str, names: Sequence[str] | None) -> int:
    try:
        number = int(label)
    except (TypeError, ValueError):
        raise DataError(f"{what} has the label {label!r}, expected the number of a class") from None
    if number < 0 or (names is not None and number >= len(names)):
        known = "0, 1, ..." if names is None else f"0..{len(names) - 1}"
        raise DataError(f"{what} has the label {number}, expected {known}")
    return number


def _statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels in 0..1; rounded, so that they are readable in a file."""
    values = images.transpose(0, 1).flatten(1).double() / 255
    mean, std = values.mean(1).tolist(), values.std(1).clamp(min=1 / 255).tolist()
    return tuple(round(value, 4) for value in mean), tuple(round(value, 4) for value in std)
