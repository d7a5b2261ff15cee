"""CIFAR-10: 50,000 + 10,000 colour images of 32x32 pixels in 10 classes."""

from dataclasses import replace
from pathlib import Path

from bittern._image_geometry import MIDDLE_SQUARE
from bittern._preprocessing import Preprocessing
from bittern.data.dataset import DatasetInfo, Split
from bittern.data.parquet import ParquetSplit
from bittern.data.samples import Progress

_CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SHAPE = (3, 32, 32)


def _load(folder: Path | None, splits: tuple[str, ...], progress: Progress | None) -> dict[str, Split]:
    assert folder is not None
    opened = {
        split: ParquetSplit(
            folder, split, image_column="img", label_column="label", class_names=_CLASS_NAMES, shape=_SHAPE
        )
        for split in splits
    }
    return {split: files.decode(progress) for split, files in opened.items()}


CIFAR10 = DatasetInfo(
    name="cifar10",
    class_names=_CLASS_NAMES,
    input_shape=_SHAPE,
    preprocessing=Preprocessing(1 / 255, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), MIDDLE_SQUARE),
    needs_folder=True,
    load=_load,
    description="60,000 colour images, 32x32, 10 classes",
    source="train-*.parquet and test-*.parquet in the layout of Hugging Face's uoft-cs/cifar10",
)

_HELD_OUT = 5000


def _load_held_out(folder: Path | None, splits: tuple[str, ...], progress: Progress | None) -> dict[str, Split]:
    train = _load(folder, ("train",), progress)["train"]
    parts = {"train": slice(None, -_HELD_OUT), "test": slice(-_HELD_OUT, None)}
    return {split: Split(train.images[parts[split]], train.labels[parts[split]]) for split in splits}


CIFAR10_HELD_OUT = replace(
    CIFAR10,
    name="cifar10-held-out",
    load=_load_held_out,
    description="the training images of CIFAR-10: 45,000 to train on and 5,000 to choose settings with",
)
