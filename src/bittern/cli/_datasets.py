"""The images of a data folder as a network takes them: of the run's data set, or of any folder of images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bittern._image_geometry import STRETCH, ImageGeometry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from bittern.data import Dataset, Split
    from bittern.runtime import Metadata, Preprocessing

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_BATCH = 256  # images of a data set that are held as floats at a time


@dataclass(frozen=True)
class Consumer:
    """What images are for: a network, by ``name``, for inputs of ``input_shape`` (C, H, W).

    ``dataset``: the name of the set that it was trained on, if that is known.
    """

    name: str
    input_shape: tuple[int, int, int]
    preprocessing: "Preprocessing"
    dataset: str | None = None

    @property
    def geometry(self) -> ImageGeometry:
        return self.preprocessing.geometry or STRETCH


def folder_of_run(run: Path) -> Path | None:
    """The data folder that the run in ``run`` was trained on, if the run names one that is still there."""
    from bittern.train import RunError, read_launch

    try:
        folder = read_launch(run).data
    except RunError:  # imported weights, or a run of an earlier version
        return None
    return Path(folder) if folder is not None and Path(folder).is_dir() else None


def sample(consumer: Consumer, folder: Path | None, split: str, count: int) -> "tuple[Tensor, str] | None":
    """At most ``count`` preprocessed images, float32 [N, C, H, W], evenly spread, and where they come from.

    Of ``split`` of the consumer's data set; if it has none that is known, of the image files in ``folder`` and below.
    None if there is neither.

    Raises:
        ValueError: the data cannot be read (DataError), or the folder holds no image.
    """
    from bittern.data import list_datasets

    if consumer.dataset in list_datasets():
        taken = _fitted(_open(consumer.dataset, consumer, folder, split).splits[split].take(count), consumer)
        origin = f"{'training' if split == 'train' else split} images of {consumer.dataset}"
        return consumer.preprocessing(taken.images), origin
    return None if folder is None else _files(consumer, folder, count)


@dataclass(frozen=True)
class LabelledImages:
    """A test split for a model file: ``batches`` yields uint8 [N, H, W, C] and the indices of the right outputs."""

    name: str
    dataset: "Dataset"
    consumer: Consumer
    outputs: "npt.NDArray[np.int64]"

    def batches(self) -> "Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]":
        from bittern.data import Split

        source = self.dataset.splits["test"]
        for images, labels in source.epoch(batch_size=_BATCH, seed=0, shuffle=False, drop_last=False):
            fitted = _fitted(Split(images, labels), self.consumer)
            yield fitted.images.permute(0, 2, 3, 1).contiguous().numpy(), self.outputs[labels.numpy()]

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(name, reason) of every image that could not be read."""
        return self.dataset.splits["test"].skipped


def labelled_images(metadata: "Metadata", folder: Path) -> LabelledImages:
    """The test split in ``folder`` that fits the model: of a known data set, an image folder or shards.

    Raises:
        ValueError: the data cannot be read (DataError), or they have other classes than the model.
    """
    import numpy as np

    from bittern.runtime.preprocess import geometry_of, rule_of

    rule = rule_of(metadata)
    channels, height, width = metadata.input_shape[1:]
    name = _find_dataset(metadata, folder)
    consumer = Consumer(metadata.model, (channels, height, width), rule)
    if rule.geometry is None and _is_streamed(name):
        geometry_of(metadata)  # says that images are stretched
    dataset = _open(name, consumer, folder, "test")
    outputs, classes = metadata.output_shape[-1], dataset.info.class_names
    if metadata.class_names is None:
        if len(classes) != outputs:
            raise ValueError(f"{folder} has {len(classes)} classes, {metadata.model} has {outputs} outputs")
        return LabelledImages(name, dataset, consumer, np.arange(outputs))
    index = {name: i for i, name in enumerate(metadata.class_names)}
    unknown = [name for name in classes if name not in index]
    if unknown:
        from bittern.data.errors import some

        raise ValueError(
            f"{folder} has classes that {metadata.model} does not have: {some(unknown)}; it has "
            f"{some(metadata.class_names)}"
        )
    return LabelledImages(name, dataset, consumer, np.array([index[name] for name in classes]))


def _find_dataset(metadata: "Metadata", folder: Path) -> str:
    """The data set with the model's classes that can be read from ``folder``; else its layout tells."""
    from bittern.data import get_dataset, list_datasets

    rows = [get_dataset(name) for name in list_datasets()]
    named = next((row for row in rows if row.name == str(folder) and not row.needs_folder), None)
    if named is not None:
        return named.name
    fitting = [row for row in rows if row.class_names and row.class_names == metadata.class_names]
    if fitting and not fitting[0].needs_folder:
        name = fitting[0].name
        raise ValueError(f"data set {name!r} is not read from a folder: pass --data {name}, not {folder}")
    if fitting and not (folder / "train").is_dir():
        return fitting[0].name
    return "image-shards" if any(folder.glob("*.tar")) else "images"


def _is_streamed(name: str) -> bool:
    from bittern.data import get_dataset

    return get_dataset(name).streamed


def _open(name: str, consumer: Consumer, folder: Path | None, split: str) -> "Dataset":
    from bittern.data import open_dataset

    if not _is_streamed(name):
        return open_dataset(name, folder, splits=(split,))
    channels, height, width = consumer.input_shape
    if channels != 3 or height != width:
        raise ValueError(
            f"{consumer.name} takes images of {channels} x {height} x {width}; data set {name!r} gives RGB squares"
        )
    return open_dataset(name, folder, image_size=height, geometry=consumer.geometry, splits=(split,))


def _fitted(images: "Split", consumer: Consumer) -> "Split":
    """Images of a set in memory, whose size need not be the network's."""
    import numpy as np
    import torch
    from PIL import Image

    from bittern.data import Split

    channels, height, width = consumer.input_shape
    if images.images.shape[2:] == (height, width):
        return images
    if images.images.shape[1] != channels:
        raise ValueError(f"{consumer.name} takes {channels} channels, the images have {images.images.shape[1]}")
    arrays = images.images.permute(0, 2, 3, 1).numpy()
    pictures = (Image.fromarray(array[:, :, 0] if channels == 1 else array) for array in arrays)
    resized = [np.asarray(consumer.geometry.resize(picture, (width, height))) for picture in pictures]
    pixels = torch.from_numpy(np.stack(resized).reshape(-1, height, width, channels))
    return Split(pixels.permute(0, 3, 1, 2), images.labels)


def _files(consumer: Consumer, folder: Path, count: int) -> "tuple[Tensor, str]":
    import torch

    import bittern
    from bittern.runtime import Metadata, preprocess, read_pixels

    if not folder.is_dir():
        raise ValueError(f"data folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ValueError(f"there is no image file in {folder} or below")
    if len(files) > count:
        files = [files[i * len(files) // count] for i in range(count)]
    card = Metadata(
        bittern=bittern.__version__,
        executorch="",
        model=consumer.name,
        input_shape=(1, *consumer.input_shape),
        output_shape=(),
        preprocessing=consumer.preprocessing,
    )
    return torch.from_numpy(preprocess(read_pixels(files, card), card)), f"image files of {folder}"
