"""The images that `bittern export --int8` calibrates on."""

from pathlib import Path
from typing import TYPE_CHECKING

from bittern.cli._deploy import SEED, Network

if TYPE_CHECKING:
    from torch import Tensor

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def calibration_images(network: Network, data: Path | None, count: int) -> "tuple[Tensor, str]":
    """At most ``count`` preprocessed images for ``network``, float32 [N, C, H, W], and their source.

    Training images of the run's data set, read from ``data`` if it needs a folder; otherwise image files in ``data``
    and below it; otherwise, for random weights, noise.

    Raises:
        ValueError: there are none.
    """
    from bittern.data import get_dataset, list_datasets, open_dataset

    if network.dataset in list_datasets():
        size = network.input_shape[1] if get_dataset(network.dataset).streamed else None
        split = open_dataset(network.dataset, data, image_size=size, splits=("train",)).splits["train"].take(count)
        assert network.preprocessing is not None
        return network.preprocessing(split.images), f"training images of {network.dataset}"
    if data is not None:
        return _files(network, data, count)
    if network.trained:
        raise ValueError(
            f"--int8 needs images for its scales, and {network.name} has no data set: name a folder by --data DIR"
        )
    import torch

    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(count, *network.input_shape, generator=generator), "noise images"


def _files(network: Network, folder: Path, count: int) -> "tuple[Tensor, str]":
    import torch

    import bittern
    from bittern.runtime import Metadata, Preprocessing, preprocess, read_pixels

    if not folder.is_dir():
        raise ValueError(f"data folder {folder} {'is a file' if folder.exists() else 'does not exist'}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ValueError(f"there is no image file in {folder}; --int8 needs a few hundred")
    if len(files) > count:
        files = [files[i * len(files) // count] for i in range(count)]
    channels = network.input_shape[0]
    card = Metadata(
        bittern=bittern.__version__,
        executorch="",
        model=network.name,
        input_shape=(1, *network.input_shape),
        output_shape=(),
        # Random weights come with no preprocessing: pixels in [-1, 1].
        preprocessing=network.preprocessing or Preprocessing(1 / 255, (0.5,) * channels, (0.5,) * channels),
    )
    return torch.from_numpy(preprocess(read_pixels(files, card), card)), f"image files of {folder}"
