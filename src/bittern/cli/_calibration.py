"""The images that `bittern export --int8` calibrates on."""

from pathlib import Path
from typing import TYPE_CHECKING

from bittern.cli._deploy import SEED, Source

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def calibration_images(source: Source, data: Path | None, count: int) -> "tuple[Tensor, str]":
    """At most ``count`` preprocessed images for ``source``, float32 [N, C, H, W], and where they are from.

    Training images of the run's data set, read from ``data`` if it is one that needs a folder; else image files in
    ``data`` and below; else, for random weights, noise.

    Raises:
        ValueError: there are none.
    """
    from bittern.data import get_dataset, list_datasets, open_dataset

    if source.dataset in list_datasets():
        size = source.input_shape[1] if get_dataset(source.dataset).streamed else None
        split = open_dataset(source.dataset, data, image_size=size, splits=("train",)).splits["train"].take(count)
        assert source.preprocessing is not None
        return source.preprocessing(split.images), f"training images of {source.dataset}"
    if data is not None:
        return _files(source, data, count)
    if source.trained:
        raise ValueError(f"--int8 is calibrated on images, and {source.name} has no data set of its own: --data DIR")
    import torch

    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(count, *source.input_shape, generator=generator), "noise images"


def _files(source: Source, folder: Path, count: int) -> "tuple[Tensor, str]":
    import torch

    import bittern
    from bittern.cli._images import read_pixels
    from bittern.runtime import Metadata, Preprocessing, preprocess

    if not folder.is_dir():
        raise ValueError(f"data folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ValueError(f"there is no image file in {folder}; --int8 is calibrated on some hundred")
    if len(files) > count:
        files = [files[i * len(files) // count] for i in range(count)]
    channels = source.input_shape[0]
    card = Metadata(
        bittern=bittern.__version__,
        executorch="",
        model=source.name,
        input_shape=(1, *source.input_shape),
        output_shape=(),
        # For random weights, whose files say nothing of pixels, pixels in [-1, 1].
        preprocessing=source.preprocessing or Preprocessing(1 / 255, (0.5,) * channels, (0.5,) * channels),
    )
    return torch.from_numpy(preprocess(read_pixels(files, card), card)), f"image files of {folder}"
